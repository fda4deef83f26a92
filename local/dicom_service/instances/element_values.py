"""One element's bytes → its values in the DICOM JSON Model (PS3.18 §F.2), and the rule that they break, if any.

This reads the bytes that pydicom found rather than pydicom's own values: the service keeps an instance whose
attributes are invalid, and a conversion that raises could not say which of them are.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Any

from pydicom import charset
from pydicom.valuerep import PN_DELIMS, TEXT_VR_DELIMS

from local.dicom_service.instances import value_rules

BULK_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_SINGLE_VALUED = frozenset({"LT", "ST", "UR", "UT"})
_ENCODED = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})  # follow SpecificCharacterSet (PS3.5 §6.1.2.3)
_NUMBERS = {"US": "H", "SS": "h", "UL": "L", "SL": "l", "UV": "Q", "SV": "q", "FL": "f", "FD": "d"}
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_LONGEST_NUMBER = 64


@dataclass(frozen=True)
class Values:
    """The values of an element as DICOM JSON has them, and why they are invalid if they are."""

    json: list[Any]
    broken_rule: str | None


@dataclass(frozen=True)
class Encoding:
    """How the bytes around an element are to be read."""

    character_sets: list[str]
    little_endian: bool


def number_of_values(vr: str, data: bytes) -> int:
    """Return how many values `read` would return at most, without reading them."""
    return len(data) // struct.calcsize(_NUMBERS.get(vr, "L")) if vr in (*_NUMBERS, "AT") else data.count(b"\\") + 1


def read(vr: str, data: bytes, encoding: Encoding) -> Values:
    """Read the values of an element that is neither a sequence nor bulk data."""
    if vr == "AT":
        return Values(_tags(data, encoding), value_rules.broken_length(vr, len(data)))
    if vr in _NUMBERS:
        return Values(_numbers(vr, data, encoding), value_rules.broken_length(vr, len(data)))
    texts = _texts(vr, data, encoding)
    values = [_to_json(vr, text) for text in texts]
    # An element whose values are all empty has none.
    present = values if any(value is not None for value in values) else []
    return Values(present, value_rules.broken_rule(vr, texts))


def _tags(data: bytes, encoding: Encoding) -> list[Any]:
    words = _unpack("H", data[: len(data) // 4 * 4], encoding)
    return [f"{group:04X}{element:04X}" for group, element in zip(words[::2], words[1::2], strict=True)]


def _numbers(vr: str, data: bytes, encoding: Encoding) -> list[Any]:
    numbers = _unpack(_NUMBERS[vr], data, encoding)
    return [_finite(number) for number in numbers] if vr in ("FL", "FD") else numbers


def _unpack(code: str, data: bytes, encoding: Encoding) -> list[Any]:
    order = "<" if encoding.little_endian else ">"
    count = len(data) // struct.calcsize(order + code)
    return list(struct.unpack_from(f"{order}{count}{code}", data))


def _finite(number: float) -> float | str:
    # JSON has no such numbers; PS3.18 §F.2.3 writes them as strings.
    if number != number:
        return "NaN"
    if number in (float("inf"), float("-inf")):
        return "inf" if number > 0 else "-inf"
    return number


def _texts(vr: str, data: bytes, encoding: Encoding) -> list[str]:
    text = _decode(vr, data, encoding).rstrip("\0")
    values = [text] if vr in _SINGLE_VALUED else text.split("\\")
    return [value.rstrip(" \0") for value in values]


def _decode(vr: str, data: bytes, encoding: Encoding) -> str:
    if vr not in _ENCODED:
        return data.decode("latin-1")
    if vr != "PN":
        return charset.decode_bytes(data, encoding.character_sets, TEXT_VR_DELIMS)
    # Each component group of a name may switch the character set anew (PS3.5 §6.2.1.2).
    groups = data.split(b"=")
    return "=".join(charset.decode_bytes(group, encoding.character_sets, PN_DELIMS) for group in groups)


def _to_json(vr: str, text: str) -> Any:
    if not text:
        return None
    if vr == "PN":
        return person_name(text)
    if vr in ("IS", "DS"):
        return _number_or_text(vr, text)
    return text


def person_name(text: str) -> dict[str, str] | None:
    """Return the component groups of a person name (PS3.18 §F.2.2), or None if all are empty."""
    names = zip(("Alphabetic", "Ideographic", "Phonetic"), text.split("="), strict=False)
    return {name: group for name, group in names if group} or None


def person_name_text(groups: dict[str, str]) -> str:
    """Return the person name that has these component groups: what `person_name` undoes."""
    names = ("Alphabetic", "Ideographic", "Phonetic")
    return "=".join(groups.get(name, "") for name in names).rstrip("=")


def _number_or_text(vr: str, text: str) -> int | float | str:
    number = text.strip()
    if len(number) > _LONGEST_NUMBER:
        return text
    if vr == "IS":
        return int(number) if _INTEGER.fullmatch(number) else text
    return _finite(float(number)) if _DECIMAL.fullmatch(number) else text
