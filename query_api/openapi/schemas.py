"""The bodies of answers as JSON Schema (draft 2020-12, which OpenAPI 3.1 takes as it is)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from query_api.changes.changes import ACTIONS
from query_api.searching import plain
from shared.dicomweb import ChangeState

UID: Final = {"type": "string", "pattern": r"^(?!\.+$)[A-Za-z0-9.-]{1,64}$"}
PARTITION: Final = {"type": "string", "pattern": "^[A-Za-z0-9_.-]{1,64}$"}

# PS3.18 Annex F.2: what an element has depends on its VR.
_ELEMENT: Final = {
    "type": "object",
    "required": ["vr"],
    "properties": {
        "vr": {"type": "string", "pattern": "^[A-Z]{2}$"},
        "Value": {"type": "array"},
        "InlineBinary": {"type": "string"},
        "BulkDataURI": {"type": "string", "format": "uri-reference"},
    },
    "additionalProperties": False,
}
_DATASETS: Final = {
    "type": "array",
    "items": {
        "type": "object",
        "patternProperties": {"^[0-9A-F]{8}$": {"$ref": "#/components/schemas/Element"}},
        "additionalProperties": False,
    },
}
_CHANGE_FIELDS: Final[dict[str, dict[str, Any]]] = {
    "sequence": {"type": "integer", "minimum": 1},
    "action": {"enum": list(ACTIONS.values())},
    "state": {"enum": [state.value for state in ChangeState], "description": "what has become of it by now"},
    "timestamp": {"type": "string", "format": "date-time"},
    "partition": PARTITION,
    "study_instance_uid": UID,
    "series_instance_uid": UID,
    "sop_instance_uid": UID,
}
_CHANGES: Final = {
    "type": "object",
    "required": ["changes", "next", "more"],
    "properties": {
        "changes": {"type": "array", "items": {"$ref": "#/components/schemas/Change"}},
        "next": {"type": "string", "description": "`since` of the next request"},
        "more": {"type": "boolean", "description": "whether there are more by now"},
    },
    "additionalProperties": False,
}

SCHEMAS: Final[dict[str, dict[str, Any]]] = {
    "Datasets": _DATASETS,
    "Element": _ELEMENT,
    "PlainResults": plain.schema(),
    "Changes": _CHANGES,
    "Change": {
        "type": "object",
        "required": list(_CHANGE_FIELDS),
        "properties": _CHANGE_FIELDS,
        "additionalProperties": False,
    },
    "Document": {"type": "object", "required": ["openapi", "info", "paths"]},
}


def problem(status: int, codes: Iterable[str]) -> dict[str, Any]:
    """Return the schema of a problem (RFC 9457) with a status and one of these codes."""
    return {
        "type": "object",
        "required": ["type", "status", "code", "title"],
        "properties": {
            "type": {"type": "string", "format": "uri-reference"},
            "status": {"const": status},
            "code": {"enum": sorted(codes)},
            "title": {"type": "string"},
            "detail": {"type": "string"},
            "parameter": {"type": "string"},
        },
    }
