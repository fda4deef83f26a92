"""Which lines of holds match a study of the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from purge_study.ledger.ledger import Ledger
from purge_study.rulebook.rulebook import Rulebook
from purge_study.run import Run

from .holds import HoldLine
from .list_memory import LineKey, holding_lines

_AT_ONCE = 16


async def find_matches(run: Run, rulebook: Rulebook) -> frozenset[LineKey]:
    """Return the lines that match a study, purged ones too; released lines left out of account.

    Raises:
        OutOfTime: the run's time is over.
        AzureError: storage failed.
    """
    found: set[LineKey] = set()
    lines = holding_lines(rulebook)
    workers = [asyncio.create_task(_look_up(run, lines, found)) for _ in range(_AT_ONCE)]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    return frozenset(found)


async def _look_up(run: Run, lines: Iterator[tuple[LineKey, HoldLine]], found: set[LineKey]) -> None:
    for key, line in lines:
        run.check_time()
        if key not in found and await _matches(run.ledger, line):
            found.add(key)


async def _matches(ledger: Ledger, line: HoldLine) -> bool:
    if line.study_instance_uid is not None and await ledger.find_study(line.study_instance_uid):
        return True
    if line.accession is not None and any(map(line.matches, await ledger.of_accession(line.accession))):
        return True
    return line.patient is not None and any(map(line.matches, await ledger.of_patient(line.patient.group)))
