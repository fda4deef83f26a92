"""The OpenAPI document against the running app: whatever it allows, and what it does not, is answered as it says."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from local.stack import Stack
from query_api.lookup import Route
from query_api.routes import ROUTES
from tests.kit.drop_box import DropBox, Instance, make_instance
from tests.kit.stack_service import Service

CANARY = "CANARYOPENAPI"
CANARY_UID = "1.2.826.0.1.3680043.8.498.7719305577193055"
PARTITION = "openapi"
EXAMPLES, EXAMPLES_IN_PARTITION = 15, 4  # what is asked in a partition runs the same code

CHECKED: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def stacks(stack: Stack, partitioned_stack: Stack) -> dict[bool, Stack]:
    """The one without partitions and the one with them, each with an instance whose every attribute is a canary."""
    content = stored().content
    Service(stack).store(content)
    Service(partitioned_stack, PARTITION).store(content)
    return {False: stack, True: partitioned_stack}


@functools.cache
def stored() -> Instance:
    """Return that instance."""
    named = {"PatientName": f"{CANARY}^Jane", "PatientID": f"{CANARY}1", "AccessionNumber": f"{CANARY}2"}
    return make_instance(StudyInstanceUID=f"{CANARY_UID}.1", **named)


@pytest.fixture(scope="module")
def document(stack: Stack) -> dict[str, Any]:
    """What the running app says of itself."""
    response = DropBox(stack).get("/openapi.json")
    assert response.headers["content-type"] == "application/json"
    found: dict[str, Any] = response.json()
    return found


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


def test_the_app_describes_itself(stack: Stack, document: dict[str, Any]) -> None:
    """Validly, at the address at which it was asked, and only to those who have a key."""
    OpenAPIV31SpecValidator(document).validate()
    assert document["servers"] == [{"url": stack.app_url}]
    assert httpx.get(f"{stack.app_url}/openapi.json", trust_env=False).status_code == 401


@pytest.mark.parametrize("route", ROUTES, ids=[route.name for route in ROUTES])
def test_each_operation_is_as_described(
    stacks: dict[bool, Stack], document: dict[str, Any], session: requests.Session, route: Route
) -> None:
    """Without a failure of the app's, in the statuses, forms and shapes that the document names, and without a leak."""
    stack = stacks["{partition}" in route.path]
    operation = schemathesis.openapi.from_dict(document)[f"/{route.path}"]["GET"]
    cases = st.one_of([operation.as_strategy(mode) for mode in GenerationMode])

    @settings(max_examples=EXAMPLES if stack is stacks[False] else EXAMPLES_IN_PARTITION)
    @given(cases, st.data())
    def ask(case: Case[Any], data: st.DataObject) -> None:
        # The worker's web server takes no line break in a path: it answers 404 by itself.
        assume("%0A" not in case.formatted_path)
        if data.draw(st.booleans(), "what is stored"):
            name_what_is_stored(case)
        if data.draw(st.booleans(), "canaries"):
            put_canaries(case)
        response = case.call(base_url=stack.app_url, session=session, headers={"x-functions-key": stack.function_key})
        case.validate_response(response, checks=CHECKED)
        if response.status_code >= 400:
            assert CANARY not in response.text
            assert CANARY_UID not in response.text

    ask()


def name_what_is_stored(case: Case[Any]) -> None:
    """Let a request's path lead to something."""
    one = stored()
    names = {"study": one.study, "series": one.series, "instance": one.sop, "frames": "1", "partition": PARTITION}
    case.path_parameters.update({name: names[name] for name in case.path_parameters})


def put_canaries(case: Case[Any]) -> None:
    """Put a canary at the end of each text of a request but its path."""
    for part in (case.query, case.headers):
        for name, value in list((part or {}).items()):
            part[name] = f"{value}{CANARY}"


def test_no_canary_is_in_any_log(stacks: dict[bool, Stack]) -> None:
    """After all that."""
    for stack in stacks.values():
        logs = [log.read_text() for log in stack.folder.glob("*.log") if "azurite" not in log.name]
        assert len(logs) >= 3
        assert not any(canary in log for log in logs for canary in (CANARY, CANARY_UID, stack.function_key))
