"""The OpenAPI document: valid for an independent reader, and in step with the table of routes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from query_api.openapi.document import document
from query_api.routes import ROUTES

DOCUMENT = document(ROUTES, "https://example.org/api", host_asks_for_key=True)


@pytest.mark.parametrize("asks_for_key", [True, False])
def test_the_document_is_valid(asks_for_key: bool) -> None:
    """As an independent validator sees it."""
    OpenAPIV31SpecValidator(document(ROUTES, "https://example.org/api", host_asks_for_key=asks_for_key)).validate()


def test_every_route_is_described() -> None:
    """Each once, under its own name."""
    described = {path: operations["get"]["operationId"] for path, operations in DOCUMENT["paths"].items()}
    assert described == {f"/{route.path}": route.name for route in ROUTES}


def validator(schema: dict[str, Any]) -> OAS31Validator:
    """Return what validates by a schema of the document, which may refer to others."""
    return OAS31Validator({**schema, "components": DOCUMENT["components"]})


def with_examples(value: Any) -> Iterator[dict[str, Any]]:
    """Yield all that has an example, wherever in the document."""
    if isinstance(value, dict):
        if "example" in value:
            yield value
        for inner in value.values():
            yield from with_examples(inner)
    if isinstance(value, list):
        for inner in value:
            yield from with_examples(inner)


def test_examples_are_valid() -> None:
    """Each by the schema beside it."""
    described = list(with_examples(DOCUMENT))
    assert len(described) > 20
    for one in described:
        validator(one["schema"]).validate(one["example"])


def test_schemas_refuse_what_is_none() -> None:
    """They would not be worth much otherwise."""
    for name, value in (
        ("Datasets", [{"0020000D": {"Value": ["1"]}}]),
        ("Datasets", {"0020000D": {"vr": "UI"}}),
        ("Changes", {"changes": [{"sequence": 1}], "next": "", "more": False}),
        ("Problem404", {"type": "about:blank", "status": 404, "code": "no-such-code", "title": ""}),
    ):
        assert not validator({"$ref": f"#/components/schemas/{name}"}).is_valid(value)
