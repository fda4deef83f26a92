"""What a client gets through the app is what it gets at the service, over all of pydicom's files."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pydicom
import pytest
import requests
from dicomweb_client.api import DICOMwebClient
from pydicom.errors import InvalidDicomError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local.stack import Stack
from shared.dicomweb import Resource
from shared.dicomweb.media_types import media_type_of
from tests.kit.dicomweb_messages import parts_of
from tests.kit.service import serving

# PyPI's client reads files by pydicom, which warns of the odd ones.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")

FOLDER = Path(pydicom.__file__).parent / "data" / "test_files"
FILES = [path for path in sorted(FOLDER.rglob("*")) if path.is_file() and path.stat().st_size > 132]
FORMS = {
    "": ("application/dicom; transfer-syntax=*", 'multipart/related; type="application/dicom"; transfer-syntax=*'),
    "/frames/1": (
        "application/octet-stream; transfer-syntax=*",
        'multipart/related; type="application/octet-stream"; transfer-syntax=*',
    ),
    "/rendered": ("image/jpeg", "image/png"),
    "/metadata": ("application/dicom+json",),
}
# What the app adds to the rows of a search on purpose: where each is found, and what the Standard requires.
ADDED = frozenset({"00081190", "00080061", "00201208", "00201209"})
METHODS: dict[str, Callable[[DICOMwebClient, str, str, str], Any]] = {
    "retrieve_instance": lambda client, *uids: client.retrieve_instance(
        *uids, media_types=(("application/dicom", "*"),)
    ),
    "retrieve_instance_frames": lambda client, *uids: client.retrieve_instance_frames(
        *uids, [1], (("application/octet-stream", "*"),)
    ),
    "retrieve_instance_metadata": lambda client, *uids: client.retrieve_instance_metadata(*uids),
    "retrieve_series_metadata": lambda client, study, series, _: client.retrieve_series_metadata(study, series),
    "retrieve_study_metadata": lambda client, study, *_: client.retrieve_study_metadata(study),
    "search_for_instances": lambda client, study, series, _: _rows(client.search_for_instances(study, series)),
    "search_for_series": lambda client, study, *_: _rows(client.search_for_series(study)),
    "search_for_studies": lambda client, study, *_: _rows(
        client.search_for_studies(search_filters={"StudyInstanceUID": study})
    ),
}


@dataclass(frozen=True)
class Place:
    """A DICOMweb service, and a session that has what it asks for, a key or a token."""

    url: str
    headers: dict[str, str]

    def ask(self, partition: str, uids: tuple[str, str, str]) -> dict[str, Any]:
        """Return each form of each resource of an instance, and what PyPI's client makes of it."""
        url = f"{self.url}/partitions/{partition}"
        found: dict[str, Any] = {}
        with requests.Session() as session:
            session.trust_env = False
            session.headers.update(self.headers)
            client = DICOMwebClient(url, session=session)
            asks: dict[str, Callable[[], Any]] = {name: partial(ask, client, *uids) for name, ask in METHODS.items()}
            for suffix, accept in ((suffix, accept) for suffix, forms in FORMS.items() for accept in forms):
                path = Resource.instance(*uids).path + suffix
                asks[f"{suffix} {accept}"] = partial(_get, url + path, {**self.headers, "Accept": accept})
            for what, ask in asks.items():
                try:
                    found[what] = ask()
                except requests.HTTPError as error:
                    found[what] = str(error)[:4]  # the status: what follows names the address
                except (ValueError, InvalidDicomError) as error:
                    found[what] = type(error)  # what came cannot be read
        return found


def differences(one: Place, other: Place, partition: str, uids: tuple[str, str, str]) -> list[str]:
    """Return what is not equal of one instance, in no words of its own."""
    first, second = one.ask(partition, uids), other.ask(partition, uids)
    return [what for what in first if first[what] != second[what]]


def _get(url: str, headers: dict[str, str]) -> tuple[int, Any, Any]:
    """Return the status, and the body with its type: of a multipart message, those of each part."""
    response = httpx.get(url, headers=headers, trust_env=False, timeout=60)
    if response.status_code != 200:
        return response.status_code, None, None
    media_type, parameters = media_type_of(response.headers["Content-Type"])
    if media_type == "multipart/related":
        return 200, media_type, [(part.get("content-type"), content) for part, content in parts_of(response)]
    return 200, (media_type, parameters.get("transfer-syntax")), response.content


def _rows(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{tag: element for tag, element in row.items() if tag not in ADDED} for row in found]


@pytest.fixture(scope="module")
def service(partitioned_stack: Stack) -> Place:
    return Place(partitioned_stack.dicom_url, {"authorization": f"Bearer {partitioned_stack.token()}"})


@pytest.fixture(scope="module")
def stored(service: Place) -> dict[str, tuple[str, tuple[str, str, str]]]:
    """Whatever of pydicom's files the service takes, each in a partition of its own: many have the same UIDs."""

    def store(number: int) -> Iterator[tuple[str, tuple[str, tuple[str, str, str]]]]:
        headers = {**service.headers, "Accept": "application/dicom+json"}
        url, path = f"{service.url}/partitions/file-{number}", FILES[number]
        typed = {**headers, "Content-Type": "application/dicom"}
        with httpx.Client(trust_env=False, timeout=60) as client:
            if client.post(f"{url}/studies", content=path.read_bytes(), headers=typed).status_code in (200, 202):
                [found] = client.get(f"{url}/instances", headers=headers).json()
                study, series, instance = (found[tag]["Value"][0] for tag in ("0020000D", "0020000E", "00080018"))
                yield path.name, (f"file-{number}", (study, series, instance))

    with ThreadPoolExecutor(4) as pool:
        return {name: one for found in pool.map(lambda n: list(store(n)), range(len(FILES))) for name, one in found}


def test_the_app_changes_nothing(
    partitioned_stack: Stack, service: Place, stored: dict[str, tuple[str, tuple[str, str, str]]]
) -> None:
    """Bytes, types with their parameters, metadata and searches, of every file that the service takes."""
    app = Place(partitioned_stack.app_url, {"x-functions-key": partitioned_stack.function_key})
    assert len(stored) > 80
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda one: differences(app, service, *one), stored.values()))
    assert {name: what for name, what in zip(stored, found, strict=True) if what} == {}


@pytest.mark.parametrize("flaw", ["drops Accept", "loses parameters", "decodes as text"])
def test_a_proxy_that_changes_something_is_found_out(
    service: Place, stored: dict[str, tuple[str, tuple[str, str, str]]], flaw: str
) -> None:
    with serving(Starlette(routes=[Route("/{path:path}", _proxy(service, flaw))])) as root:
        assert differences(Place(f"{root}/v2", service.headers), service, *stored["CT_small.dcm"])


def _proxy(service: Place, flaw: str) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    async def forward(request: Request) -> Response:
        accept = "*/*" if flaw == "drops Accept" else request.headers["accept"]
        url = f"{service.url.removesuffix('/v2')}{request.url.path}?{request.url.query}"
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(url, headers={**service.headers, "accept": accept})
        content, content_type = answer.content, answer.headers.get("content-type", "")
        if flaw == "loses parameters":
            content_type = content_type.partition(";")[0]
        if flaw == "decodes as text":
            content = content.decode("utf-8", "replace").encode()
        return Response(content, answer.status_code, {"content-type": content_type})

    return forward
