"""QIDO-RS: the caller's search as a request to the service (PS3.18 §10.6)."""

from __future__ import annotations

from urllib.parse import unquote_plus

from starlette.requests import Request as HttpRequest

from shared.dicomweb import Request, Resource, media_types

# The function key may come in the query; it is nobody's business but the host's.
_HOSTS_PARAMETERS = frozenset({"code"})


def studies(http: HttpRequest) -> Request:
    """All studies."""
    return _search(http, "studies")


def series(http: HttpRequest) -> Request:
    """The series of a study, or of all."""
    return _search(http, "series")


def instances(http: HttpRequest) -> Request:
    """The instances of a series, of a study, or of all."""
    return _search(http, "instances")


def _search(http: HttpRequest, level: str) -> Request:
    parent = Resource(http.path_params.get("study"), http.path_params.get("series"))
    return Request(
        f"search {level}",
        "GET",
        parent.search_path(level),
        accept=media_types.DICOM_JSON,
        query=_own_parameters(http.url.query),
        statuses=frozenset({200, 204}),
    )


def _own_parameters(query: str) -> str:
    """Return the query byte for byte, without the host's parameters."""
    pairs = query.split("&")
    return "&".join(pair for pair in pairs if unquote_plus(pair.partition("=")[0]).lower() not in _HOSTS_PARAMETERS)
