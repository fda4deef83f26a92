"""How many files are stored at the same time: bounded by a setting, fewer while the service asks for less."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from .patience import patience

# A transfer of this size or more takes long: such ones may not fill all places, so that small files pass them by.
LARGE_BYTES = 64 * 1024 * 1024
_PATIENCE_SECONDS = 60.0
_PATIENCE_FOR_LARGE_SECONDS = 180.0


class Gate:
    """Places for transfers.

    The number of places halves when the service is overloaded, and grows again by one for as many successes as there
    are places (additive increase, multiplicative decrease).

    Args:
        most: the number of places to begin with, and never exceeded.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._places = float(most)
        self._inside = 0
        self._large = asyncio.Semaphore(max(1, most // 4))
        self._changed = asyncio.Condition()

    @property
    def places(self) -> int:
        """How many may be inside at present."""
        return max(1, int(self._places))

    @asynccontextmanager
    async def entered(self) -> AsyncGenerator[None]:
        """Wait for a place, and hold it.

        Raises:
            NotYet: there is none in a minute.
        """
        async with self._changed:
            async with patience(_PATIENCE_SECONDS):
                await self._changed.wait_for(lambda: self._inside < self.places)
            self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1
            await self._wake()

    @asynccontextmanager
    async def large(self, size: int) -> AsyncGenerator[None]:
        """Let a large transfer wait outside, its place given back meanwhile, until there is room for one more.

        Raises:
            NotYet: there is none in three minutes.
        """
        if size < LARGE_BYTES:
            yield
            return
        self._inside -= 1
        try:
            await self._wake()
            async with patience(_PATIENCE_FOR_LARGE_SECONDS):
                await self._large.acquire()
        finally:
            self._inside += 1  # one too many for a moment at most
        try:
            yield
        finally:
            self._large.release()

    def passed(self) -> None:
        """Take note of a success."""
        self._places = min(self._most, self._places + 1 / self.places)

    def overloaded(self) -> None:
        """Take note that the service asked for less."""
        self._places = max(1.0, self._places / 2)

    async def _wake(self) -> None:
        async with self._changed:
            self._changed.notify_all()
