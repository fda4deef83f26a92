"""Results for those who know no DICOM: keywords and plain values (`format=plain`); pure."""

from __future__ import annotations

from typing import Any, Final

from pydicom.datadict import dictionary_VM

from shared.dicomweb import InvalidResponse
from shared.dicomweb.answers import reading_answer
from shared.dicomweb.search import Row

from .attributes import (
    ALL_FIELDS,
    COMPUTED,
    NUMBER_OF_STUDY_RELATED_SERIES,
    RETRIEVE_URL,
    SEARCHABLE,
    keyword_of,
    vr_of,
)
from .rows import values_of

_NUMBERS: Final = frozenset({"DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"})
_FIELDS: Final = {*SEARCHABLE, NUMBER_OF_STUDY_RELATED_SERIES, RETRIEVE_URL}.union(
    *ALL_FIELDS.values(), *COMPUTED.values()
)


def plain(row: Row) -> dict[str, Any]:
    """Return a result by keywords, or by eight digits where an attribute has no keyword.

    An attribute that the Standard gives one value has that value, or null; any other has a list, perhaps an empty one.
    A person's name is its alphabetic component group alone; a sequence is a list of objects.

    Raises:
        InvalidResponse: it is no DICOM JSON.
    """
    with reading_answer("search"):
        return {keyword_of(tag) or tag: _plain_element(tag, row) for tag in row}


def schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of an answer in this form."""
    properties = {keyword_of(tag): _schema_of(tag) for tag in sorted(_FIELDS)}
    return {
        "type": "array",
        "items": {
            "type": "object",
            "properties": properties,
            "patternProperties": {"^[0-9A-F]{8}$": {"type": "array"}},
            "additionalProperties": {"type": ["string", "number", "null", "array"]},
        },
    }


def _plain_element(tag: str, row: Row) -> Any:
    vr = "" if not values_of(row, tag) else row[tag].get("vr", "")
    values = [_plain_value(vr, value) for value in values_of(row, tag)]
    if _is_list(tag):
        return values
    # More values than there may be are told as a file has them.
    if len(values) > 1:
        return "\\".join("" if value is None else str(value) for value in values)
    return next(iter(values), None)


def _plain_value(vr: str, value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if vr == "PN":
        return value.get("Alphabetic")
    if vr == "SQ":
        return plain(value)
    raise InvalidResponse("search: a result is not DICOM JSON")


def _is_list(tag: str) -> bool:
    return not keyword_of(tag) or dictionary_VM(int(tag, 16)) != "1" or vr_of(tag) == "SQ"


def _schema_of(tag: str) -> dict[str, Any]:
    vr = vr_of(tag)
    if vr == "SQ":
        return {"type": "array", "items": {"type": "object"}}
    # A number that is none, as some files have it, comes as text.
    value = {"type": ["number", "string", "null"] if vr in _NUMBERS else ["string", "null"]}
    return {"type": "array", "items": value} if _is_list(tag) else value
