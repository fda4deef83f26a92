"""How fast the service is asked: a few requests at once, fewer and slower while it throttles."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from shared.dicomweb import Busy

T = TypeVar("T")
_AT_ONCE = 4
_LONGEST_PAUSE_SECONDS = 60.0
_MOST_REFUSALS = 5


class Pace:
    """Retention yields to ingest and lookups: what the service refuses for now is asked again later, ever slower."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._refusals = 0

    async def ask(self, request: Callable[[], Awaitable[T]]) -> T:
        """Ask, and where the service is busy, pause and ask again.

        Raises:
            Busy: it has been for so long that the run had better end.
            DICOMwebError: see `shared.dicomweb.errors`.
        """
        while True:
            try:
                async with self._places:
                    answer = await request()
            except Busy as busy:
                self._refusals += 1
                if self._refusals >= _MOST_REFUSALS:
                    raise
                await asyncio.sleep(min(busy.retry_after_seconds or 2.0**self._refusals, _LONGEST_PAUSE_SECONDS))
            else:
                self._refusals = 0
                return answer
