"""Lists of dates that DICOM does not know, by patient (pure)."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Final

from purge_study.ledger.hashing import Hasher
from purge_study.ledger.row import Patient

from .cells import identifier_problem, read_date
from .sheet import INVALID, Line, ListFault, Sheet

_REQUIRED = ("patient_id", "date")
COLUMNS: Final = ("patient_id", "issuer", "date")


@dataclass(frozen=True)
class Anchors:
    """A list of dates.

    Args:
        blob: its name in `retention-policy`.
        dates: the latest of each patient, as the list writes the id.
        has_end: whether a line `#end` says how many there are.
        numbers: of the first line of each patient, in the order of `dates`.
    """

    blob: str
    dates: Mapping[Patient, date]
    has_end: bool
    numbers: Sequence[int] = ()

    def date_of(self, patient: Patient, *, is_alone: bool) -> date | None:
        """Return a patient's latest date, one in the future too; None where it cannot be told.

        Args:
            patient: of the ledger.
            is_alone: whether no other patient of the ledger has an id that is the same but for leading zeros and
                case. Only then does a line count whose id is not written the same way; and only if the list has
                one way of writing it, for two may be two patients'.
        """
        found = {
            one: day for one, day in self._by_group.get(patient.group, ()) if is_alone or one.exact == patient.exact
        }
        found = {one: day for one, day in found.items() if one.has_issuer_of(patient)}
        spellings = {one.exact for one in found}
        return max(found.values()) if patient.exact in spellings or len(spellings) == 1 else None

    @cached_property
    def _by_group(self) -> Mapping[str, list[tuple[Patient, date]]]:
        groups: dict[str, list[tuple[Patient, date]]] = defaultdict(list)
        for patient, day in self.dates.items():
            groups[patient.group].append((patient, day))
        return groups


def read_anchors(blob: str, content: bytes, hasher: Hasher) -> Anchors:
    """Read a list of dates; of several lines for a patient the latest counts.

    Args:
        blob: the list's name.
        content: all of it.
        hasher: of the ledger.

    Raises:
        ListFault: something in it is wrong: all that is.
    """
    sheet = Sheet(content, COLUMNS)
    if missing := [column for column in _REQUIRED if column not in sheet.columns]:
        raise ListFault(INVALID, [f"it has no column {column}" for column in missing])
    dates: dict[Patient, date] = {}
    numbers = array("L")
    for line in sheet:
        for problem in _problems(line):
            sheet.find(line.number, problem)
        patient, day = hasher.patient(line.cell("patient_id"), line.cell("issuer")), read_date(line.cell("date"))
        if patient is not None and day is not None:
            if patient not in dates:
                numbers.append(line.number)
            dates[patient] = max(day, dates.get(patient, day))
    sheet.close()
    anchors = Anchors(blob, dates, sheet.has_end, numbers)
    _ = anchors._by_group  # made here: lists are read in a thread
    return anchors


def _problems(line: Line) -> Iterator[str]:
    if not line.cell("patient_id"):
        yield "it names no patient"
    for column in ("patient_id", "issuer"):
        if problem := identifier_problem(line.cell(column)):
            yield f"its {column} {problem}"
    if read_date(line.cell("date")) is None:
        yield "it has no date, such as 2026-03-05"
