"""QIDO-RS: the caller's search as a request to the service (PS3.18 §10.6)."""

from __future__ import annotations

from typing import Literal
from urllib.parse import unquote_plus

from starlette.responses import JSONResponse, Response

from query_api.lookup import Answer, Lookup
from shared.dicomweb import Request, media_types
from shared.problems import NOT_KEPT

# The function key may come in the query; it is nobody's business but the host's.
_HOSTS_PARAMETERS = frozenset({"code"})


def search(kind: Literal["studies", "series", "instances"]) -> Answer:
    """Return what answers a search for studies, series or instances."""

    async def answer(lookup: Lookup) -> Response:
        request = Request(
            f"search {kind}",
            "GET",
            lookup.resource.search_path(kind),
            accept=media_types.DICOM_JSON,
            query=_own_parameters(lookup.http.url.query),
            statuses=frozenset({200, 204}),
        )
        found = await lookup.dicom.fetch_json(request) or []
        lookup.datasets = len(found)
        return JSONResponse(found, headers=NOT_KEPT, media_type=media_types.DICOM_JSON)

    return answer


def _own_parameters(query: str) -> str:
    """Return the query byte for byte, without the host's parameters."""
    pairs = query.split("&")
    return "&".join(pair for pair in pairs if unquote_plus(pair.partition("=")[0]).lower() not in _HOSTS_PARAMETERS)
