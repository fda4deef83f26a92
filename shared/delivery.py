"""An answer on its way to the caller: counted, bounded in time, and accounted for however it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Literal

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from .connection import while_connected


@dataclass
class Outcome:
    """How an answer ended.

    Args:
        status: of the answer.
        bytes: of its body that were sent.
        error: what cut it short; None if it is complete.
    """

    status: int
    bytes: int = 0
    error: Exception | None = None

    @property
    def word(self) -> Literal["complete", "cut", "hung_up"]:
        """How it ended; `hung_up` is the caller's own doing."""
        if self.error is None:
            return "complete"
        return "hung_up" if isinstance(self.error, ClientDisconnect) else "cut"


class Delivery(Response):
    """Sends a response, and says how that went.

    Args:
        response: what is sent; of one to a HEAD request the headers only.
        idle_seconds: how long nothing may move: no byte from the service, none taken by the caller. There is no limit
            in total.
        end: is called once, when all is over, whatever happened.
    """

    def __init__(self, response: Response, idle_seconds: float, end: Callable[[Outcome], Awaitable[None]]) -> None:
        self.status_code = response.status_code
        self.raw_headers = response.raw_headers
        self.background = None
        self._response = response
        self._idle_seconds = idle_seconds
        self._end = end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it; a failure in the middle cuts the connection, so that the caller sees it.

        Raises:
            Exception: whatever went wrong, but that the caller hung up.
        """
        outcome = Outcome(self.status_code)
        try:
            await while_connected(receive, self._send(scope, _Counting(send, outcome)))
        except ClientDisconnect:
            self._hung_up(outcome)  # there is nobody to raise it for
        except Exception as error:
            outcome.error = error
            raise
        except asyncio.CancelledError:
            self._hung_up(outcome)  # what cancels us is the host, whose caller is gone
            raise
        finally:
            try:
                await close(self._response)
            finally:
                await self._end(outcome)

    def _hung_up(self, outcome: Outcome) -> None:
        # Who has all that was announced may go before our last word.
        if self.headers.get("content-length") != str(outcome.bytes):
            outcome.error = ClientDisconnect()

    async def _send(self, scope: Scope, counting: _Counting) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._idle_seconds) as limit:

            async def send(message: Message) -> None:
                limit.reschedule(loop.time() + self._idle_seconds)
                await counting(message)
                limit.reschedule(loop.time() + self._idle_seconds)

            if scope.get("method") == "HEAD":
                await self._send_head(send)
            else:
                # From 2.4 on the response leaves it to the server, here to us, to see that the caller is gone.
                await self._response({**scope, "asgi": {"version": "3.0", "spec_version": "2.4"}}, _nothing, send)

    async def _send_head(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class _Counting:
    """Passes messages on and counts the bytes."""

    def __init__(self, send: Send, outcome: Outcome) -> None:
        self._send = send
        self._outcome = outcome

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        await self._send(message)
        self._outcome.bytes += len(message.get("body", b""))


async def _nothing() -> Message:
    """Tell nothing: the caller's side is listened to already."""
    await asyncio.Event().wait()
    return {"type": "http.disconnect"}


async def close(response: Response) -> None:
    """Give back what the body holds, also of one that was never sent."""
    aclose = getattr(response, "aclose", None)
    if aclose is not None:
        await aclose()
