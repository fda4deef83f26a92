"""Search parameters (PS3.18 §8.3.4, §10.6.1.2)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import quote, urlencode

from pydicom.datadict import dictionary_VR, tag_for_keyword

from .errors import InvalidParameter

MAX_LIMIT = 200  # the Azure service answers 400 beyond it

# Keywords or tags, one inside the other by dots (PS3.18 §8.3.4.1); the Azure service takes no dots.
_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9]*|[0-9A-Fa-f]{8}", re.ASCII)
_NOT_ATTRIBUTES = frozenset({"limit", "offset", "fuzzymatching", "includefield"})
_DATE_RANGE = re.compile(r"([0-9]{8})-([0-9]{8})", re.ASCII)


@dataclass(frozen=True)
class Query:
    """What to search for, and which page of it.

    Args:
        filters: keyword or tag of eight hexadecimal digits → value; dates may be ranges, `20200101-20201231`.
            The Azure service takes `*` and `?` literally.
        includefield: further attributes to return; `all` only by itself.
        fuzzymatching: match the beginnings of the words of a person's name.
        limit: results in a page, 1 to 200; the service's own number (100) if None.
        offset: results to pass over.

    Raises:
        InvalidParameter: one of them is of a kind that the service refuses.
    """

    filters: Mapping[str, str] = field(default_factory=dict)
    includefield: Sequence[str] = ()
    fuzzymatching: bool = False
    limit: int | None = None
    offset: int = 0

    def __post_init__(self) -> None:
        if self.limit is not None and not 1 <= self.limit <= MAX_LIMIT:
            raise InvalidParameter(f"limit must be between 1 and {MAX_LIMIT}")
        if self.offset < 0:
            raise InvalidParameter("offset must not be negative")
        if "all" in self.includefield and len(self.includefield) > 1:
            raise InvalidParameter("includefield: all stands by itself")
        if not all(map(_is_attribute, [*self.filters, *self.includefield])):
            raise InvalidParameter("an attribute is named by its keyword or by eight hexadecimal digits")
        for name, value in self.filters.items():
            _check_value(name, value)

    def page(self, offset: int, limit: int) -> Query:
        """Return the same query for another page."""
        return replace(self, offset=offset, limit=limit)

    def encode(self) -> str:
        """Return the query string, without a question mark."""
        pairs = list(self.filters.items())
        pairs += [("includefield", name) for name in self.includefield]
        if self.fuzzymatching:
            pairs.append(("fuzzymatching", "true"))
        if self.limit is not None:
            pairs.append(("limit", str(self.limit)))
        if self.offset:
            pairs.append(("offset", str(self.offset)))
        return urlencode(pairs, quote_via=quote)


def _is_attribute(name: str) -> bool:
    return name.lower() not in _NOT_ATTRIBUTES and all(map(_ATTRIBUTE.fullmatch, name.split(".")))


def _check_value(name: str, value: str) -> None:
    if not value.strip():
        raise InvalidParameter("a filter must have a value")
    if "<" in value:
        raise InvalidParameter("a filter cannot have a < in its value: the service refuses it anywhere in a query")
    if _vr_of(name) == "DA" and (value == "-" or _is_backwards(value)):
        raise InvalidParameter("a range of dates must have its earlier end first, and one end at least")


def _vr_of(name: str) -> str | None:
    tag = tag_for_keyword(name)
    try:
        return dictionary_VR(tag if tag is not None else int(name, 16))
    except (KeyError, ValueError):  # not in the dictionary
        return None


def _is_backwards(value: str) -> bool:
    found = _DATE_RANGE.fullmatch(value)
    return found is not None and found[1] > found[2]
