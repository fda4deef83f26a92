"""What was found out a moment ago, and is not asked for again so soon."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Generic, TypeVar

T = TypeVar("T")


class Kept(Generic[T]):
    """One answer, kept for a while from when it came; concurrent callers share one question.

    Args:
        seconds: how long it is kept.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = asyncio.Lock()
        self._known: tuple[float, T] | None = None

    async def get(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Return the kept answer, or ask.

        Raises:
            Exception: what asking raises; nothing is kept then.
        """
        async with self._lock:
            if self._known is None or monotonic() - self._known[0] > self._seconds:
                answer = await ask()
                self._known = (monotonic(), answer)
            return self._known[1]
