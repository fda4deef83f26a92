"""What a client gets through the app is what it gets at the service, over all of pydicom's files."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pydicom
import pytest
import requests
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local.stack import Stack
from tests.kit.service import serving

from .comparison import Place, Uids, differences

# PyPI's client reads files by pydicom, which warns of the odd ones.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")

FOLDER = Path(pydicom.__file__).parent / "data" / "test_files"
FILES = [path for path in sorted(FOLDER.rglob("*")) if path.is_file() and path.stat().st_size > 132]


@dataclass(frozen=True)
class Stored:
    """A file that the service took, in a partition of its own: many have the same UIDs."""

    name: str
    partition: str
    uids: Uids


@contextmanager
def place(url: str, **headers: str) -> Iterator[Place]:
    with requests.Session() as session:
        session.trust_env = False
        session.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
        yield Place(url, session)


@pytest.fixture(scope="module")
def service(partitioned_stack: Stack) -> Iterator[Place]:
    """The DICOM service itself."""
    with place(partitioned_stack.dicom_url, authorization=f"Bearer {partitioned_stack.token()}") as service:
        yield service


@pytest.fixture(scope="module")
def app(partitioned_stack: Stack) -> Iterator[Place]:
    """The app before it."""
    with place(partitioned_stack.app_url, x_functions_key=partitioned_stack.function_key) as app:
        yield app


@pytest.fixture(scope="module")
def stored(service: Place) -> list[Stored]:
    """Whatever of pydicom's files the service takes."""
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda number: _store(service, f"file-{number}", FILES[number]), range(len(FILES)))
        return [one for one in found if one is not None]


def _store(service: Place, partition: str, path: Path) -> Stored | None:
    headers = {"Accept": "application/dicom+json", "Content-Type": "application/dicom"}
    url = f"{service.url}/partitions/{partition}/studies"
    answer = service.session.post(url, data=path.read_bytes(), headers=headers)
    if answer.status_code not in (200, 202):
        return None
    found = service.below(partition).client.search_for_instances(fields=["0020000D", "0020000E"])
    [study, series, instance] = (found[0][tag]["Value"][0] for tag in ("0020000D", "0020000E", "00080018"))
    return Stored(path.name, partition, (study, series, instance))


def test_the_app_changes_nothing(app: Place, service: Place, stored: list[Stored]) -> None:
    """Bytes, types with their parameters, metadata and searches, of every file that the service takes."""
    assert len(stored) > 80

    def compare(one: Stored) -> list[str]:
        return differences(app.below(one.partition), service.below(one.partition), one.uids)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(compare, stored))
    assert {one.name: what for one, what in zip(stored, found, strict=True) if what} == {}


@pytest.mark.parametrize("flaw", ["drops Accept", "loses parameters", "decodes as text"])
def test_a_proxy_that_changes_something_is_found_out(service: Place, stored: list[Stored], flaw: str) -> None:
    """Three mistakes that proxies make: the comparison sees each."""
    [one] = [one for one in stored if one.name == "CT_small.dcm"]
    with serving(Starlette(routes=[Route("/{path:path}", _proxy(service, flaw))])) as root:
        spoilt = Place(f"{root}/v2", service.session)
        assert differences(spoilt.below(one.partition), service.below(one.partition), one.uids)


def _proxy(service: Place, flaw: str) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    async def forward(request: Request) -> Response:
        headers = {name: request.headers[name] for name in ("authorization", "accept")}
        if flaw == "drops Accept":
            headers["accept"] = "*/*"
        url = f"{service.url.removesuffix('/v2')}{request.url.path}?{request.url.query}"
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(url, headers=headers)
        content, content_type = answer.content, answer.headers.get("content-type", "")
        if flaw == "loses parameters":
            content_type = content_type.partition(";")[0]
        if flaw == "decodes as text":
            content = content.decode("utf-8", "replace").encode()
        return Response(content, answer.status_code, {"content-type": content_type})

    return forward
