"""How much memory files may take that cannot be streamed: those that are transcoded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from .patience import patience

# Of all files together; the smallest instance that the app is deployed on has 512 MiB.
BUDGET_BYTES = 128 * 1024 * 1024
_PATIENCE_SECONDS = 180.0


class Memory:
    """Hands memory out, and makes those wait for whom too little is left.

    Args:
        budget_bytes: how much there is.
    """

    def __init__(self, budget_bytes: int = BUDGET_BYTES) -> None:
        self._left = budget_bytes
        self._returned = asyncio.Condition()

    @asynccontextmanager
    async def reserved(self, size: int) -> AsyncGenerator[None]:
        """Wait for so many bytes, and hold them.

        Args:
            size: no more than the whole budget.

        Raises:
            NotYet: they are not to be had in three minutes.
        """
        async with self._returned:
            async with patience(_PATIENCE_SECONDS):
                await self._returned.wait_for(lambda: size <= self._left)
            self._left -= size
        try:
            yield
        finally:
            self._left += size
            async with self._returned:
                self._returned.notify_all()
