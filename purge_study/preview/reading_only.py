"""A transport that asks and never changes anything."""

from __future__ import annotations

import httpx

_READ = ("GET", "HEAD")


class ReadingOnly(httpx.AsyncBaseTransport):
    """Sends what reads, and nothing else, whatever the code above it may come to ask for.

    Args:
        inner: what sends it.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request that reads.

        Raises:
            httpx.UnsupportedProtocol: it would change something; nothing was sent.
        """
        if request.method not in _READ:
            raise httpx.UnsupportedProtocol("a preview only reads")
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()
