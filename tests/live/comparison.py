"""What a DICOMweb client gets at two places, held against each other: byte for byte, header by header."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import requests
from dicomweb_client.api import DICOMwebClient
from pydicom.errors import InvalidDicomError

from shared.dicomweb import Resource
from shared.dicomweb.media_types import media_type_of
from shared.dicomweb.multipart import MultipartParser, PartBegin, PartData, boundary_of

Uids = tuple[str, str, str]

AS_STORED = "application/dicom; transfer-syntax=*"
FORMS = {
    "": (AS_STORED, 'multipart/related; type="application/dicom"; transfer-syntax=*'),
    "/frames/1": (
        "application/octet-stream; transfer-syntax=*",
        'multipart/related; type="application/octet-stream"; transfer-syntax=*',
    ),
    "/rendered": ("image/jpeg", "image/png"),
    "/metadata": ("application/dicom+json",),
}
# What the app adds to the rows of a search on purpose: where each is found, and what the Standard requires.
ADDED = frozenset({"00081190", "00080061", "00201208", "00201209"})


@dataclass(frozen=True)
class Place:
    """A DICOMweb service.

    Args:
        url: its base address.
        session: has what it asks for, a key or a token.
    """

    url: str
    session: requests.Session

    def below(self, partition: str) -> Place:
        """Return one of its partitions."""
        return Place(f"{self.url}/partitions/{partition}", self.session)

    @property
    def client(self) -> DICOMwebClient:
        """PyPI's client of it."""
        return DICOMwebClient(self.url, session=self.session)


def differences(one: Place, other: Place, uids: Uids) -> list[str]:
    """Return what is not the same of one instance, in no words of its own."""
    asked = [*_plain_requests(uids), *_clients_methods(uids)]
    return [what for what, ask in asked if _outcome(ask, one) != _outcome(ask, other)]


def _outcome(ask: Callable[[Place], Any], place: Place) -> Any:
    try:
        return ask(place)
    except requests.HTTPError as error:
        return str(error)[:4]  # the status: what follows names the address
    except (ValueError, InvalidDicomError) as error:
        return type(error)  # what came cannot be read


def _plain_requests(uids: Uids) -> Iterator[tuple[str, Callable[[Place], Any]]]:
    """Yield each form of each resource of an instance."""
    path = Resource.instance(*uids).path
    for suffix, forms in FORMS.items():
        for accept in forms:
            yield f"{suffix or 'instance'} as {accept}", _getting(path + suffix, accept)


def _getting(path: str, accept: str) -> Callable[[Place], Any]:
    return lambda place: _get(place, path, accept)


def _get(place: Place, path: str, accept: str) -> tuple[int, Any, Any]:
    """Return the status, and the body with its type: of a multipart message, those of each part."""
    response = place.session.get(place.url + path, headers={"Accept": accept})
    if response.status_code != 200:
        return response.status_code, None, None
    content_type = response.headers["Content-Type"]
    media_type, parameters = media_type_of(content_type)
    if media_type == "multipart/related":
        return 200, media_type, list(_parts(content_type, response.content))
    return 200, (media_type, parameters.get("transfer-syntax")), response.content


def _parts(content_type: str, body: bytes) -> Iterator[tuple[str | None, bytes]]:
    parser = MultipartParser(boundary_of(content_type))
    headers, content = None, b""
    for event in parser.feed(body):
        if isinstance(event, PartBegin):
            headers, content = event.headers.get("content-type"), b""
        elif isinstance(event, PartData):
            content += event.data
        else:
            yield headers, content
    parser.close()


def _clients_methods(uids: Uids) -> Iterator[tuple[str, Callable[[Place], Any]]]:
    """Yield what PyPI's client offers for an instance, its series and its study."""
    stored = (("application/dicom", "*"),)
    frames = (("application/octet-stream", "*"),)
    study, series, _ = uids
    yield "retrieve_instance", lambda place: place.client.retrieve_instance(*uids, media_types=stored)
    yield "retrieve_instance_frames", lambda place: place.client.retrieve_instance_frames(*uids, [1], frames)
    yield "retrieve_instance_metadata", lambda place: place.client.retrieve_instance_metadata(*uids)
    yield "retrieve_series_metadata", lambda place: place.client.retrieve_series_metadata(study, series)
    yield "retrieve_study_metadata", lambda place: place.client.retrieve_study_metadata(study)
    yield "search_for_instances", lambda place: _rows(place.client.search_for_instances(study, series))
    yield "search_for_series", lambda place: _rows(place.client.search_for_series(study))
    yield (
        "search_for_studies",
        lambda place: _rows(place.client.search_for_studies(search_filters={"StudyInstanceUID": study})),
    )


def _rows(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{tag: element for tag, element in row.items() if tag not in ADDED} for row in found]
