"""What lookups are answered with: by status, the problems of `shared.problems` and `query_api.refusals` among them."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from query_api.lookup import Route, Transaction
from query_api.refusals import REFUSALS
from query_api.retrieving.negotiating import Kind, media_types_of
from shared.dicomweb import media_types
from shared.problems import CODES

from . import examples
from .contents import kind_of
from .schemas import problem

_PROBLEMS: Final[Mapping[str, tuple[int, str]]] = {**CODES, **REFUSALS}
STATUSES: Final = sorted({status for status, _ in _PROBLEMS.values()})
# The feed has one form, and the description's own answer needs nothing of the service and is in no partition.
_NEVER: Final[Mapping[Transaction, frozenset[int]]] = {
    "changes": frozenset({406}),
    "openapi": frozenset({400, 403, 404, 406, 429, 502}),
}

_BYTES: Final[dict[str, Any]] = {}  # no schema: OpenAPI 3.1 has none for bytes


def _header(kind: str, description: str) -> dict[str, Any]:
    return {"schema": {"type": kind}, "description": description}


HEADERS: Final[Mapping[str, dict[str, Any]]] = {
    "x-request-id": _header("string", "names the lookup in the app's log"),
    "Retry-After": _header("integer", "seconds after which it is of use to ask again"),
    "Allow": _header("string", "the methods that there are"),
    "Link": _header("string", '`rel="next"`: where the next results are (RFC 8288)'),
    "Warning": _header("string", "what was done in another way than it was asked for, each with code 299"),
    "erroneous-dicom-attributes": _header("string", "extended query tags by which results may be missing"),
    "ETag": _header("string", "for `If-None-Match`"),
}


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in (*names, "x-request-id")}


def _json(media_type: str, schema: str, example: object) -> dict[str, Any]:
    return {media_type: {"schema": {"$ref": f"#/components/schemas/{schema}"}, "example": example}}


def _success(route: Route) -> dict[str, Any]:
    """Return the answers, by status, to a lookup that is answered."""
    if route.transaction == "search":
        return _SEARCH
    if route.transaction == "retrieve":
        return _retrieved(kind_of(route))
    return _CHANGES if route.transaction == "changes" else _DOCUMENT


def _answer(description: str, content: Mapping[str, Any] | None, *headers: str) -> dict[str, Any]:
    return {"description": description, "headers": _headers(*headers)} | ({"content": content} if content else {})


_SEARCH_HEADERS: Final = ("Link", "Warning", "erroneous-dicom-attributes")
_RESULTS: Final = {
    **_json(media_types.DICOM_JSON, "Datasets", examples.DATASETS),
    **_json(media_types.JSON, "PlainResults", examples.PLAIN),
}
_METADATA: Final = {
    **_json(media_types.DICOM_JSON, "Datasets", examples.DATASETS),
    **_json(media_types.JSON, "Datasets", examples.DATASETS),
}
_SEARCH: Final = {
    "200": _answer("what was found", _RESULTS, *_SEARCH_HEADERS),
    "204": _answer("nothing was found, and `EMPTY_SEARCH_STATUS` is 204", None, *_SEARCH_HEADERS),
}
_CHANGES: Final = {"200": _answer("what is new and gone", _json(media_types.JSON, "Changes", examples.CHANGES))}
_DOCUMENT: Final = {"200": _answer("this document", _json(media_types.JSON, "Document", examples.DOCUMENT))}


def _retrieved(kind: Kind) -> dict[str, Any]:
    if kind == "metadata":
        known = _answer("the caller's copy is current", None, "ETag")
        return {"200": _answer("attributes of instances", _METADATA, "ETag"), "304": known}
    content = dict.fromkeys(media_types_of(kind), _BYTES)
    return {"200": _answer("a picture" if kind == "picture" else "what is stored", content, "Warning")}


def responses_of(route: Route) -> dict[str, Any]:
    """Return all answers of a route, by status; problems by reference."""
    statuses = [status for status in STATUSES if status not in _NEVER.get(route.transaction, ())]
    problems = {str(status): {"$ref": f"#/components/responses/Problem{status}"} for status in statuses}
    return {**_success(route), **problems}


def problem_responses(*, host_asks_for_key: bool) -> dict[str, Any]:
    """Return what stands for each status of a problem; where the host asks for the key, its 401 has no body."""
    responses = {f"Problem{status}": _problem(status) for status in STATUSES}
    if host_asks_for_key:
        responses["Problem401"] = {"description": "the function key is missing or wrong"}
    return responses


def problem_schemas() -> dict[str, Any]:
    """Return the schema of the problems of each status."""
    return {f"Problem{status}": problem(status, _codes(status)) for status in STATUSES}


def _problem(status: int) -> dict[str, Any]:
    code, title = next(iter(_codes(status).items()))
    example = {"type": "about:blank", "status": status, "code": code, "title": title}
    more = {405: ("Allow",), 429: ("Retry-After",), 503: ("Retry-After",)}.get(status, ())
    return {
        "description": HTTPStatus(status).phrase,
        "headers": _headers(*more),
        "content": _json("application/problem+json", f"Problem{status}", example),
    }


def _codes(status: int) -> dict[str, str]:
    """Return the codes of a status, each with what it means."""
    return {code: title for code, (of, title) in _PROBLEMS.items() if of == status}
