"""What a request may have in its path, its query and its headers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from query_api.changes.changes import DEFAULT_LIMIT, MAX_LIMIT
from query_api.lookup import Route, Transaction

from . import examples
from .schemas import PARTITION, UID

_IN_PATH = re.compile(r"\{(\w+)\}")


def _parameter(where: str, name: str, schema: Mapping[str, Any], example: object, description: str) -> dict[str, Any]:
    required = {"required": True} if where == "path" else {}
    return {"name": name, "in": where, **required, "schema": schema, "example": example, "description": description}


_FRAMES: Final = {"type": "string", "pattern": "^[1-9][0-9]{0,8}(,[1-9][0-9]{0,8})*$"}
_OF_PATHS: Final = (
    _parameter("path", "study", UID, examples.STUDY, "Study Instance UID"),
    _parameter("path", "series", UID, examples.SERIES, "Series Instance UID"),
    _parameter("path", "instance", UID, examples.INSTANCE, "SOP Instance UID"),
    _parameter("path", "frames", _FRAMES, "1,2", "numbers of frames, from 1 on"),
    _parameter("path", "partition", PARTITION, "ward-7", "a partition of the DICOM service"),
)
PARAMETERS: Final[Mapping[str, dict[str, Any]]] = {parameter["name"]: parameter for parameter in _OF_PATHS}

_CHANGES_LIMIT: Final = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}
_BEYOND_PATHS: Final[Mapping[Transaction, Sequence[dict[str, Any]]]] = {
    "search": (
        _parameter("query", "limit", {"type": "integer", "minimum": 1}, 100, "how many results at most"),
        _parameter("query", "offset", {"type": "integer", "minimum": 0}, 0, "results to pass over"),
    ),
    "retrieve": (
        _parameter("header", "If-None-Match", {"type": "string"}, '"1-2"', "the `ETag` of the caller's copy"),
    ),
    "changes": (
        _parameter("query", "since", {"type": "string"}, "now", "a token, a time with its zone (RFC 3339), or `now`"),
        _parameter("query", "limit", _CHANGES_LIMIT, 100, "how many changes at most"),
    ),
    "openapi": (),
}


def parameters_of(route: Route) -> list[dict[str, Any]]:
    """Return the parameters of a route, those of its path by reference."""
    in_path = [{"$ref": f"#/components/parameters/{name}"} for name in _IN_PATH.findall(route.path)]
    return [*in_path, *_BEYOND_PATHS[route.transaction]]
