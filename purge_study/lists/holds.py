"""Lists of studies that are not deleted (pure)."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Final

from purge_study.ledger.hashing import Hasher
from purge_study.ledger.row import Patient, Row

from .cells import STRAY_COMMA, identifier_problem, name_problem, read_date, release_problem, uid_problem
from .sheet import INVALID, Line, ListFault, Sheet

_IDENTIFIERS = ("study_instance_uid", "accession_number", "patient_id")
_CHECKS: Final[Mapping[str, Callable[[str], str | None]]] = {
    "study_instance_uid": uid_problem,
    "accession_number": identifier_problem,
    "patient_id": identifier_problem,
    "issuer": identifier_problem,
    "released": release_problem,
    "released_by": name_problem,
}
COLUMNS: Final = tuple(_CHECKS)


@dataclass(frozen=True, slots=True)
class HoldLine:
    """A line: it holds every study that matches any of its identifiers.

    Args:
        number: in the file.
        study_instance_uid: None where it names none.
        accession: keyed hash of the accession number; the same.
        patient: keyed hashes of the patient's id; the same.
        is_released: whether it has ended.
    """

    number: int
    study_instance_uid: str | None
    accession: str | None
    patient: Patient | None
    is_released: bool

    @property
    def key(self) -> str:
        """What tells it from other lines: a hash of its identifiers, leading zeros and case apart."""
        patient = (self.patient.group, self.patient.issuer or "") if self.patient else ("", "")
        text = "\n".join((self.study_instance_uid or "", self.accession or "", *patient))
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def matches(self, row: Row) -> bool:
        """Say whether a study has one of its identifiers."""
        if self.study_instance_uid == row.key.uid:
            return True
        if (reading := row.reading) is None:
            return False
        return self.accession in reading.accessions or any(map(self._is_of, reading.all_patients))

    def _is_of(self, patient: Patient) -> bool:
        return self.patient is not None and self.patient.group == patient.group and self.patient.has_issuer_of(patient)


@dataclass(frozen=True)
class Holds:
    """A list of holds.

    Args:
        blob: its name in `retention-policy`.
        lines: all of it, released ones too.
        has_end: whether a line `#end` says how many there are.
    """

    blob: str
    lines: tuple[HoldLine, ...]
    has_end: bool

    def hold(self, row: Row) -> bool:
        """Say whether a line that is not released matches a study."""
        return any(line.matches(row) for line in self._candidates(row))

    def _candidates(self, row: Row) -> Iterator[HoldLine]:
        yield from self._by_identifier.get(row.key.uid, ())
        if row.reading is not None:
            for accession in row.reading.accessions:
                yield from self._by_identifier.get(accession, ())
            for patient in row.reading.all_patients:
                yield from self._by_identifier.get(patient.group, ())

    @cached_property
    def _by_identifier(self) -> Mapping[str, list[HoldLine]]:
        found: dict[str, list[HoldLine]] = defaultdict(list)
        for line in self.lines:
            if not line.is_released:
                for identifier in (line.study_instance_uid, line.accession, line.patient and line.patient.group):
                    if identifier:
                        found[identifier].append(line)
        return found


def read_holds(blob: str, content: bytes, hasher: Hasher, today: date) -> Holds:
    """Read a list of holds.

    Args:
        blob: the list's name.
        content: all of it.
        hasher: of the ledger.
        today: in the policy's time zone; a release of a later day has not come yet.

    Raises:
        ListFault: something in it is wrong: all that is.
    """
    sheet = Sheet(content, COLUMNS)
    if not set(_IDENTIFIERS) & set(sheet.columns):
        raise ListFault(INVALID, [f"it has none of the columns {', '.join(_IDENTIFIERS)}"])
    lines = []
    for line in sheet:
        for problem in _problems(line):
            sheet.find(line.number, problem)
        lines.append(_hold(line, hasher, today))
    sheet.close()
    holds = Holds(blob, tuple(lines), sheet.has_end)
    _ = holds._by_identifier  # made here: lists are read in a thread
    return holds


def _problems(line: Line) -> Iterator[str]:
    if not any(line.cell(column) for column in _IDENTIFIERS):
        yield "it names no study and no patient"
    for column, problem_of in _CHECKS.items():
        if (text := line.cell(column)) and (problem := problem_of(text)):
            yield f"its {column} {problem}"
        elif column in _IDENTIFIERS and column in line.with_commas:
            yield f"its {column} {STRAY_COMMA}"


def _hold(line: Line, hasher: Hasher, today: date) -> HoldLine:
    released = read_date(line.cell("released"))
    return HoldLine(
        line.number,
        line.cell("study_instance_uid") or None,
        hasher.accession(line.cell("accession_number")),
        hasher.patient(line.cell("patient_id"), line.cell("issuer")),
        is_released=released is not None and released <= today and bool(line.cell("released_by")),
    )
