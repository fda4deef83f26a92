"""A transport of httpx's API over aiohttp's connections."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp
import httpx

from .exchange import Exchange

# Sized for one Functions instance: more connections than this only queue inside the service.
MAX_CONNECTIONS = 64


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Sends httpx's requests over aiohttp, byte for byte and once.

    No cookie is kept, no redirect followed, nothing decompressed, no proxy asked. The times of `httpx.Timeout` are
    idle times; between the request's end and the answer's head `read` is one wait, whatever 1xx come. ConnectError,
    ConnectTimeout and PoolTimeout mean that nothing was sent; after any other error the outcome is unknown. An answer
    below 400 that comes before the whole body was sent is an error; one from 400 on is returned at once. A body's own
    error is raised as it is.

    Args:
        max_connections: at once; further requests wait for `pool` seconds at most.
        keepalive_seconds: how long an idle connection is kept; to be shorter than the server keeps it. Where a server
            says how long it does (`Keep-Alive: timeout=…`), half of that at most.
        tls: how servers are verified; None means httpx's own way.
    """

    def __init__(
        self,
        *,
        max_connections: int = MAX_CONNECTIONS,
        keepalive_seconds: float = 15,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._max_connections = max_connections
        self._keepalive_seconds = keepalive_seconds
        self._tls = tls or httpx.create_ssl_context(trust_env=False)
        self._pools: dict[asyncio.AbstractEventLoop, _Pool] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; the answer's stream has to be closed.

        Raises:
            httpx.TransportError: see the class.
            Exception: whatever the source of the request's body raised; BodyLengthError if it has another length.
        """
        pool = await self._pool()
        exchange = Exchange(request, pool.slots.release)
        if pool.slots.locked():
            await _wait_for(pool.slots, request.extensions.get("timeout", {}).get("pool"))
        else:
            await pool.slots.acquire()  # at once
        return await exchange.run(pool.connector)

    async def aclose(self) -> None:
        """Close the connections of the running loop; a later request opens new ones."""
        await self._forget(lambda loop: loop.is_closed() or loop is asyncio.get_running_loop())

    async def _pool(self) -> _Pool:
        loop = asyncio.get_running_loop()
        if loop in self._pools:
            return self._pools[loop]
        # In its place before anything is awaited: another request may come in meanwhile.
        pool = self._pools[loop] = _Pool(self._new_connector(), asyncio.Semaphore(self._max_connections))
        await self._forget(lambda other: other.is_closed())
        return pool

    async def _forget(self, is_over: Callable[[asyncio.AbstractEventLoop], bool]) -> None:
        for loop in filter(is_over, tuple(self._pools)):
            await self._pools.pop(loop).connector.close()

    def _new_connector(self) -> aiohttp.BaseConnector:
        # The slots are the limit: aiohttp's own has no time limit apart from that of connecting.
        return aiohttp.TCPConnector(limit=0, keepalive_timeout=self._keepalive_seconds, ssl=self._tls)


@dataclass(frozen=True)
class _Pool:
    """What belongs to one event loop."""

    connector: aiohttp.BaseConnector
    slots: asyncio.Semaphore


async def _wait_for(slots: asyncio.Semaphore, seconds: float | None) -> None:
    try:
        async with asyncio.timeout(seconds):
            await slots.acquire()
    except TimeoutError:
        raise httpx.PoolTimeout("every connection is in use") from None
