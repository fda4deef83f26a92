"""The connection that a request came on, for answers that break off: ASGI has no word for it, so it is uvicorn's."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any, cast

import anyio
from starlette.types import ASGIApp, Receive, Scope, Send

_RECEIVE = "local.receive"
_FLUSH_SECONDS = 0.005
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER, for no time


class KeepConnection:
    """ASGI middleware that keeps the way to the connection; nothing outside it may wrap `receive`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request (ASGI)."""
        scope[_RECEIVE] = receive
        await self._app(scope, receive, send)


async def close(scope: Scope) -> None:
    """Close the connection, without another byte."""
    _transport(scope).close()
    await _until_lost(scope)


async def reset(scope: Scope) -> None:
    """Reset the connection (RFC 9293 §3.5.2) once what was sent has left."""
    transport = _transport(scope)
    # asyncio tells no one but uvicorn when its buffer is empty.
    while transport.get_write_buffer_size() and not transport.is_closing():  # noqa: ASYNC110
        await anyio.sleep(_FLUSH_SECONDS)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()
    await _until_lost(scope)


def _transport(scope: Scope) -> asyncio.Transport:
    # `receive` is a method of uvicorn's request, which has the transport.
    return cast(asyncio.Transport, cast(Any, scope[_RECEIVE]).__self__.transport)


async def _until_lost(scope: Scope) -> None:
    """Wait until uvicorn knows: to a connection that it takes for open it would answer 500."""
    while (await scope[_RECEIVE]())["type"] != "http.disconnect":
        pass
