"""Search parameters (PS3.18 §8.3.4, §10.6.1.2)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from urllib.parse import quote, urlencode

from pydicom.datadict import dictionary_VR, tag_for_keyword

from .checks import check_int
from .errors import InvalidParameter

MAX_LIMIT = 200  # the Azure service answers 400 beyond it

# Keywords or tags, one inside the other by dots (PS3.18 §8.3.4.1); the Azure service takes no dots.
ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9]*|[0-9A-Fa-f]{8}", re.ASCII)
_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_NOT_ATTRIBUTES = frozenset({"limit", "offset", "fuzzymatching", "includefield"})


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
        check_page(self.limit, self.offset)
        if isinstance(self.includefield, str):
            raise InvalidParameter("includefield is a sequence of attributes")
        # Copies: what was checked is what is sent.
        object.__setattr__(self, "filters", dict(self.filters))
        object.__setattr__(self, "includefield", tuple(self.includefield))
        self._check_attributes()
        for name, value in self.filters.items():
            _check_value(name, value)
        if self.fuzzymatching and any('"' in value for name, value in self.filters.items() if _is_name(name)):
            raise InvalidParameter('a person name cannot have a " in its value with fuzzymatching')

    def _check_attributes(self) -> None:
        if not all(map(_is_attribute, [*self.filters, *self.includefield])):
            raise InvalidParameter("an attribute is named by its keyword or by eight hexadecimal digits")
        if len(self.includefield) > 1 and any(name.lower() == "all" for name in self.includefield):
            raise InvalidParameter("includefield: all stands by itself")
        if len({_tag_of(name) or name.lower() for name in self.filters}) < len(self.filters):
            raise InvalidParameter("an attribute can be a filter once, by keyword or by tag")

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


def check_page(limit: int | None, offset: int) -> None:
    """See that a page is one that the service gives.

    Raises:
        InvalidParameter: it is none.
    """
    if limit is not None:
        check_int("limit", limit, 1, MAX_LIMIT)
    check_int("offset", offset, 0)


def _is_attribute(name: str) -> bool:
    return name.lower() not in _NOT_ATTRIBUTES and all(map(ATTRIBUTE.fullmatch, name.split(".")))


def _check_value(name: str, value: str) -> None:
    if not isinstance(value, str) or not value.strip():
        raise InvalidParameter("a filter must have a value, a text")
    if "<" in value:
        raise InvalidParameter("a filter cannot have a < in its value: the service refuses it anywhere in a query")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise InvalidParameter("a filter's value must be encodable in UTF-8")
    if _vr_of(name) == "DA" and not _is_date_or_range(value):
        raise InvalidParameter("a date is YYYYMMDD; a range of them A-B, A- or -B, with the earlier one first")


def _tag_of(name: str) -> int | None:
    tag = tag_for_keyword(name)
    if tag is not None:
        return tag
    return int(name, 16) if _TAG.fullmatch(name) else None


def _vr_of(name: str) -> str | None:
    tag = _tag_of(name)
    try:
        return None if tag is None else dictionary_VR(tag)
    except KeyError:  # not in the dictionary
        return None


def _is_name(attribute: str) -> bool:
    return _vr_of(attribute) in ("PN", None)  # a private attribute may be one


def _is_date_or_range(value: str) -> bool:
    first, _, last = value.partition("-")
    ends = [end for end in (first, last) if end]
    return bool(ends) and all(map(_is_date, ends)) and ends == sorted(ends)


def _is_date(text: str) -> bool:
    try:
        return len(text) == 8 and text.isascii() and bool(datetime.strptime(text, "%Y%m%d"))
    except ValueError:
        return False
