"""Conditions that no study can meet, found in the file's content whatever else is wrong with it (pure)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from typing import Any, Final, NamedTuple

from pydicom.datadict import dictionary_VR, tag_for_keyword

from shared.dicomweb.partitions import DEFAULT_PARTITION

from .dates import FIRST_STUDY, OLDEST_YEARS
from .entries import day_of
from .model import KEYWORDS
from .texts import folded

_NAMES_OF_PARTITIONS: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_MODALITIES: Final = re.compile(r"[a-z0-9_ ]{1,16}")
_DAYS: Final = re.compile(r"[0-9]{8}|[0-9]{4}\.[0-9]{2}\.[0-9]{2}")  # the second is that of ACR-NEMA
_AGES: Final = re.compile(r"[0-9]{3}[dwmy]")
_UIDS: Final = re.compile(r"[0-9.]{1,64}")
# PS3.5 section 6.2: their values have no sign that a person could mean as a wildcard.
_VRS_WITHOUT_WILDCARDS: Final = ("AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI")
_VRS_WITH_BACKSLASHES: Final = ("LT", "ST", "UR", "UT")
_UNDECODED: Final = (
    "no study has this value, because it has the character U+FFFD, which stands for a letter that an editor did not "
    "know: write the letter, and save the file as UTF-8"
)
_LOWEST_AND_BEYOND: Final = (
    ("study_date_from", "study_date_before"),
    ("age_at_study_from", "age_at_study_below"),
    ("age_at_last_study_from", "age_at_last_study_below"),
    # The last study is never earlier than this one.
    ("age_at_study_from", "age_at_last_study_below"),
)

_KINDS_OF_BOUNDS: Final[dict[str, type]] = {
    key: date if key.startswith("study_date") else int for pair in _LOWEST_AND_BEYOND for key in pair
}


class _Bound(NamedTuple):
    """A bound of a range: its place below the condition, such as `, all 1`, its key, and its age or day."""

    place: str
    key: str
    value: Any


def impossible(condition: object) -> Iterator[str]:
    """Yield why no study meets a condition, each reason with its place in it: `, modality 1: …`."""
    if not isinstance(condition, dict):
        return
    for key, keyword in KEYWORDS.items():
        yield from _of_values(f", {key}", keyword, condition.get(key))
    attributes = condition.get("attribute")
    for keyword, values in (attributes if isinstance(attributes, dict) else {}).items():
        yield from _of_values(f", attribute, {keyword}", keyword, values)
    for number, phrase in _numbered(condition.get("description_words")):
        if isinstance(phrase, str) and "\ufffd" in phrase:
            yield f", description_words {number}: {_UNDECODED}"
    for number, name in _numbered(condition.get("partition")):
        if problem := _of_partition(name):
            yield f", partition {number}: {problem}"
    yield from _of_ranges(condition)
    yield from _of_opposites(condition)
    yield from (f", not{reason}" for reason in impossible(condition.get("not")))
    for key in ("all", "any"):
        for number, part in _numbered(condition.get(key)):
            yield from (f", {key} {number}{reason}" for reason in impossible(part))


def _numbered(values: object) -> Iterator[tuple[int, Any]]:
    return enumerate(values if isinstance(values, list) else [], start=1)


def _of_values(place: str, keyword: str, values: object) -> Iterator[str]:
    if tag_for_keyword(keyword) is None:
        return  # told elsewhere
    for number, value in _numbered(values):
        if isinstance(value, str) and (problem := _of_value(keyword, folded(value))):
            yield f"{place} {number}: {problem}"


def _of_value(keyword: str, value: str) -> str | None:
    vr = dictionary_VR(keyword)
    if "\ufffd" in value:
        return _UNDECODED
    if vr in _VRS_WITHOUT_WILDCARDS and {"*", "?"} & set(value):
        return "no study has this value, because rules know no wildcards: write each value that you mean"
    if "\\" in value and vr not in _VRS_WITH_BACKSLASHES:
        return "no study has this value, because a backslash separates values: write each as a text of its own"
    if keyword == "Modality" and value and not _MODALITIES.fullmatch(value):
        return "no study has this modality: write each modality as a text of its own, as DICOM has it, such as RTDOSE"
    if vr == "DA" and value and not _DAYS.fullmatch(value):
        return 'no study has this value, because DICOM writes days without dashes: write "yyyymmdd"'
    if vr == "AS" and value and not _AGES.fullmatch(value):
        return "no study has this value, because DICOM writes ages as three digits and D, W, M or Y: write such as 018Y"
    if vr == "UI" and value and not _UIDS.fullmatch(value):
        return "no study has this value, because it is not a UID: write the UID, with digits and dots, not its name"
    return None


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
    for lowest, beyond in _LOWEST_AND_BEYOND:
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
    before = _bound(condition.get("study_date_before"))
    if isinstance(before, date) and before <= FIRST_STUDY:
        yield f", study_date_before: no study is that old: write a day after {FIRST_STUDY}, the day of the first X-ray"
    age = _bound(condition.get("age_at_study_from"))
    if isinstance(age, int) and age > OLDEST_YEARS:
        yield f", age_at_study_from: no patient is that old: write {OLDEST_YEARS} or less"


def _own_bounds(condition: dict[str, Any], place: str = "") -> Iterator[_Bound]:
    for key, kind in _KINDS_OF_BOUNDS.items():
        if isinstance(value := _bound(condition.get(key)), kind):
            yield _Bound(place, key, value)


def _groups_of_all(condition: dict[str, Any], place: str = "") -> Iterator[Iterator[_Bound]]:
    for number, part in _numbered(condition.get("all")):
        if isinstance(part, dict):
            yield _all_bounds(part, f"{place}, all {number}")


def _all_bounds(condition: dict[str, Any], place: str) -> Iterator[_Bound]:
    """Yield the bounds of a condition and of the conditions of its `all`."""
    yield from _own_bounds(condition, place)
    for group in _groups_of_all(condition, place):
        yield from group


def _of_opposites(condition: dict[str, Any]) -> Iterator[str]:
    opposite = condition.get("not")
    if not isinstance(opposite, dict) or set(opposite) != {"modality"}:
        return
    wanted, unwanted = _modalities(condition), _modalities(opposite)
    if wanted and wanted <= unwanted:
        yield ", not: no study meets this: every modality that the condition asks for is excluded again: remove one"


def _modalities(condition: dict[str, Any]) -> set[str]:
    return {folded(value) for _, value in _numbered(condition.get("modality")) if isinstance(value, str)}


def _bound(value: object) -> int | date | None:
    """Return an age or a day; None of what is neither, which is told elsewhere."""
    if type(value) is int:
        return value
    try:
        return day_of(value)
    except ValueError:
        return None
