"""What this process has dealt with lately, so that an event that comes twice costs nothing.

Only a shortcut: what holds across processes are the receipts.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from .patience import patience

_KEPT = 10_000
_PATIENCE_SECONDS = 60.0


class Handled:
    """The versions that have come to their end here, and the blobs that are in hand."""

    def __init__(self) -> None:
        self._done: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._in_hand: dict[str, tuple[asyncio.Lock, int]] = {}

    def __contains__(self, version: tuple[str, str]) -> bool:
        return version in self._done

    def add(self, name: str, etag: str) -> None:
        """Take note that a version of a blob is dealt with."""
        self._done[name, etag] = None
        if len(self._done) > _KEPT:
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
