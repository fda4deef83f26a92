"""A search's query string → what it asks for, each parameter checked (PS3.18 §8.3.4, §10.6.1.2); pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from shared.function_key import is_function_key
from shared.problems import invalid_parameter

from .attributes import SEARCHABLE, Attribute, Scope, keyword_of, tag_of, vr_of
from .values import fault_of, fault_of_text

_MAX_NUMBER: Final = 2_000_000_000  # the service's own limit, 2**31 - 1, leaves room for a page
_NUMBER = re.compile(r"[0-9]{1,10}", re.ASCII)


@dataclass(frozen=True)
class Filter:
    """An attribute and what it is asked to be.

    Args:
        name: as the caller writes it, keyword or tag.
        attribute: that it names.
        value: what is asked for; of a UI or CS perhaps several, and of a text perhaps a pattern.
        called: what messages call it: its keyword or tag, but its number where that may be anything.
    """

    name: str
    attribute: Attribute
    value: str
    called: str


@dataclass(frozen=True)
class Parameters:
    """What a search asks for.

    Args:
        filters: each attribute once.
        includefield: further attributes to return, as the caller writes them.
        fuzzymatching: match the beginnings of the words of a person's name.
        limit: results at a time; None leaves it to us.
        offset: results to pass over.
        is_plain: results with keywords and plain values.
    """

    filters: tuple[Filter, ...] = ()
    includefield: tuple[str, ...] = ()
    fuzzymatching: bool = False
    limit: int | None = None
    offset: int = 0
    is_plain: bool = False


def pairs_of(query: bytes) -> list[tuple[str, str]]:
    """Return the names and values of a query string, without the function key.

    Raises:
        Refused: 400, one of them is not percent-encoded UTF-8.
    """
    return [pair for pair in _pairs(query) if not is_function_key(pair[0])]


def other_tags(pairs: Sequence[tuple[str, str]]) -> set[str]:
    """Return the tags of what may be attributes, but is none that every service has: extended query tags, perhaps."""
    tags = {tag_of(name) for name, _ in pairs}
    return {tag for tag in tags if tag is not None and tag not in SEARCHABLE}


def read_query(query: bytes, scope: Scope, extended: Mapping[str, Attribute] | None = None) -> Parameters:
    """Read the query string of a search.

    Args:
        query: without the question mark.
        scope: what is searched.
        extended: what can be searched for besides, by tag; None where that is not known, and the service decides.

    Raises:
        Refused: 400, with the parameter's name, or its number where the name may be anything, and what is allowed.
    """
    return _Reading(scope, extended).read(_pairs(query))


def _pairs(query: bytes) -> list[tuple[str, str]]:
    parts = [part.partition(b"=") for part in query.split(b"&") if part]
    return [(_decoded(name, number), _decoded(value, number)) for number, (name, _, value) in enumerate(parts, 1)]


def _decoded(text: bytes, number: int) -> str:
    try:
        return unquote_to_bytes(text.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        raise invalid_parameter(_by_number(number), "It must be percent-encoded UTF-8.") from None


def _by_number(number: int) -> str:
    return f"parameter {number}"


class _Reading:
    def __init__(self, scope: Scope, extended: Mapping[str, Attribute] | None) -> None:
        self._scope = scope
        self._extended = extended
        self._options: dict[str, str] = {}
        self._includefield: list[str] = []
        self._filters: dict[str, Filter] = {}

    def read(self, pairs: Sequence[tuple[str, str]]) -> Parameters:
        for number, (name, value) in enumerate(pairs, 1):
            if not is_function_key(name):
                self._take(number, name, value)
        options = {name: _OPTIONS[name](value) for name, value in self._options.items()}
        is_fuzzy = options.get("fuzzymatching") == 1
        for filter_ in self._filters.values():
            if fault := fault_of(filter_.attribute.vr, filter_.value, fuzzy=is_fuzzy):
                raise invalid_parameter(filter_.called, fault)
        return Parameters(
            filters=tuple(self._filters.values()),
            includefield=tuple(self._includefield),
            fuzzymatching=is_fuzzy,
            limit=options.get("limit"),
            offset=options.get("offset", 0),
            is_plain="format" in options,
        )

    def _take(self, number: int, name: str, value: str) -> None:
        option = name.lower()
        if option == "includefield":
            if fault := fault_of_text(value):
                raise invalid_parameter(option, fault)
            self._includefield += [field.strip() for field in value.split(",")]
        elif option in _OPTIONS:
            if option in self._options:
                raise invalid_parameter(option, "It stands more than once.")
            self._options[option] = value
        else:
            self._take_filter(number, name, value)

    def _take_filter(self, number: int, name: str, value: str) -> None:
        attribute = self._attribute(number, name)
        is_known = keyword_of(attribute.tag) or self._extended is not None
        called = attribute.name if is_known else _by_number(number)
        if attribute.tag in self._filters:
            raise invalid_parameter(called, "The attribute stands more than once, by keyword or by tag.")
        self._filters[attribute.tag] = Filter(name, attribute, value, called)

    def _attribute(self, number: int, name: str) -> Attribute:
        tag = tag_of(name)
        attribute = SEARCHABLE.get(tag or "") or (self._extended or {}).get(tag or "")
        if tag is None or (attribute is None and self._extended is not None and not keyword_of(tag)):
            raise invalid_parameter(
                _by_number(number),
                "It is no parameter of searches: write an attribute's keyword, whose case matters, or its tag as eight "
                f"hexadecimal digits. {self._allowed()}",
            )
        if attribute is None and self._extended is None:
            return Attribute(tag, vr_of(tag), self._scope.level)
        if attribute is None or attribute.level not in self._scope.levels:
            raise invalid_parameter(keyword_of(tag) or tag, f"It cannot be searched for here. {self._allowed()}")
        return attribute

    def _allowed(self) -> str:
        more = [attribute for attribute in (self._extended or {}).values() if attribute.level in self._scope.levels]
        names = ", ".join([self._scope.attribute_names, *(attribute.name for attribute in more)])
        return f"Allowed here: {names}; and limit, offset, fuzzymatching, includefield, format."


def _limit(text: str) -> int:
    return _number("limit", text, 1)


def _offset(text: str) -> int:
    return _number("offset", text, 0)


def _number(name: str, text: str, least: int) -> int:
    if not _NUMBER.fullmatch(text) or not least <= int(text) <= _MAX_NUMBER:
        raise invalid_parameter(name, f"It must be a whole number from {least} to {_MAX_NUMBER}.")
    return int(text)


def _fuzzymatching(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise invalid_parameter("fuzzymatching", "It must be true or false.")
    return text.lower() == "true"


def _format(text: str) -> bool:
    if text.lower() != "plain":
        raise invalid_parameter("format", "It must be plain; without it, results are DICOM JSON.")
    return True


_OPTIONS: Final[Mapping[str, Callable[[str], int]]] = {
    "limit": _limit,
    "offset": _offset,
    "fuzzymatching": _fuzzymatching,
    "format": _format,
}
