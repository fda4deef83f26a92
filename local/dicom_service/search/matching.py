"""How the index compares text: the collation of the service's database, as keys that compare byte by byte.

Exact matching ignores case and trailing blanks; of person names it ignores accents too. Numbers are compared as such,
dates and times by the moment that they begin at. Fuzzy matching compares the beginnings of words.
"""

from __future__ import annotations

import math
import re
import struct
import unicodedata
from collections.abc import Callable

from local.dicom_service.instances import value_rules
from local.dicom_service.search.attributes import Attribute

Key = str | int | float

PERSON_NAME_LENGTH = 200
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_OFFSET = re.compile(r"[+-][0-9]{4}$")
_WORD_BREAK = re.compile(r"[\s^=]+")


class NotOfItsVR(ValueError):
    """The text is no value of the attribute's VR, which is not compared as text."""


def key_of(attribute: Attribute, value: str) -> Key:
    """Return what a value of the attribute is indexed under, and looked for as.

    Raises:
        NotOfItsVR: it cannot be compared.
    """
    return _KEYS[attribute.vr](value.rstrip(" \0"))


def _text(value: str) -> str:
    return unicodedata.normalize("NFC", value).casefold()


def _name(value: str) -> str:
    return _without_accents(value[:PERSON_NAME_LENGTH]).casefold()


def _date(value: str) -> str:
    if not value_rules.is_date(value.strip()):
        raise NotOfItsVR
    return value.strip()


def _time(value: str) -> str:
    return _moment("TM", value.strip(), "000000")


def _date_time(value: str) -> str:
    local = _OFFSET.sub("", value.strip())
    key = _moment("DT", local, "00000101000000")
    if not value_rules.is_date(key[:8]):
        raise NotOfItsVR
    return key


def _moment(vr: str, value: str, completion: str) -> str:
    """Return the value with the parts that it leaves out, so that all compare as text."""
    if not value or value_rules.broken_rule(vr, [value]):
        raise NotOfItsVR
    whole, _, fraction = value.partition(".")
    return f"{whole}{completion[len(whole) :]}.{fraction:0<6}"


def _integer(value: str) -> int:
    if not _INTEGER.fullmatch(value.strip()):
        raise NotOfItsVR
    return int(value)


def _double(value: str) -> float:
    if not _NUMBER.fullmatch(value.strip()) or not math.isfinite(number := float(value)):
        raise NotOfItsVR
    return number


def _single(value: str) -> float:
    try:
        (number,) = struct.unpack("<f", struct.pack("<f", _double(value)))
    except OverflowError:
        raise NotOfItsVR from None
    return float(number)


_KEYS: dict[str, Callable[[str], Key]] = {
    "AE": _text,
    "AS": _text,
    "CS": _text,
    "DA": _date,
    "DS": _double,
    "DT": _date_time,
    "FD": _double,
    "FL": _single,
    "IS": _integer,
    "LO": _text,
    "PN": _name,
    "SH": _text,
    "SL": _integer,
    "SS": _integer,
    "TM": _time,
    "UI": str,
    "UL": _integer,
    "US": _integer,
}
VRS = frozenset(_KEYS)


def words_of(name: str) -> str:
    """Return the words of a person name, each after a blank, so that ` jo` is found at a word's beginning."""
    words = _WORD_BREAK.split(_without_accents(name).casefold().rstrip("\0"))
    return "".join(f" {word}" for word in words if word)


def words_begin_with(words: str | None, prefixes: str) -> bool:
    """Tell whether consecutive words begin with the prefixes, one each; both as from `words_of`."""
    parts = " ".join(re.escape(prefix) + r"\S*" for prefix in prefixes.split())
    return re.search(rf"(?:^| ){parts}", words or "") is not None


def _without_accents(value: str) -> str:
    decomposed = unicodedata.normalize("NFD", value)
    return "".join(character for character in decomposed if not unicodedata.combining(character))
