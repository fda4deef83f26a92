"""What was found out a moment ago, and is not asked for again so soon."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Generic, TypeVar

T = TypeVar("T")


class Kept(Generic[T]):
    """One answer, kept for a while from when it came; concurrent callers share one question, and its failure.

    Args:
        seconds: how long it is kept.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._known: tuple[float, T] | None = None
        self._asking: asyncio.Task[T] | None = None

    async def get(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Return the kept answer, or ask.

        Raises:
            Exception: what asking raises; nothing is kept then.
        """
        if self._known is not None and monotonic() - self._known[0] <= self._seconds:
            return self._known[1]
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask(ask))
        return await asyncio.shield(self._asking)  # whoever gives up leaves the others their answer

    async def _ask(self, ask: Callable[[], Awaitable[T]]) -> T:
        try:
            answer = await ask()
            self._known = (monotonic(), answer)
            return answer
        finally:
            self._asking = None
