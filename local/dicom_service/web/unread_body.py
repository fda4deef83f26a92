"""A request that is answered before its body was read.

Closing the connection at once would reset it under a client that is still sending, which may then lose the answer.
So what is left of the body is read and thrown away first, within bounds.
"""

from __future__ import annotations

import anyio
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_SECONDS = 5.0
MAX_BYTES = 64 * 1024 * 1024


class DrainUnreadBody:
    """ASGI middleware that reads the rest of a body before the answer is sent."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request (ASGI)."""
        if scope["type"] != "http" or not _announces_body(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        complete = False

        async def watched_receive() -> Message:
            nonlocal complete
            message = await receive()
            complete = message["type"] != "http.request" or not message.get("more_body", False)
            return message

        async def draining_send(message: Message) -> None:
            if message["type"] == "http.response.start" and not complete:
                await _drain(receive)
            await send(message)

        await self._app(scope, watched_receive, draining_send)


def _announces_body(headers: Headers) -> bool:
    # A client that waits for 100 Continue has not sent its body and needs no help.
    sends_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
    return sends_body and "expect" not in headers


async def _drain(receive: Receive) -> None:
    left = MAX_BYTES
    with anyio.move_on_after(MAX_SECONDS):
        while left > 0:
            message = await receive()
            if message["type"] != "http.request" or not message.get("more_body", False):
                return
            left -= len(message.get("body", b""))
