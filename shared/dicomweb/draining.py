"""Bodies that nobody reads: what says no, and no more."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import httpx

_MAX_BYTES = 64 * 1024
_MAX_SECONDS = 1


async def drain(response: httpx.Response) -> None:
    """Read the rest of a short answer, so that its connection can be reused: new ones would add to the load.

    What is long, slow or broken is not waited for: its connection is closed.
    """
    try:
        # StreamError: a response that was read already.
        with suppress(httpx.HTTPError, httpx.StreamError, TimeoutError):
            async with asyncio.timeout(_MAX_SECONDS):
                passed = 0
                async for chunk in response.aiter_raw():
                    passed += len(chunk)
                    if passed > _MAX_BYTES:
                        break
    finally:
        await response.aclose()
