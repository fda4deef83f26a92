"""A search request's query string → what it asks for (PS3.18 §8.3.4), by the service's rules. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl

from local.dicom_service.extended_query_tags.tags import tag_named
from local.dicom_service.search import matching
from local.dicom_service.search.attributes import ALL_FIELDS, DEFAULT_FIELDS, SEARCHABLE, Attribute, Level
from local.dicom_service.search.matching import Key
from local.dicom_service.web.errors import bad_request
from local.dicom_service.web.options import flag, limit_and_offset

_OPTIONS = ("limit", "offset", "fuzzymatching", "includefield")
_RANGED = ("DA", "DT", "TM")


@dataclass(frozen=True)
class Exact:
    """The attribute is the value, given as its key."""

    attribute: Attribute
    key: Key


@dataclass(frozen=True)
class Range:
    """The date or time lies between the two, which are included; None is open."""

    attribute: Attribute
    earliest: Key | None
    latest: Key | None


@dataclass(frozen=True)
class Fuzzy:
    """Consecutive words of the name begin with the prefixes, given as `matching.words_of` has them."""

    attribute: Attribute
    prefixes: str


Condition = Exact | Range | Fuzzy


@dataclass(frozen=True)
class Query:
    """A search: its conditions must all hold; `fields` are the tags to return, `names` what conditions go by in it."""

    conditions: tuple[Condition, ...]
    names: Mapping[str, str]
    fields: frozenset[str]
    limit: int
    offset: int


@dataclass
class _Parameters:
    options: dict[str, str] = field(default_factory=dict)
    include: list[str] = field(default_factory=list)
    matches: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)


def parse(query_string: str, levels: frozenset[Level], extended: Iterable[Attribute] = ()) -> Query:
    """Read the query string of a search over the given levels; `extended` are attributes that it may ask for too.

    Raises:
        ServiceError: 400, something in it is not understood or not supported.
    """
    if "<" in query_string or "%3c" in query_string.lower():
        raise bad_request("The query string may not hold an angle bracket.")
    searchable = {attribute.tag: attribute for attribute in (*SEARCHABLE.values(), *extended)}
    known = {tag: attribute for tag, attribute in searchable.items() if attribute.level in levels}
    parameters = _parameters(parse_qsl(query_string, keep_blank_values=True), known)
    fuzzy = flag("fuzzymatching", parameters.options.get("fuzzymatching", "false"))
    limit, offset = limit_and_offset(parameters.options)
    return Query(
        conditions=tuple(_condition(known[tag], text, fuzzy) for tag, text in parameters.matches.items()),
        names=parameters.names,
        fields=frozenset(_fields(parameters.include, levels)) | parameters.matches.keys(),
        limit=limit,
        offset=offset,
    )


def _parameters(pairs: list[tuple[str, str]], known: Mapping[str, Attribute]) -> _Parameters:
    parameters = _Parameters()
    for name, value in pairs:
        if not value.replace("\0", " ").strip():  # padding alone
            raise bad_request("A query parameter has no value.")
        option = name.lower()
        if option == "includefield":
            parameters.include += value.split(",")
        elif option in _OPTIONS:
            _put_once(parameters.options, option, value)
        else:
            tag = _searchable_tag(name, known)
            _put_once(parameters.matches, tag, value)
            parameters.names[tag] = name
    return parameters


def _put_once(values: dict[str, str], name: str, value: str) -> None:
    if name in values:
        raise bad_request("A query parameter stands more than once.")
    values[name] = value


def _searchable_tag(name: str, known: Mapping[str, Attribute]) -> str:
    tag = tag_named(name)
    if tag is None:
        raise bad_request("A query parameter is neither an option nor an attribute.")
    if tag not in known:
        raise bad_request(f"The attribute {tag} cannot be searched for with this resource.")
    return tag


def _condition(attribute: Attribute, text: str, fuzzy: bool) -> Condition:
    if attribute.vr in _RANGED and "-" in text:
        return _range(attribute, text)
    if attribute.vr == "PN" and fuzzy:
        if '"' in text:
            raise bad_request("Fuzzy matching does not take a quotation mark.")
        return _fuzzy(attribute, matching.words_of(text))
    return Exact(attribute, _key(attribute, text))


def _key(attribute: Attribute, text: str) -> Key:
    # An offset behind a minus sign cannot be told from a range.
    if attribute.vr == "DT" and "+" in text:
        raise bad_request("A date and time must be without an offset from UTC.")
    try:
        return matching.key_of(attribute, text)
    except matching.NotOfItsVR:
        raise bad_request(f"The value for {attribute.tag} is not one of its VR, {attribute.vr}.") from None


def _fuzzy(attribute: Attribute, prefixes: str) -> Fuzzy:
    if not prefixes:
        raise bad_request("Fuzzy matching needs a word.")
    return Fuzzy(attribute, prefixes)


def _range(attribute: Attribute, text: str) -> Range:
    earliest, _, latest = text.partition("-")
    start, end = (_key(attribute, part) if part.strip() else None for part in (earliest, latest))
    if start is None and end is None:
        raise bad_request("A range needs at least one end.")
    if start is not None and end is not None and str(start) > str(end):
        raise bad_request("A range begins after its end.")
    return Range(attribute, start, end)


def _fields(include: list[str], levels: frozenset[Level]) -> list[str]:
    names = [name.strip() for name in include]
    if any(name.lower() == "all" for name in names):
        if len(names) > 1:
            raise bad_request("includefield=all cannot stand with other fields.")
        return [tag for level in levels for tag in ALL_FIELDS[level]]
    tags = [tag_named(name) for name in names]
    if None in tags:
        raise bad_request("includefield names something that is not an attribute.")
    return [tag for level in levels for tag in DEFAULT_FIELDS[level]] + [tag for tag in tags if tag]


def with_fields(query: Query, tags: list[str]) -> Query:
    """Return the same query with more fields."""
    return replace(query, fields=query.fields | set(tags))
