"""Does a condition hold for a study? Yes, no, or it cannot be told: what is unknown stays so under `not`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, DecimalException
from functools import lru_cache
from struct import Struct
from typing import Final

from pydicom.datadict import dictionary_VR

from .dates import age_on
from .facts import Values
from .known import Known
from .model import DESCRIPTION, Condition
from .texts import folded, has_phrase

# VRs whose values are numbers.
NUMBERS: Final = frozenset({"DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"})
# A number as a text (PS3.5 section 6.2, DS).
NUMBER: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_SINGLE: Final = Struct("<f")


@dataclass(frozen=True)
class Truth:
    """Whether something holds.

    Args:
        holds: None where it cannot be told.
        about: what would have to be known: keywords, `patient_last_study`.
    """

    holds: bool | None
    about: frozenset[str] = frozenset()


def evaluate(condition: Condition, known: Known) -> Truth:
    """Say whether a condition holds for a study."""
    return _all(_parts(condition, known))


def _parts(condition: Condition, known: Known) -> Iterator[Truth]:
    for keyword, wanted in condition.values:
        yield _has_one(known, keyword, wanted)
    if condition.description_words:
        yield _has_words(known, condition.description_words)
    if condition.partition:
        yield Truth(known.facts.partition in condition.partition)
    yield from _of_days(condition, known)
    yield from _of_ages(condition, known)
    yield from (evaluate(part, known) for part in condition.all_ or ())
    if condition.any_:
        yield _not(_all(_not(evaluate(part, known)) for part in condition.any_))
    if condition.not_:
        yield _not(evaluate(condition.not_, known))


def _all(parts: Iterable[Truth]) -> Truth:
    truths = list(parts)
    if any(truth.holds is False for truth in truths):
        return Truth(False)
    unknown = [truth for truth in truths if truth.holds is None]
    return Truth(None, frozenset().union(*(truth.about for truth in unknown))) if unknown else Truth(True)


def _not(truth: Truth) -> Truth:
    return truth if truth.holds is None else Truth(not truth.holds)


def _has_one(known: Known, keyword: str, wanted: Iterable[str]) -> Truth:
    """Say whether any instance has one of some values: no only if each has another."""
    folded = {form for value in wanted for form in forms(keyword, value)}
    return _any_instance(known, keyword, lambda value: not folded.isdisjoint(forms(keyword, value)))


def _has_words(known: Known, phrases: Iterable[str]) -> Truth:
    return _any_instance(known, DESCRIPTION, lambda text: any(has_phrase(text, phrase) for phrase in phrases))


def _any_instance(known: Known, keyword: str, is_wanted: Callable[[str], bool]) -> Truth:
    values = known.facts.attributes.get(keyword, Values())
    if any(is_wanted(value) for value in values.found):
        return Truth(True)
    return Truth(False) if values.is_complete else Truth(None, frozenset({keyword}))


@lru_cache(maxsize=4096)
def forms(keyword: str, value: str) -> frozenset[str]:
    """Return a value in the forms in which it is compared: folded, numbers as such, a name's groups."""
    text = folded(value)
    vr = dictionary_VR(keyword)
    if vr == "PN":
        return frozenset(group.rstrip("^ ") for group in (text, *text.split("="))) - {""}
    return frozenset({_number(text, vr) if NUMBERS.issuperset(vr.split(" or ")) else text})


def _number(text: str, vr: str) -> str:
    try:
        number = Decimal(text)
        if vr == "FL":
            [number] = map(Decimal, _SINGLE.unpack(_SINGLE.pack(number)))
        return str(number.normalize() + 0)  # minus zero is zero
    except (DecimalException, OverflowError):  # no number, or one that is too large
        return text


def _of_days(condition: Condition, known: Known) -> Iterator[Truth]:
    if condition.study_date_before:
        yield _not(_is_from(known, condition.study_date_before))
    if condition.study_date_from:
        yield _is_from(known, condition.study_date_from)


def _is_from(known: Known, first: date) -> Truth:
    study_date = known.dates.get("study_date")
    return Truth(study_date >= first) if study_date else Truth(None, frozenset({"StudyDate"}))


def _of_ages(condition: Condition, known: Known) -> Iterator[Truth]:
    if condition.age_at_study_below:
        yield _not(_is_aged(known, "study_date", condition.age_at_study_below))
    if condition.age_at_study_from:
        yield _is_aged(known, "study_date", condition.age_at_study_from)
    if condition.age_at_last_study_below:
        yield _not(_is_aged(known, "patient_last_study", condition.age_at_last_study_below))
    if condition.age_at_last_study_from:
        yield _is_aged(known, "patient_last_study", condition.age_at_last_study_from)


def _is_aged(known: Known, anchor: str, years: int) -> Truth:
    birth, day = known.dates.get("birth_date"), known.dates.get(anchor)
    if birth and day:
        return Truth(age_on(birth, day) >= years)
    about = {"PatientBirthDate": birth, {"study_date": "StudyDate"}.get(anchor, anchor): day}
    return Truth(None, frozenset(name for name, value in about.items() if value is None))
