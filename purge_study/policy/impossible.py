"""Conditions that no study can meet, found in the file's content whatever else is wrong with it (pure)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any, Final, NamedTuple

from pydicom.datadict import dictionary_VR, tag_for_keyword

from shared.dicomweb.partitions import DEFAULT_PARTITION

from .conditions import NUMBER, NUMBERS
from .contradictions import KINDS_OF_BOUNDS, RANGES, bound_of, contradiction, numbered
from .dates import FIRST_STUDY, OLDEST_YEARS, parse_da
from .model import KEYWORDS
from .texts import folded

_NAMES_OF_PARTITIONS: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_MODALITIES: Final = re.compile(r"[a-z0-9_ ]{1,16}")
# The second form of days and of times is that of ACR-NEMA.
_DAYS: Final = re.compile(r"[0-9]{8}|[0-9]{4}\.[0-9]{2}\.[0-9]{2}")
_TIMES: Final = re.compile(
    r"([01][0-9]|2[0-3])([0-5][0-9]([0-5][0-9]|60(?!\d))?)?(\.[0-9]{1,6})?|[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"
)
_DAYS_WITH_TIMES: Final = re.compile(r"[0-9]{4}([0-9]{2}){0,5}(\.[0-9]{1,6})?([+-][0-9]{4})?")
_TAGS: Final = re.compile("[0-9a-f]{8}")
_AGES: Final = re.compile(r"[0-9]{3}[dwmy]")
_UIDS: Final = re.compile(r"[0-9.]{1,64}")
# PS3.5 section 6.2: their values have no sign that a person could mean as a wildcard.
_VRS_WITHOUT_WILDCARDS: Final = ("AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI")
_WHOLE: Final = {
    **{vr: (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for vr, bits in (("SS", 16), ("IS", 32), ("SL", 32), ("SV", 64))},
    **{vr: (0, 2**bits - 1) for vr, bits in (("US", 16), ("UL", 32), ("UV", 64))},
}
_VRS_WITH_BACKSLASHES: Final = ("LT", "ST", "UR", "UT")
_WILDCARDS: Final = "no study has this value, because rules know no wildcards: write each value that you mean"
_UNDECODED: Final = (
    "no study has this value, because it has the character U+FFFD, which stands for a letter that an editor did not "
    "know: write the letter, and save the file as UTF-8"
)

# By VR, the form of a value, and what is said of one that has another form.
_FORMS: Final = (
    (_AGES, "AS", "DICOM writes ages as three digits and D, W, M or Y: write such as 018Y"),
    (_UIDS, "UI", "it is not a UID: write the UID, with digits and dots, not its name"),
    (_TIMES, "TM", "DICOM writes times without colons: write such as 235959"),
    (_DAYS_WITH_TIMES, "DT", "DICOM writes days with times as digits: write such as 20260131235959"),
    (_TAGS, "AT", "DICOM JSON writes tags as eight digits: write such as 00181063"),
    (re.compile(".*[^ ^=].*"), "PN", "it has no letter: write a name such as Doe^Jane"),
)


class _Bound(NamedTuple):
    """A bound of a range: its place below the condition, such as `, all 1`, its key, and its age or day."""

    place: str
    key: str
    value: Any


def impossible(condition: object) -> Iterator[str]:
    """Yield why no study meets a condition, each reason with its place in it: `, modality 1: …`."""
    if not isinstance(condition, dict):
        return
    found = list(_of_parts(condition))
    told = None if found else contradiction(condition)
    yield from [*found, told] if told else found


def _of_parts(condition: dict[str, Any]) -> Iterator[str]:
    for key, keyword in KEYWORDS.items():
        yield from _of_values(f", {key}", keyword, condition.get(key))
    attributes = condition.get("attribute")
    for keyword, values in (attributes if isinstance(attributes, dict) else {}).items():
        yield from _of_values(f", attribute, {keyword}", keyword, values)
    for number, phrase in numbered(condition.get("description_words")):
        if isinstance(phrase, str) and (problem := _of_phrase(phrase)):
            yield f", description_words {number}: {problem}"
    for number, name in numbered(condition.get("partition")):
        if problem := _of_partition(name):
            yield f", partition {number}: {problem}"
    yield from _of_ranges(condition)
    yield from (f", not{reason}" for reason in impossible(condition.get("not")))
    for key in ("all", "any"):
        for number, part in numbered(condition.get(key)):
            yield from (f", {key} {number}{reason}" for reason in impossible(part))


def _of_values(place: str, keyword: str, values: object) -> Iterator[str]:
    if tag_for_keyword(keyword) is None:
        return  # told elsewhere
    for number, value in numbered(values):
        if isinstance(value, str) and value.strip() and (problem := _of_value(keyword, folded(value))):
            yield f"{place} {number}: {problem}"


def _of_phrase(phrase: str) -> str | None:
    if "\ufffd" in phrase:
        return _UNDECODED
    return _WILDCARDS if {"*", "?"} & set(phrase) else None


def _of_value(keyword: str, value: str) -> str | None:
    vr = dictionary_VR(keyword)
    if "\ufffd" in value:
        return _UNDECODED
    if vr in _VRS_WITHOUT_WILDCARDS and {"*", "?"} & set(value):
        return _WILDCARDS
    if "\\" in value and vr not in _VRS_WITH_BACKSLASHES:
        return "no study has this value, because a backslash separates values: write each as a text of its own"
    if keyword == "Modality" and value and not _MODALITIES.fullmatch(value):
        return "no study has this modality: write each modality as a text of its own, as DICOM has it, such as RTDOSE"
    vrs = vr.split(" or ")
    if not value:
        why = "it has no visible character: write the value again"
    elif vr == "DA":
        why = _of_day(value)
    elif NUMBERS.issuperset(vrs):
        why = _of_number(vrs, value)
    else:
        why = next((told for form, of, told in _FORMS if vr == of and not form.fullmatch(value)), "")
    return f"no study has this value, because {why}" if why else None


def _of_day(value: str) -> str:
    if not _DAYS.fullmatch(value):
        return 'DICOM writes days without dashes: write "yyyymmdd"'
    return "" if parse_da(value.replace(".", "")) else "it is not a day of the calendar: write a day that is"


def _of_number(vrs: list[str], value: str) -> str:
    if not NUMBER.fullmatch(value):
        return "it is not a number: write digits, with a dot before decimals, such as 1.5"
    ranges = [_WHOLE[vr] for vr in vrs if vr in _WHOLE]
    number = Decimal(value)
    if not ranges:
        return ""
    if number != number.to_integral_value():
        return "it is not a whole number: write one without decimals"
    if not any(least <= number <= most for least, most in ranges):
        return "its VR has no such number: write a smaller number, or one without a minus"
    return ""


def _of_partition(name: object) -> str | None:
    if not isinstance(name, str) or not name.strip() or name == DEFAULT_PARTITION:
        return None
    if name.casefold() == DEFAULT_PARTITION.casefold():
        return f"no study is in this partition: write {DEFAULT_PARTITION}, in these capitals"
    if not _NAMES_OF_PARTITIONS.fullmatch(name):
        return "no partition has such a name: write it as the service has it, with letters, digits, dots and dashes"
    return None


def _of_ranges(condition: dict[str, Any]) -> Iterator[str]:
    # Its own bounds, and those of each condition of its `all`: one study must meet all of them.
    groups = [list(_own_bounds(condition)), *map(list, _groups_of_all(condition))]
    for lowest, beyond in RANGES:
        firsts = [(bound, number) for number, group in enumerate(groups) for bound in group if bound.key == lowest]
        ends = [(bound, number) for number, group in enumerate(groups) for bound in group if bound.key == beyond]
        if not firsts or not ends:
            continue
        first, of_first = max(firsts, key=lambda found: found[0].value)
        end, of_end = min(ends, key=lambda found: found[0].value)
        # Two bounds of the same condition of `all` are told there.
        if first.value >= end.value and (of_first != of_end or of_first == 0):
            where = f" in{end.place.replace(',', '', 1)}" if end.place != first.place and end.place else ""
            yield f"{first.place}, {lowest}: no study is in this range: {lowest} must be less than {beyond}{where}"
    before = bound_of(condition.get("study_date_before"))
    if isinstance(before, date) and before <= FIRST_STUDY:
        yield f", study_date_before: no study is that old: write a day after {FIRST_STUDY}, the day of the first X-ray"
    age = bound_of(condition.get("age_at_study_from"))
    if isinstance(age, int) and age > OLDEST_YEARS:
        yield f", age_at_study_from: no patient is that old: write {OLDEST_YEARS} or less"


def _own_bounds(condition: dict[str, Any], place: str = "") -> Iterator[_Bound]:
    for key, kind in KINDS_OF_BOUNDS.items():
        if isinstance(value := bound_of(condition.get(key)), kind):
            yield _Bound(place, key, value)


def _groups_of_all(condition: dict[str, Any], place: str = "") -> Iterator[Iterator[_Bound]]:
    for number, part in numbered(condition.get("all")):
        if isinstance(part, dict):
            yield _all_bounds(part, f"{place}, all {number}")


def _all_bounds(condition: dict[str, Any], place: str) -> Iterator[_Bound]:
    """Yield the bounds of a condition and of the conditions of its `all`."""
    yield from _own_bounds(condition, place)
    for group in _groups_of_all(condition, place):
        yield from group
