"""How long a run may wait for others: it is part of its own time, which the host limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from store_on_upload.setback import NotYet


@asynccontextmanager
async def patience(seconds: float) -> AsyncGenerator[None]:
    """Wait inside for so long at most.

    Raises:
        NotYet: the time is over.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise NotYet("no_room", is_outage=True) from None
