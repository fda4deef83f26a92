"""The OpenAPI document of a table of routes, and the lookup that is answered with it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from starlette.responses import JSONResponse, Response

from query_api.lookup import Endpoint, Lookup, Route
from shared.function_key import KEY_HEADER, KEY_PARAMETER
from shared.problems import NOT_KEPT

from .parameters import PARAMETERS, parameters_of
from .responses import HEADERS, problem_responses, problem_schemas, responses_of
from .schemas import SCHEMAS

_INFO: Final = {
    "title": "DICOM lookups",
    "version": "1",
    "description": "Searches (QIDO-RS) and retrievals (WADO-RS) of DICOM PS3.18, and what is new and gone. Each path "
    "answers HEAD as well as GET, without the body. Nothing here can write or delete.",
}
_KEYS: Final = {
    "key": {"type": "apiKey", "in": "header", "name": KEY_HEADER},
    "keyInQuery": {"type": "apiKey", "in": "query", "name": KEY_PARAMETER},
}
_PRINCIPAL: Final = {
    "principal": {
        "type": "http",
        "scheme": "bearer",
        "description": "a token that App Service authentication vouches for",
    }
}


def openapi(routes: Iterable[Route]) -> Endpoint:
    """Return what answers with the description of some routes, and of its own."""
    described = tuple(routes)

    async def answer(lookup: Lookup) -> Response:
        asks_for_key = lookup.settings.lookup_auth == "key"
        content = document((*described, lookup.route), lookup.address, host_asks_for_key=asks_for_key)
        return JSONResponse(content, headers=NOT_KEPT)

    return answer


def document(routes: Iterable[Route], address: str, *, host_asks_for_key: bool) -> dict[str, Any]:
    """Return the document (OpenAPI 3.1).

    Args:
        routes: the whole table.
        address: that stands above them, as the caller sees it.
        host_asks_for_key: whether callers have a function key, or are principals.
    """
    schemes = _KEYS if host_asks_for_key else _PRINCIPAL
    return {
        "openapi": "3.1.1",
        "info": _INFO,
        "servers": [{"url": address}],
        "security": [{name: []} for name in schemes],
        "paths": {f"/{route.path}": {"get": _operation(route)} for route in routes},
        "components": {
            "schemas": {**SCHEMAS, **problem_schemas()},
            "parameters": PARAMETERS,
            "headers": HEADERS,
            "responses": problem_responses(host_asks_for_key=host_asks_for_key),
            "securitySchemes": schemes,
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    return {
        "operationId": route.name,
        "summary": route.name.replace("_", " "),
        "tags": [route.transaction],
        "parameters": parameters_of(route),
        "responses": responses_of(route),
    }
