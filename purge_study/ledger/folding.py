"""The change feed, folded into the ledger: what was stored, replaced or deleted is marked to be read again."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime, timedelta

from purge_study.run import Run
from shared.dicomweb import Change, ChangeAction
from shared.probe_uids import is_of_probe

from .chunks import in_chunks
from .entities import later
from .late_instances import tell_late_instances
from .row import StudyKey

# Changes become visible a little out of order.
_OVERLAP = timedelta(minutes=5)
_CHANGES_AT_ONCE = 4000


async def fold(run: Run) -> None:
    """Fold in what the feed has until `FEED_LAG_SECONDS` ago.

    It goes on where the last one stopped, a little earlier, and notes its progress as it goes: a killed one loses
    little. Nothing is counted, so that nothing counts twice. A `Create` in the feed between the last look at a study
    and its deletion is the error event `purged_late_instance`.

    Raises:
        OutOfTime: the rest another time.
        DICOMwebError, AzureError: what was noted holds.
    """
    await run.pace.ask(lambda: _fold(run))


async def _fold(run: Run) -> None:
    now = await run.earliest_now()
    progress = await run.ledger.progress()
    if progress.mark and progress.mark > now + _OVERLAP:
        # By a clock that was wrong: nobody knows from where on.
        progress = replace(progress, mark=None, is_folded=False)
    start = progress.mark and progress.mark - _OVERLAP
    end = now - timedelta(seconds=run.clients.settings.feed_lag_seconds)
    if start and end <= start:
        return
    feed = run.clients.dicom.change_feed.iter(start=start, end=end, overlap=_OVERLAP)
    async with aclosing(feed), aclosing(in_chunks(feed, _CHANGES_AT_ONCE)) as chunks:
        async for changes in chunks:
            await _take_in(run, changes)
            progress = replace(progress, mark=later(progress.mark, max(change.timestamp for change in changes)))
            await run.ledger.note(progress)
            run.check_time()
    await run.ledger.note(replace(progress, mark=later(progress.mark, end), is_folded=True))


async def mark_latest(run: Run, since: datetime | None = None) -> set[StudyKey]:
    """Mark what the feed tells of beyond what is folded in, up to now; how far the ledger has come stays as it was.

    To be done once studies have been read: of what was received too late to be folded in, they may hold some already.
    By its mark a study has the time of its newest `Create` (`Ledger.find`), and is not deleted by an earlier one.

    Args:
        run: of this night.
        since: up to when this was done before; the feed is read from a little earlier.

    Returns:
        The studies that are marked by it, whether they were marked before or not.

    Raises:
        OutOfTime: the run's time is over.
        DICOMwebError, AzureError: nothing may be deleted then.
    """
    start = since or (await run.ledger.progress()).mark
    return await run.pace.ask(lambda: _mark_latest(run, start and start - _OVERLAP))


async def _mark_latest(run: Run, start: datetime | None) -> set[StudyKey]:
    feed = run.clients.dicom.change_feed.iter(start=start, overlap=_OVERLAP)
    marked: set[StudyKey] = set()
    async with aclosing(feed), aclosing(in_chunks(feed, _CHANGES_AT_ONCE)) as chunks:
        async for changes in chunks:
            newest = newest_creates(changes)
            await run.ledger.mark(newest)
            marked |= newest.keys()
            run.check_time()
    return marked


def newest_creates(changes: Iterable[Change]) -> dict[StudyKey, datetime | None]:
    """Return for each study that changed when its newest instance was created; None where none was (pure).

    The probe's is passed over: it is no study of anybody's, and goes by itself.
    """
    newest: dict[StudyKey, datetime | None] = {}
    for change in changes:
        if is_of_probe(change.study_instance_uid):
            continue
        key = StudyKey.of(change)
        created = change.timestamp if change.action is ChangeAction.CREATE else None
        newest[key] = later(newest.get(key), created)
    return newest


async def _take_in(run: Run, changes: list[Change]) -> None:
    await tell_late_instances(run, changes)
    await run.ledger.mark(newest_creates(changes))
