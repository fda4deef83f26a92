"""Bodies that nobody reads: what says no, and no more."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import httpx

_MAX_BYTES = 64 * 1024
_MAX_SECONDS = 1
_STORE_FAILED = 409  # the one status from 400 on whose body is a result


class WithoutRefusals(httpx.AsyncBaseTransport):
    """A transport whose answers from 400 on have no body, save a store's 409.

    httpx reads the body of a 401 before it asks for a new token: one that never ends, or is broken, would hide the
    refusal.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request (httpx's interface)."""
        response = await self._transport.handle_async_request(request)
        if response.status_code < 400 or response.status_code == _STORE_FAILED:
            return response
        await drain(response)
        headers = [(name, value) for name, value in response.headers.raw if name.lower() != b"content-encoding"]
        return httpx.Response(response.status_code, headers=headers, stream=httpx.ByteStream(b""))

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()


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
