"""A search request's query string → what it asks for (PS3.18 §8.3.4), by the service's rules. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl

from pydicom.datadict import keyword_for_tag, tag_for_keyword

from local.dicom_service import matching, value_rules
from local.dicom_service.attributes import ALL_FIELDS, DEFAULT_FIELDS, SEARCHABLE, Attribute, Level
from local.dicom_service.errors import bad_request

MAX_LIMIT = 200
DEFAULT_LIMIT = 100
_MAX_OFFSET = 2**31 - 1
_OPTIONS = ("limit", "offset", "fuzzymatching", "includefield")
_HEX_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_DIGITS = re.compile(r"[0-9]{1,10}")


@dataclass(frozen=True)
class Exact:
    """The attribute is the value, given as its key."""

    attribute: Attribute
    key: str


@dataclass(frozen=True)
class DateRange:
    """The date lies between the two, which are included; None is open."""

    attribute: Attribute
    earliest: str | None
    latest: str | None


@dataclass(frozen=True)
class Fuzzy:
    """Consecutive words of the name begin with the prefixes, given as `matching.words_of` has them."""

    attribute: Attribute
    prefixes: str


Condition = Exact | DateRange | Fuzzy


@dataclass(frozen=True)
class Query:
    """A search: its conditions must all hold; `fields` are the tags to return."""

    conditions: tuple[Condition, ...]
    fields: frozenset[str]
    limit: int
    offset: int


@dataclass
class _Parameters:
    options: dict[str, str] = field(default_factory=dict)
    include: list[str] = field(default_factory=list)
    matches: dict[str, str] = field(default_factory=dict)


def parse(query_string: str, levels: frozenset[Level]) -> Query:
    """Read the query string of a search over the given levels.

    Raises:
        ServiceError: 400, something in it is not understood or not supported.
    """
    if "<" in query_string or "%3c" in query_string.lower():
        raise bad_request("The query string may not hold an angle bracket.")
    parameters = _sort(parse_qsl(query_string, keep_blank_values=True), levels)
    fuzzy = _flag(parameters.options.get("fuzzymatching", "false"))
    return Query(
        conditions=tuple(_condition(SEARCHABLE[tag], text, fuzzy) for tag, text in parameters.matches.items()),
        fields=frozenset(_fields(parameters.include, levels)) | parameters.matches.keys(),
        limit=_number("limit", parameters.options.get("limit", str(DEFAULT_LIMIT)), 1, MAX_LIMIT),
        offset=_number("offset", parameters.options.get("offset", "0"), 0, _MAX_OFFSET),
    )


def _sort(pairs: list[tuple[str, str]], levels: frozenset[Level]) -> _Parameters:
    parameters = _Parameters()
    for name, value in pairs:
        if not value.strip():
            raise bad_request("A query parameter has no value.")
        option = name.lower()
        if option == "includefield":
            parameters.include += value.split(",")
        elif option in _OPTIONS:
            _put_once(parameters.options, option, value)
        else:
            _put_once(parameters.matches, _searchable_tag(name, levels), value)
    return parameters


def _put_once(values: dict[str, str], name: str, value: str) -> None:
    if name in values:
        raise bad_request("A query parameter stands more than once.")
    values[name] = value


def _searchable_tag(name: str, levels: frozenset[Level]) -> str:
    tag = _tag(name)
    if tag is None:
        raise bad_request("A query parameter is neither an option nor an attribute.")
    attribute = SEARCHABLE.get(tag)
    if attribute is None or attribute.level not in levels:
        raise bad_request(f"The attribute {tag} cannot be searched for with this resource.")
    return tag


def _tag(name: str) -> str | None:
    """Return the tag that a keyword or eight hexadecimal digits name."""
    if _HEX_TAG.fullmatch(name):
        return name.upper()
    tag = tag_for_keyword(name)
    # Some entries of pydicom's dictionary share a keyword; take only those that are their own.
    return f"{tag:08X}" if tag is not None and keyword_for_tag(tag) == name else None


def _condition(attribute: Attribute, text: str, fuzzy: bool) -> Condition:
    if attribute.vr == "DA":
        return _date_condition(attribute, text)
    if attribute.vr == "PN" and fuzzy:
        if '"' in text:
            raise bad_request("Fuzzy matching does not take a quotation mark.")
        return _fuzzy(attribute, matching.words_of(text))
    return Exact(attribute, matching.key_of(attribute, text))


def _fuzzy(attribute: Attribute, prefixes: str) -> Fuzzy:
    if not prefixes:
        raise bad_request("Fuzzy matching needs a word.")
    return Fuzzy(attribute, prefixes)


def _date_condition(attribute: Attribute, text: str) -> Condition:
    if "-" not in text:
        return Exact(attribute, _date(text))
    earliest, _, latest = text.partition("-")
    if not earliest.strip() and not latest.strip():
        raise bad_request("A date range needs at least one end.")
    start, end = (_date(part) if part.strip() else None for part in (earliest, latest))
    if start is not None and end is not None and start > end:
        raise bad_request("A date range begins after its end.")
    return DateRange(attribute, start, end)


def _date(text: str) -> str:
    text = text.strip()
    if not value_rules.is_date(text):
        raise bad_request("A date must be a real one of the form yyyyMMdd.")
    return text


def _fields(include: list[str], levels: frozenset[Level]) -> list[str]:
    names = [name.strip() for name in include]
    if any(name.lower() == "all" for name in names):
        if len(names) > 1:
            raise bad_request("includefield=all cannot stand with other fields.")
        return [tag for level in levels for tag in ALL_FIELDS[level]]
    tags = [_tag(name) for name in names]
    if None in tags:
        raise bad_request("includefield names something that is not an attribute.")
    return [tag for level in levels for tag in DEFAULT_FIELDS[level]] + [tag for tag in tags if tag]


def _flag(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise bad_request("fuzzymatching must be true or false.")
    return text.lower() == "true"


def _number(name: str, text: str, least: int, most: int) -> int:
    text = text.strip()
    if not _DIGITS.fullmatch(text) or not least <= int(text) <= most:
        raise bad_request(f"{name} must be a number from {least} to {most}.")
    return int(text)


def with_fields(query: Query, tags: list[str]) -> Query:
    """Return the same query with more fields."""
    return replace(query, fields=query.fields | set(tags))
