"""The change feed from a position on, each change once, though changes become visible a little out of order."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from shared.dicomweb import Change, ChangeFeed

from .position import EPOCH, Position
from .sequences import Sequences

Wanted: TypeAlias = Callable[[Change], bool]

# A change has the time at which its store or deletion ends, and is seen once that is committed. This is more than
# that takes by far; what lies in it is read again each time.
OVERLAP: Final = timedelta(minutes=2)
# By how much the clocks of the service's parts may differ: one answers, one stamps the changes.
_CLOCKS_APART = timedelta(minutes=3)
# Changes that one request reads, told before or not, wanted or not: whatever the token says, and wherever much happens,
# it is answered within its time.
_MOST_READ = 10_000


@dataclass(frozen=True)
class Page:
    """Some changes.

    Args:
        changes: in the order of their times, but for those that were late.
        position: where to go on.
        has_more: whether to go on at once.
    """

    changes: list[Change]
    position: Position
    has_more: bool


async def read_on(feed: ChangeFeed, position: Position, limit: int, is_wanted: Wanted) -> Page:
    """Return the next changes after a position.

    A round of reading begins at the position's start. It ends with the feed, or with a page that has changes. Where a
    request has read as much as it may and found none, the next one resumes the round: so it gets through a time in
    which more changes were told than a request reads.

    Args:
        feed: of the service.
        position: where the page before ended.
        limit: how many at most.
        is_wanted: says whether the caller wants a change, and may see it.

    Raises:
        DICOMwebError: see `shared.dicomweb.errors`.
    """
    settled = await _settled(feed)
    reading = _Reading(position, limit, is_wanted)
    async with aclosing(feed.window(position.resume or position.start)) as window:
        async for change in window:
            if not reading.take(change):
                break
    return reading.page(settled)


class _Reading:
    def __init__(self, position: Position, limit: int, is_wanted: Wanted) -> None:
        self._position = position
        self._begin = position.resume or position.start
        self._told = Sequences(position.told)
        self._limit = limit
        self._is_wanted = is_wanted
        self._changes: list[Change] = []
        self._times: dict[int, datetime] = {}
        self._new = 0
        self._stopped: datetime | None = None

    def take(self, change: Change) -> bool:
        """Take the next change of the feed; return whether there is room for it."""
        # What was made at one time, such as by a study's deletion, is passed as a whole: one goes on from a time.
        is_full = len(self._times) >= _MOST_READ and (change.timestamp > self._begin or self._new >= _MOST_READ)
        is_new = change.sequence not in self._told
        is_wanted = is_new and self._is_wanted(change)
        if is_full or (is_wanted and len(self._changes) == self._limit):
            self._stopped = change.timestamp
            return False
        if is_new:
            self._new += 1
            self._told.add(change.sequence)
            self._changes += [change] if is_wanted else []
        self._times[change.sequence] = change.timestamp
        return True

    def page(self, settled: datetime) -> Page:
        """Return what was taken, and where to go on: behind what is settled and told, and so need not be read again."""
        start, resume = self._position.start, None
        if self._position.resume is None:
            start = max(start, settled if self._stopped is None else min(settled, self._stopped))
        if self._stopped is not None and self._stopped > start and not self._changes:
            resume = self._stopped
        for sequence, time in self._times.items():
            if time < start:
                self._told.discard(sequence)
        return Page(self._changes, Position(start, self._told, resume), self._stopped is not None)


async def latest_position(feed: ChangeFeed) -> Position:
    """Return the position after all that is there now.

    Raises:
        DICOMwebError: see `shared.dicomweb.errors`.
    """
    position = Position(await _settled(feed))
    async for change in feed.window(position.start):
        position.told.add(change.sequence)
    return position


async def _settled(feed: ChangeFeed) -> datetime:
    """Return a time before which no change will appear any more: by the service's clock, which ours need not match."""
    latest, now = await feed.latest_and_time()
    if latest is None:
        return EPOCH
    # What came last in a crowd is not read again for ever, where nothing follows.
    times = [EPOCH, latest.timestamp - OVERLAP, EPOCH if now is None else now - OVERLAP - _CLOCKS_APART]
    return max(times)
