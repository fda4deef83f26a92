"""Lists of dates that DICOM does not know, by patient (pure)."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Final

from purge_study.ledger.hashing import Hasher
from purge_study.ledger.row import Patient
from purge_study.policy.dates import UNCLEAR, ZERO_DAYS, may_be

from .cells import STRAY_COMMA, identifier_problem, read_date
from .sheet import INVALID, Line, ListFault, Sheet

_REQUIRED = ("patient_id", "date")
COLUMNS: Final = ("patient_id", "issuer", "date")


@dataclass(frozen=True)
class Anchors:
    """A list of dates.

    Args:
        blob: its name in `retention-policy`.
        dates: each patient's latest date, by the id as the list writes it; UNCLEAR if a line has an impossible date.
        has_end: whether the list has a line `#end`.
        numbers: the number of each patient's first line, in the order of `dates`.
    """

    blob: str
    dates: Mapping[Patient, date]
    has_end: bool
    numbers: Sequence[int]

    def date_of(self, patient: Patient | None, others: Collection[Patient] = ()) -> date | None:
        """Return a patient's latest date, one in the future too; None if no line can be about the patient.

        UNCLEAR if a line has an impossible date, or if no line is certainly about this patient. A line is certainly
        about the patient if both its id and its issuer fit:

        - It has the id exactly as the patient has it. Or the list has one spelling of the id, and so has the ledger.
        - It has the patient's issuer. Or list and ledger name at most one issuer for all spellings of the id.

        If there is such a line, other lines that may be about the patient count as well: a later date keeps studies
        longer.

        Args:
            patient: the patient of the study; None if it has no PatientID or several: any line may be about it.
            others: the patients of the other studies in the ledger.
        """
        if patient is None:
            return UNCLEAR if self.dates else None
        lines = self._by_group.get(patient.group, ())
        possible = [one for one, _ in lines if one.has_issuer_of(patient)]
        if not possible:
            return None
        known = [one for one in (patient, *others) if one.group == patient.group]
        issuers = {one.issuer for one in (*known, *(line for line, _ in lines)) if one.issuer}
        spellings = {one.exact for one in known}
        is_spelt_once = len(spellings) == 1 and len({one.exact for one, _ in lines}) == 1

        def is_certain(line: Patient) -> bool:
            has_issuer = line.issuer is not None and line.issuer == patient.issuer
            return (line.exact == patient.exact or is_spelt_once) and (has_issuer or len(issuers) <= 1)

        if not any(map(is_certain, possible)):
            return UNCLEAR
        others_own = spellings - {patient.exact}
        return max(self.dates[line] for line in possible if line.exact not in others_own)

    @cached_property
    def _by_group(self) -> Mapping[str, list[tuple[Patient, date]]]:
        groups: dict[str, list[tuple[Patient, date]]] = defaultdict(list)
        for patient, day in self.dates.items():
            groups[patient.group].append((patient, day))
        return groups


def read_anchors(blob: str, content: bytes, hasher: Hasher) -> Anchors:
    """Read a list of dates: the latest date of a patient counts, and an impossible date outranks all others.

    Args:
        blob: the list's name.
        content: the whole list.
        hasher: the ledger's.

    Raises:
        ListFault: the list has mistakes; the fault names all of them.
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
            is_possible = may_be(day) and day not in ZERO_DAYS
            dates[patient] = max(day if is_possible else UNCLEAR, dates.get(patient, date.min))
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
        elif column == "patient_id" and column in line.with_commas:
            yield f"its {column} {STRAY_COMMA}"
    if read_date(line.cell("date")) is None:
        yield "it has no date, such as 2026-03-05"
