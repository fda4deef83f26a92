"""What this process has dealt with lately, so that an event that comes twice costs nothing.

Only a shortcut: what holds across processes are the receipts.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from math import inf

from .patience import patience

# An event of a blob that is older than five minutes looks for the receipt (`upload`); twice as long, for clocks differ.
KEPT_SECONDS = 600.0
_MOST_KEPT = 10_000
_PATIENCE_SECONDS = 60.0


class Handled:
    """The versions that have come to their end here lately, and the blobs that are in hand.

    Args:
        clock: the time in seconds, which never goes back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._done: OrderedDict[tuple[str, str], float] = OrderedDict()  # the time at which it is forgotten
        self._in_hand: dict[str, tuple[asyncio.Lock, int]] = {}

    def __contains__(self, version: tuple[str, str]) -> bool:
        return self._done.get(version, -inf) > self._clock()

    def add(self, name: str, etag: str) -> None:
        """Take note that a version of a blob is dealt with, and forget those that were long ago."""
        now = self._clock()
        self._done[name, etag] = now + KEPT_SECONDS
        self._done.move_to_end((name, etag))
        while len(self._done) > _MOST_KEPT or next(iter(self._done.values())) <= now:
            self._done.popitem(last=False)

    @asynccontextmanager
    async def alone(self, name: str) -> AsyncGenerator[None]:
        """Have a blob for oneself in this process.

        Raises:
            NotYet: another run has it, and does not end within a minute.
        """
        lock, waiting = self._in_hand.get(name, (asyncio.Lock(), 0))
        self._in_hand[name] = (lock, waiting + 1)
        try:
            async with patience(_PATIENCE_SECONDS):
                await lock.acquire()
            try:
                yield
            finally:
                lock.release()
        finally:
            lock, waiting = self._in_hand[name]
            if waiting == 1:
                del self._in_hand[name]
            else:
                self._in_hand[name] = (lock, waiting - 1)
