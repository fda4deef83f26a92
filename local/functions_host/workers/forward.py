"""Forwards HTTP to the worker's own web server, as the host's YARP proxy does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import aiohttp
from aiohttp import hdrs, web
from multidict import CIMultiDict
from yarl import URL

from local.functions_host.functions import LoadError
from local.functions_host.http_values import (
    BodyTooLarge,
    cut_connection,
    forwarded_headers,
    limited_body,
    make_response,
)
from local.functions_host.invocations import Invocation, InvocationFailed
from local.functions_host.output import say

_READY_SECONDS = 15.0
_READY_POLL_SECONDS = 0.02
# The longest silence that the host allows between two chunks.
_ACTIVITY_SECONDS = 240.0
# uvicorn closes idle connections after 5 s; ours are gone before, so none is found closed.
_KEEP_ALIVE_SECONDS = 2.0
_OWN_HEADERS = (hdrs.USER_AGENT, hdrs.ACCEPT, hdrs.ACCEPT_ENCODING, hdrs.CONTENT_TYPE)


class Forwarder:
    """A connection pool to the worker's web server."""

    def __init__(self, http_uri: str, body_limit_bytes: int) -> None:
        self._http_uri = http_uri
        self._body_limit_bytes = body_limit_bytes
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_SECONDS),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=_ACTIVITY_SECONDS),
            auto_decompress=False,
            skip_auto_headers=_OWN_HEADERS,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def wait_until_ready(self) -> None:
        """Wait until the web server accepts connections.

        Raises:
            LoadError: it does not in 15 seconds.
        """
        address = urlsplit(self._http_uri)
        for _ in range(round(_READY_SECONDS / _READY_POLL_SECONDS)):
            if await _accepts(str(address.hostname), address.port or 80):
                return
            await asyncio.sleep(_READY_POLL_SECONDS)
        raise LoadError("the worker's web server does not answer")

    async def forward(self, request: web.Request, invocation: Invocation) -> web.StreamResponse:
        """Pass a request on and its response back, chunk by chunk.

        Raises:
            BodyTooLarge: the body passed the limit before a response began.
            InvocationFailed: the web server broke off before a response began.
        """
        upload = _Upload(request, self._body_limit_bytes)
        try:
            async with self._session.request(
                request.method,
                URL(self._http_uri + request.raw_path, encoded=True),
                headers=forwarded_headers(request, invocation.id),
                data=upload.chunks() if request.can_read_body else None,
                allow_redirects=False,
            ) as upstream:
                return await _pass_back(request, upstream, invocation)
        except aiohttp.ClientError as error:
            raise BodyTooLarge if upload.too_large else InvocationFailed(type(error).__name__) from None

    async def close(self) -> None:
        """Close the pool."""
        await self._session.close()


async def _pass_back(
    request: web.Request, upstream: aiohttp.ClientResponse, invocation: Invocation
) -> web.StreamResponse:
    response = make_response(upstream.status, CIMultiDict(upstream.headers))
    await response.prepare(request)
    try:
        async for chunk in upstream.content.iter_any():
            await response.write(chunk)
    except aiohttp.ClientError as error:
        say(invocation.function.name, "response broken off", invocation.id, type(error).__name__)
        cut_connection(request)
        return response
    await response.write_eof()
    return response


class _Upload:
    """A request's body on its way; remembers whether the limit ended it."""

    def __init__(self, request: web.Request, limit_bytes: int) -> None:
        self._request = request
        self._limit_bytes = limit_bytes
        self.too_large = False

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in limited_body(self._request, self._limit_bytes):
                yield chunk
        except BodyTooLarge:
            self.too_large = True
            raise


async def _accepts(host: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    return True
