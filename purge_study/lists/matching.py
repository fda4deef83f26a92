"""Which lines of lists match a study of the ledger.

Lists may have a million lines. Where the ledger has few studies for each of them, neighbours in an index are looked up
together: with as many lines as studies that is one reading of the index, a page of a thousand rows at a time.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, TypeAlias

from purge_study.ledger import keys
from purge_study.ledger.row import Patient, Row
from purge_study.rulebook.rulebook import Rulebook
from purge_study.run import Run

from .anchors import Anchors
from .holds import HoldLine
from .list_memory import LineKey, holding_lines

_AT_ONCE = 16
# A row costs about a fiftieth of a request: to read so many for each line is as dear as to ask for it alone.
_MOST_ROWS_A_LINE: Final = 50
_ROWS_AT_ONCE: Final = 1000
# Patients of a list of dates: a list of a million would take some hundred MiB as lines.
_LINES_AT_ONCE = 50_000
# Lines that a plan names of one list of dates: such a list may well name all patients of a hospital.
_MOST_TOLD: Final = 20

KeyedLines: TypeAlias = Sequence[tuple[LineKey, HoldLine]]


async def find_matches(run: Run, rulebook: Rulebook) -> frozenset[LineKey]:
    """Return the lines that match a study, purged ones too; released lines left out of account.

    Raises:
        OutOfTime: the run's time is over.
        AzureError: storage failed.
    """
    lines = await asyncio.to_thread(lambda: list(holding_lines(rulebook)))
    search = _Search(run, (await run.ledger.counts()).studies)
    for index in (keys.STUDIES, keys.MARKS, keys.ACCESSIONS, keys.PATIENTS):
        await search.look_up(index, [(key, line) for key, line in lines if key not in search.found])
    return frozenset(search.found)


@dataclass(frozen=True)
class PatientsOfDates:
    """What the ledger has of the patients that lists of dates name, purged studies counted.

    Args:
        unmatched: the lines whose patient has no study, as `<list>, line <n>`: the first of each list, and how many
            more there are.
        alike: by patient group, the patients of those groups that have several (`ListMemory.alike`), and of those
            that were asked for.
    """

    unmatched: tuple[str, ...]
    alike: Mapping[str, frozenset[Patient]]


async def find_patients_of_dates(run: Run, rulebook: Rulebook, groups: Collection[str]) -> PatientsOfDates:
    """Look up the patients of lists of dates in the ledger.

    Args:
        run: of this night.
        rulebook: the policy with its lists.
        groups: patient groups that are to be among `alike`, however many patients they have.

    Raises:
        OutOfTime: the run's time is over.
        AzureError: storage failed.
    """
    lists = {anchors.blob: anchors for anchors in rulebook.anchors.values()}  # each once, however often it is named
    studies = (await run.ledger.counts()).studies
    unmatched: list[str] = []
    alike: dict[str, frozenset[Patient]] = {}
    for anchors in lists.values():
        unmatched += _told(anchors.blob, await _unmatched_in(run, anchors, studies, groups, alike))
    return PatientsOfDates(tuple(unmatched), alike)


async def _unmatched_in(
    run: Run, anchors: Anchors, studies: int, groups: Collection[str], alike: dict[str, frozenset[Patient]]
) -> list[int]:
    """Return the numbers of the lines whose patient has no study, a part of the index at a time; add to `alike`."""
    unmatched: list[int] = []
    ordered = await asyncio.to_thread(sorted, zip(anchors.dates, anchors.numbers, strict=True), key=_group)
    rest = iter(ordered)
    while lines := await asyncio.to_thread(lambda: list(map(_as_line, islice(rest, _LINES_AT_ONCE)))):
        search = _SearchOfPatients(run, studies * len(lines) // len(ordered))
        await search.look_up(keys.PATIENTS, lines)
        unmatched += (line.number for key, line in lines if key not in search.found)
        several = {group: found for group, found in search.patients.items() if len(found) > 1 or group in groups}
        alike.update((group, frozenset(found)) for group, found in several.items())
    return sorted(unmatched)


def _group(numbered: tuple[Patient, int]) -> str:
    return numbered[0].group


def _as_line(numbered: tuple[Patient, int]) -> tuple[LineKey, HoldLine]:
    """Return a patient of a list of dates as a line that matches the patient's studies."""
    patient, number = numbered
    return ("", str(number)), HoldLine(number, None, None, patient, is_released=False)


def _told(blob: str, numbers: Sequence[int]) -> Iterator[str]:
    yield from (f"{blob}, line {number}" for number in numbers[:_MOST_TOLD])
    if len(numbers) > _MOST_TOLD:
        yield f"{blob}: and {len(numbers) - _MOST_TOLD:,} more lines"


class _Search:
    """Looks lines up, so many lookups at once.

    Args:
        run: of this night.
        studies: about how many there are.
    """

    def __init__(self, run: Run, studies: int) -> None:
        self.found: set[LineKey] = set()
        self._run = run
        self._studies = studies

    async def look_up(self, index: str, lines: KeyedLines) -> None:
        """Find the lines that have a match in an index; that of patients lacks some of a study of many patients."""
        # In a thread: there may be a million lines, and ingest goes on meanwhile.
        by_identifier = await asyncio.to_thread(_by_identifier, index, lines)
        stretches = iter(await asyncio.to_thread(lambda: list(_stretches(by_identifier, self._studies))))
        workers = [asyncio.create_task(self._work(index, stretches, by_identifier)) for _ in range(_AT_ONCE)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        for row in await self._run.ledger.of_many() if index == keys.PATIENTS else ():
            self._take(row, by_identifier)

    async def _work(self, index: str, stretches: Iterator[list[str]], by_identifier: Mapping[str, KeyedLines]) -> None:
        for stretch in stretches:
            self._run.check_time()
            async for row in self._run.ledger.between(index, stretch[0], stretch[-1]):
                self._run.check_time()  # where neighbours are far from each other there are many rows
                self._take(row, by_identifier)

    def _take(self, row: Row, by_identifier: Mapping[str, KeyedLines]) -> None:
        candidates = (one for identifier in _identifiers_of(row) for one in by_identifier.get(identifier, ()))
        self.found.update(key for key, line in candidates if line.matches(row))


class _SearchOfPatients(_Search):
    """Gathers the patients, by group, of the rows that it reads."""

    def __init__(self, run: Run, studies: int) -> None:
        super().__init__(run, studies)
        self.patients: dict[str, set[Patient]] = defaultdict(set)

    def _take(self, row: Row, by_identifier: Mapping[str, KeyedLines]) -> None:
        super()._take(row, by_identifier)
        for patient in row.reading.all_patients if row.reading else ():
            if patient.group in by_identifier:
                self.patients[patient.group].add(patient)


def _by_identifier(index: str, lines: KeyedLines) -> Mapping[str, KeyedLines]:
    found: dict[str, list[tuple[LineKey, HoldLine]]] = defaultdict(list)
    for key, line in lines:
        if identifier := _identifier(index, line):
            found[identifier].append((key, line))
    return found


def _identifier(index: str, line: HoldLine) -> str | None:
    if index == keys.ACCESSIONS:
        return line.accession
    if index == keys.PATIENTS:
        return line.patient.group if line.patient else None
    return line.study_instance_uid


def _identifiers_of(row: Row) -> Iterable[str]:
    yield row.key.uid
    if row.reading is not None:
        yield from row.reading.accessions
        yield from {patient.group for patient in row.reading.all_patients}


def _stretches(identifiers: Iterable[str], studies: int) -> Iterator[list[str]]:
    """Yield the identifiers in the order of an index, so many together that they lie among a page of rows."""
    ordered = sorted(identifiers, key=keys.order)
    rows_a_line = max(1, studies // max(1, len(ordered)))
    together = max(1, _ROWS_AT_ONCE // rows_a_line) if rows_a_line < _MOST_ROWS_A_LINE else 1
    rest = iter(ordered)
    while stretch := list(islice(rest, together)):
        yield stretch
