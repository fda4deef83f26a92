"""Parts of a condition that contradict each other, so that no study meets all of them (pure).

A condition is taken apart into demands that hold together, also through `not` and `all`. Of an `any`, and of a `not` of
several keys, one branch must go with these demands.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from itertools import chain
from typing import Any, Final, NamedTuple

from pydicom.datadict import tag_for_keyword

from .conditions import forms
from .dates import FIRST_STUDY, OLDEST_YEARS
from .entries import day_of
from .model import KEYWORDS
from .texts import unbroken_parts, words_of

_WORDS, _PARTITION = "description_words", "partition"
# The first must be less than the second. The last study is never earlier than this one.
RANGES: Final = (
    ("study_date_from", "study_date_before"),
    ("age_at_study_from", "age_at_study_below"),
    ("age_at_last_study_from", "age_at_last_study_below"),
    ("age_at_study_from", "age_at_last_study_below"),
)
KINDS_OF_BOUNDS: Final[dict[str, type]] = {
    key: date if key.startswith("study_date") else int for pair in RANGES for key in pair
}
_OPPOSITES: Final = {**dict(RANGES[:3]), **{beyond: lowest for lowest, beyond in RANGES[:3]}}
# What holds for each study.
_ALWAYS: Final[dict[str, Any]] = {"study_date_from": FIRST_STUDY, "age_at_study_below": OLDEST_YEARS + 1}
_LONGEST_PHRASE: Final = 20  # words; all parts of a phrase are looked at
_LONGEST_WORD: Final = 64


class _Demand(NamedTuple):
    """A key of a condition that must hold, or must not.

    Args:
        place: where its condition is, such as `, all 2, not`.
        key: `description_words`, `partition`, a key of a bound, or a keyword.
        value: of the key.
        is_wanted: False if it must not hold.
    """

    place: str
    key: str
    value: Any
    is_wanted: bool


class _Part(NamedTuple):
    """A condition within another one, and whether it must hold."""

    place: str
    condition: object
    is_wanted: bool


class _Demands:
    """All that a condition demands together.

    Args:
        part: the condition.
    """

    def __init__(self, part: _Part) -> None:
        self.together: list[_Demand] = []
        # Of each, one part at least must hold.
        self.alternatives: list[tuple[str, list[_Part]]] = []
        self._take(part)

    def _take(self, part: _Part) -> None:
        place, condition, is_wanted = part
        keys = list(_keys(condition))
        if is_wanted or len(keys) == 1:
            for key, value in keys:
                self._take_key(place, key, value, is_wanted)
        elif keys:
            self.alternatives.append((place, [_Part(place, _condition(key, value), False) for key, value in keys]))

    def _take_key(self, place: str, key: str, value: Any, is_wanted: bool) -> None:
        if key == "not":
            self._take(_Part(f"{place}, not", value, not is_wanted))
        elif key in ("all", "any"):
            parts = [_Part(f"{place}, {key} {number}", one, is_wanted) for number, one in numbered(value)]
            if is_wanted == (key == "all") or len(parts) == 1:
                for part in parts:
                    self._take(part)
            elif parts:
                self.alternatives.append((f"{place}, {key}", parts))
        else:
            self.together.append(_Demand(place, key, value, is_wanted))


def contradiction(condition: object) -> str | None:
    """Say which parts of a condition contradict each other, with their place; None if none do."""
    return _contradiction([], _Part("", condition, True))


def _contradiction(others: list[_Demand], part: _Part) -> str | None:
    """Say what of a part contradicts itself or what is demanded besides."""
    demands = _Demands(part)
    together = [*others, *demands.together]
    if found := next(_conflicts(together), None):
        return found
    for place, parts in demands.alternatives:
        if all(_contradiction(together, one) for one in parts):
            return f"{place}: no study meets this: each of its conditions contradicts the others: remove one"
    return None


def numbered(values: object) -> Iterator[tuple[int, Any]]:
    """Yield the entries of an array with their numbers, from 1; nothing if it is no array."""
    return enumerate(values if isinstance(values, list) else [], start=1)


def bound_of(value: object) -> int | date | None:
    """Return an age or a day; None of what is neither, which is told elsewhere."""
    if type(value) is int:
        return value
    try:
        return day_of(value)
    except ValueError:
        return None


def _keys(condition: object) -> Iterator[tuple[str, Any]]:
    """Yield the keys of a condition with what they ask for; an attribute by its keyword."""
    for key, value in condition.items() if isinstance(condition, dict) else ():
        if key == "attribute":
            keywords = value.items() if isinstance(value, dict) else ()
            yield from ((keyword, values) for keyword, values in keywords if tag_for_keyword(keyword) is not None)
        elif key in KINDS_OF_BOUNDS:
            if isinstance(bound := bound_of(value), KINDS_OF_BOUNDS[key]):
                yield key, bound
        elif key in ("all", "any", "not", _WORDS, _PARTITION):
            yield key, value
        elif key in KEYWORDS:
            yield KEYWORDS[key], value


def _condition(key: str, value: Any) -> dict[str, Any]:
    """Return a condition of one key again."""
    is_key = key in ("all", "any", "not", _WORDS, _PARTITION) or key in KINDS_OF_BOUNDS
    return {key: value} if is_key else {"attribute": {key: value}}


def _conflicts(demands: list[_Demand]) -> Iterator[str]:
    yield from _of_ranges(demands)
    by_key: dict[str, list[_Demand]] = {}
    for demand in demands:
        if demand.key not in KINDS_OF_BOUNDS:
            by_key.setdefault(demand.key, []).append(demand)
    for key, found in by_key.items():
        wanted = [demand for demand in found if demand.is_wanted]
        unwanted = [demand for demand in found if not demand.is_wanted]
        if key == _PARTITION:
            yield from _of_partitions(wanted, unwanted)
        elif unwanted and _is_excluded(key, wanted, unwanted):
            noun = {"Modality": "modality", _WORDS: "phrase"}.get(key, "value")
            alone = (demand for demand in unwanted if _is_excluded(key, wanted, [demand]))
            yield _excluded(next(alone, unwanted[-1]), noun)


def _excluded(demand: _Demand, noun: str) -> str:
    return (
        f"{demand.place}: no study meets this: every {noun} that the condition asks for is excluded again: remove one"
    )


def _is_excluded(key: str, wanted: list[_Demand], unwanted: list[_Demand]) -> bool:
    """Say whether a study that has what one demand wants has something unwanted, whichever of its values it has."""
    if key == _WORDS:
        phrases = {tuple(words_of(phrase)) for demand in unwanted for phrase in _texts(demand.value)}
        return any(_all(_has_part(words_of(one), phrases) for one in _texts(demand.value)) for demand in wanted)
    excluded = {form for demand in unwanted for text in _texts(demand.value) for form in forms(key, text)}
    return any(_all(not forms(key, text) - excluded for text in _texts(demand.value)) for demand in wanted)


def _all(answers: Iterator[bool]) -> bool:
    """Say whether all hold, and there are some."""
    found = list(answers)
    return bool(found) and all(found)


def _has_part(words: list[str], phrases: set[tuple[str, ...]]) -> bool:
    if len(words) > _LONGEST_PHRASE:
        return tuple(words) in phrases
    if any((part,) in phrases for word in words for part in unbroken_parts(word[:_LONGEST_WORD])):
        return True
    starts = range(len(words))
    return any(tuple(words[start:end]) in phrases for start in starts for end in range(start + 1, len(words) + 1))


def _texts(values: object) -> Iterator[str]:
    yield from (value for _, value in numbered(values) if isinstance(value, str))


def _of_partitions(wanted: list[_Demand], unwanted: list[_Demand]) -> Iterator[str]:
    if not wanted:
        return
    shared = set(_texts(wanted[0].value)).intersection(*(_texts(demand.value) for demand in wanted))
    if not shared:
        place = wanted[-1].place
        yield f"{place}, partition: no study meets this: a study is in one partition, and no name is in both lists"
    elif unwanted and shared <= set(chain.from_iterable(_texts(demand.value) for demand in unwanted)):
        yield _excluded(unwanted[-1], "partition")


def _of_ranges(demands: list[_Demand]) -> Iterator[str]:
    bounds = [demand for demand in demands if demand.key in KINDS_OF_BOUNDS]
    for lowest, beyond in RANGES:
        firsts = [bound for bound in bounds if _acts_as(bound) == lowest]
        ends = [bound for bound in bounds if _acts_as(bound) == beyond]
        first = max([*(bound.value for bound in firsts), *_always(lowest)], default=None)
        end = min([*(bound.value for bound in ends), *_always(beyond)], default=None)
        if (firsts or ends) and first is not None and end is not None and first >= end:
            told = next((bound for bound in firsts if bound.value == first), None)
            told = told or next(bound for bound in ends if bound.value == end)
            yield f"{told.place}, {told.key}: no study is in this range, with the other bounds: change one of them"


def _acts_as(bound: _Demand) -> str:
    return bound.key if bound.is_wanted else _OPPOSITES[bound.key]


def _always(key: str) -> list[Any]:
    return [_ALWAYS[key]] if key in _ALWAYS else []
