"""What a request may have in its path, its query and its headers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from query_api.changes.changes import DEFAULT_LIMIT, MAX_LIMIT
from query_api.lookup import Route
from query_api.retrieving.negotiating import Kind
from query_api.retrieving.options import IGNORED
from query_api.searching.attributes import Attribute

from . import examples
from .contents import kind_of, scope_of
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

_TEXT: Final = {"type": "string"}
_PREFER: Final = {"type": "string", "enum": ["handling=strict", "handling=lenient"]}
_STRICT: Final = _parameter(
    "header", "Prefer", _PREFER, "handling=strict", "whether what can only be answered in another way is refused"
)
_SEARCH: Final = (
    _parameter("query", "limit", {"type": "integer", "minimum": 1}, 100, "how many results at most"),
    _parameter("query", "offset", {"type": "integer", "minimum": 0}, 0, "how many results to pass over"),
    _parameter("query", "fuzzymatching", {"type": "boolean"}, True, "values of names are beginnings of words"),
    _parameter("query", "includefield", _TEXT, "StudyTime,PatientSex", "attributes to return besides, or `all`"),
    _parameter("query", "format", {"const": "plain"}, "plain", "results with keywords and plain values"),
    _STRICT,
)


def _accept(example: str) -> dict[str, Any]:
    return _parameter("query", "accept", _TEXT, example, "in place of the header Accept; 32 media ranges at most")


_QUALITY: Final = {"type": "integer", "minimum": 1, "maximum": 100}
_PICTURE: Final = (
    _accept("image/png"),
    _parameter("query", "quality", _QUALITY, 80, "of a JPEG"),
    *(_parameter("query", name, _TEXT, "", "is ignored, and the answer says so") for name in IGNORED),
    _STRICT,
)
_METADATA: Final = (
    _accept("application/json"),
    _parameter("header", "If-None-Match", _TEXT, '"1-2"', "the `ETag` of the caller's copy"),
)
_CHANGES_LIMIT: Final = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}
_CHANGES: Final = (
    _parameter("query", "since", _TEXT, "now", "a token, a time with its zone (RFC 3339), or `now`"),
    _parameter("query", "limit", _CHANGES_LIMIT, 100, "how many changes at most"),
)
# Kind of content → what its retrieval may have.
_RETRIEVAL: Final[Mapping[Kind, Sequence[dict[str, Any]]]] = {"metadata": _METADATA, "picture": _PICTURE}


def parameters_of(route: Route) -> list[dict[str, Any]]:
    """Return the parameters of a route, those of its path by reference."""
    in_path = [{"$ref": f"#/components/parameters/{name}"} for name in _IN_PATH.findall(route.path)]
    return [*in_path, *_beyond_path(route)]


def _beyond_path(route: Route) -> Sequence[dict[str, Any]]:
    if route.transaction == "search":
        return [*map(_attribute, scope_of(route).attributes), *_SEARCH]
    if route.transaction == "retrieve":
        return _RETRIEVAL.get(kind_of(route), (_accept("*/*"),))
    return _CHANGES if route.transaction == "changes" else ()


def _attribute(attribute: Attribute) -> dict[str, Any]:
    schema = {"type": "string", "minLength": 1}
    described = f"({attribute.tag[:4]},{attribute.tag[4:]}), {attribute.vr}, of {attribute.level.name.lower()} level"
    return _parameter("query", attribute.name, schema, examples.SOUGHT[attribute.vr], described)
