"""Rows brought up to date: marked studies read again, and all judged anew where the policy has changed."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from datetime import date, timedelta

from purge_study.policy.policy import needed_keywords
from purge_study.rulebook.judging import judge_row
from purge_study.rulebook.rulebook import Rulebook
from purge_study.run import Run, today_of
from shared.dicomweb import DICOMwebError
from shared.events import describe, event

from .chunks import in_chunks
from .entities import later
from .folding import mark_latest
from .keys import study_row
from .leaving import DeletionOpen, after_leaving
from .reading import READ_AS, read_or_miss
from .row import Reading, Row, StudyKey

_STUDIES_AT_ONCE = 16
_ROWS_AT_ONCE = 500
_KEPT_UP = timedelta(minutes=5)


async def refresh(run: Run, rulebook: Rulebook) -> None:
    """Read all marked studies again, judge them, and the other studies of their patients.

    A study is marked until it is written. One that alone cannot be read stays marked, and the event `study_unreadable`
    says so: the others go on, for each is looked at again, with all its patient's studies, before it is deleted. Those
    that are still marked are read then, and nothing of the patient is deleted if that fails.

    Raises:
        OutOfTime: the rest another time.
        DICOMwebError, AzureError: what was written holds.
    """
    async with aclosing(run.ledger.marked()) as marked, aclosing(in_chunks(marked, _STUDIES_AT_ONCE)) as chunks:
        async for some in chunks:
            await _read_again(run, rulebook, some)


async def mark_outdated(run: Run) -> None:
    """Mark all studies if another version of the app has read them, for it may have read something else.

    Those that retention has deleted stay as they were read. It goes on where it stopped, and a version that comes in
    between begins anew.

    Raises:
        OutOfTime: the rest another time.
        AzureError: what was marked holds.
    """
    progress = await run.ledger.progress()
    if progress.read_as == READ_AS:
        return
    if progress.marking != READ_AS:
        progress = replace(progress, read_as=None, marking=READ_AS, marked_to=None)
    studies = run.ledger.studies(past=progress.marked_to)
    async with aclosing(studies), aclosing(in_chunks(studies, _ROWS_AT_ONCE)) as chunks:
        async for rows in chunks:
            await run.ledger.mark({row.key: None for row in rows if row.purged_at is None})
            await run.ledger.note(replace(progress, marked_to=study_row(rows[-1].key)))
            run.check_time()
    await run.ledger.note(replace(progress, read_as=READ_AS, marking=None, marked_to=None))


async def refresh_latest(run: Run, rulebook: Rulebook) -> None:
    """Read what the feed has told of beyond what is folded in, and mark it again, with what has come meanwhile.

    A new study counts by it for each patient whom its instances name. A search finds a study by that instance alone
    which was stored last.

    Raises:
        OutOfTime: nobody knows how far it came.
        DICOMwebError, AzureError: as before.
    """
    now = await run.earliest_now()
    latest = sorted(await mark_latest(run, run.latest.read_to))
    for first in range(0, len(latest), _STUDIES_AT_ONCE):
        await _read_again(run, rulebook, latest[first : first + _STUDIES_AT_ONCE])
    await mark_latest(run, run.latest.read_to)
    run.latest.read_to = now


async def keep_up(run: Run, rulebook: Rulebook) -> None:
    """Do as `refresh_latest` does, if that was done by this run, and some minutes ago.

    Raises:
        OutOfTime, DICOMwebError, AzureError: as before.
    """
    if run.latest.read_to is not None and await run.earliest_now() - run.latest.read_to >= _KEPT_UP:
        await refresh_latest(run, rulebook)


async def mark_newest(run: Run) -> None:
    """Mark the studies that the feed has named since `refresh_latest`, if this run did that; no study is read.

    Raises:
        OutOfTime, DICOMwebError, AzureError: as before.
    """
    if run.latest.read_to is not None:
        await mark_latest(run, run.latest.read_to)


async def judge_patients(run: Run, rulebook: Rulebook, groups: Iterable[str]) -> None:
    """Judge all studies of some patient groups anew, such as those for which a list has another date.

    Raises:
        OutOfTime: nobody knows how far it came.
        AzureError: as before.
    """
    for group in groups:
        run.check_time()
        rows = await run.ledger.of_patient(group)
        await run.ledger.write(await _judge(rulebook, rows))


async def judge_all_anew(run: Run, rulebook: Rulebook) -> None:
    """Judge all rows by a policy that they were not judged by; a study that lacks an attribute is read again.

    It goes on where it stopped, and begins anew with another policy.

    Raises:
        OutOfTime: the rest another time.
        DICOMwebError, AzureError: what was written holds.
    """
    progress = await run.ledger.progress()
    if progress.judged_by == rulebook.policy_hash and progress.judging is None:
        return
    if progress.judging != rulebook.policy_hash:
        progress = replace(progress, judged_by=None, judging=rulebook.policy_hash, judged_to=None)
        await run.ledger.note(progress)
    async with aclosing(run.ledger.groups(past=progress.judged_to)) as groups:
        rows: list[Row] = []
        async for end, group in groups:
            rows += group
            if len(rows) >= _ROWS_AT_ONCE:
                await _judge_anew(run, rulebook, rows)
                await run.ledger.note(replace(progress, judged_to=end))
                run.check_time()
                rows = []
        await _judge_anew(run, rulebook, rows)
    await run.ledger.note(replace(progress, judged_by=rulebook.policy_hash, judging=None, judged_to=None))
    await refresh(run, rulebook)


def judged_anew(
    rulebook: Rulebook, stored: Iterable[Row], read: Mapping[StudyKey, Row | None], today: date
) -> list[Row]:
    """Return those of some patients' rows that are another than before, by their reading or their judgement (pure).

    Args:
        rulebook: the policy with its lists.
        stored: all rows of the patient groups.
        read: what has just been read; None for a study that is gone. A purged one that is gone stays as it is.
        today: the day in the policy's time zone.
    """
    before = {row.key: row for row in stored}
    rows = [row for row in {**before, **read}.values() if row is not None]
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        for patient in row.reading.all_patients if row.reading else ():
            groups[patient.group].append(row)
    anybodys = [row for row in rows if row.reading and row.reading.is_anybodys]
    judged = [_judged(rulebook, row, groups, anybodys, today) for row in rows]
    return [row for row in judged if row != before.get(row.key) or row.key in read]


def _judged(rulebook: Rulebook, row: Row, groups: Mapping[str, list[Row]], anybodys: Sequence[Row], today: date) -> Row:
    if row.reading is None or row.purged_at is not None:
        return row
    group = [*groups[row.reading.patient.group], *anybodys] if row.reading.patient else ()
    return judge_row(rulebook, row, group, today)


async def _read_again(run: Run, rulebook: Rulebook, some: Collection[StudyKey]) -> None:
    run.check_time()
    await _take_in(run, rulebook, await _read_all(run, some, needed_keywords(rulebook.policy)))


async def _read_all(run: Run, some: Collection[StudyKey], keywords: frozenset[str]) -> dict[StudyKey, Reading | None]:
    """Return what was read of each study, but of those that alone cannot be read."""
    results = await asyncio.gather(*(read_or_miss(run, key, keywords) for key in some), return_exceptions=True)
    readings: dict[StudyKey, Reading | None] = {}
    for key, result in zip(some, results, strict=True):
        if isinstance(result, DICOMwebError) and await run.is_of_one_study(result):
            event("study_unreadable", level=logging.ERROR, error=describe(result))
        elif isinstance(result, BaseException):
            raise result
        else:
            readings[key] = result
    return readings


async def _take_in(run: Run, rulebook: Rulebook, readings: Mapping[StudyKey, Reading | None]) -> None:
    """Write what was read, with all that changes by it; it stays marked until that is done.

    Two kinds stay marked after that: those that are gone while a deletion is open, and those that were purged and have
    come back without a `Create` since, for that may be an old answer.
    """
    known = await asyncio.gather(*map(run.ledger.find, readings))
    before = [row or Row(key) for key, row in zip(readings, known, strict=True)]
    read: dict[StudyKey, Row | None] = {}
    for one in before:
        reading = readings[one.key]
        with suppress(DeletionOpen):
            read[one.key] = _after_reading(one, reading) if reading else await after_leaving(run, one)
    stored = await asyncio.gather(*map(run.ledger.of_patient, _groups_of([*before, *read.values()])))
    rows = await _judge(rulebook, [row for group in stored for row in group], read)
    doubtful = {row.key for row in before if row.purged_at and _is_untold(read.get(row.key))}
    await run.ledger.write(rows, read=[key for key, row in read.items() if row is not None and key not in doubtful])
    for key, row in read.items():
        if row is None:
            await run.ledger.remove(key)


def _after_reading(row: Row, reading: Reading) -> Row:
    """Return a row after its study was read: one that was purged and is there has come back.

    If it has an instance that it did not have before, and the feed has shown no later `Create`, it is not known when
    that was received: the feed may show a `Create` only after the ledger has passed its time.
    """
    is_told = row.received is None or row.told_until is None or row.received > row.told_until
    return replace(
        row,
        received=row.received if is_told or not _has_new_instances(row, reading) else None,
        told_until=later(row.told_until, row.received),
        reading=reading,
        purged_at=None,
        failures=row.failures if reading == row.reading else 0,
        has_late_instance=False,
    )


def _has_new_instances(row: Row, reading: Reading) -> bool:
    """Say whether a study has an instance that it did not have when it was read before, as far as that can be told.

    Of a study that has fewer instances, it cannot: it is taken for one that has only lost some.
    """
    before = row.reading
    if before is None:
        return False
    if row.purged_at is not None or reading.instances > before.instances:
        return True
    return before.uids is not None and reading.instances == before.instances and reading.uids != before.uids


def _is_untold(row: Row | None) -> bool:
    return row is not None and row.purged_at is None and row.received is None


def _groups_of(rows: Iterable[Row | None]) -> set[str]:
    return {patient.group for row in rows if row and row.reading for patient in row.reading.all_patients}


async def _judge_anew(run: Run, rulebook: Rulebook, rows: list[Row]) -> None:
    """Judge whole patient groups, with studies of many patients; what lacks an attribute is marked, to be read."""
    needed = needed_keywords(rulebook.policy)
    lacking = [row.key for row in rows if row.reading and not row.purged_at and needed - row.reading.attributes.keys()]
    await run.ledger.mark(dict.fromkeys(lacking))
    await run.ledger.write(await _judge(rulebook, [*rows, *await run.ledger.of_many()]))


async def _judge(rulebook: Rulebook, rows: list[Row], read: Mapping[StudyKey, Row | None] | None = None) -> list[Row]:
    """Judge patients' rows in a thread: an id that thousands of studies share, a phantom's perhaps, takes seconds."""
    return await asyncio.to_thread(judged_anew, rulebook, rows, read or {}, today_of(rulebook.policy))
