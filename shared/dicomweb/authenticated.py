"""Requests over a transport, with what their authentication adds: all of an HTTP client that is needed here."""

from __future__ import annotations

import time

import httpx

from .draining import drain
from .errors import RequestNotSent


class AuthenticatedTransport:
    """Sends httpx's requests as they are, in the steps that an `httpx.Auth` asks for.

    It stands in the place of httpx's client, which merges headers, keeps cookies, follows redirects and logs each
    address, in a third of the time of a small store, and none of which is wanted.

    Args:
        transport: sends each request.
        auth: adds the bearer token; None adds nothing.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport, auth: httpx.Auth | None) -> None:
        self._transport = transport
        self._auth = auth or httpx.Auth()

    async def send(self, request: httpx.Request, *, send_by: float | None = None) -> httpx.Response:
        """Send a request, again if its authentication has a token for another try; the answer has to be closed.

        Args:
            request: whose stream can be read again.
            send_by: of `time.monotonic`: the request is sent by then or not at all, for a token and a connection may
                take long. It is sent once, also if the answer refuses the token.

        Raises:
            RequestNotSent: it would have been sent too late.
            httpx.TransportError: see the transport.
            Exception: whatever the authentication or the source of the request's body raised.
        """
        steps = self._auth.async_auth_flow(request)
        try:
            request = await anext(steps)
            while True:
                _limit_wait(request, send_by)
                response = await self._transport.handle_async_request(request)
                response.request = request
                if send_by is not None:
                    return response
                try:
                    request = await steps.asend(response)
                except StopAsyncIteration:
                    return response
                except BaseException:
                    await response.aclose()
                    raise
                await drain(response)
        finally:
            await steps.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()


def _limit_wait(request: httpx.Request, send_by: float | None) -> None:
    """Have a request wait for its connection until `send_by` at most.

    Raises:
        RequestNotSent: that time has passed.
    """
    if send_by is None:
        return
    left = send_by - time.monotonic()
    if left <= 0:
        raise RequestNotSent("too late: getting a token took too long, so the request was not sent")
    given = request.extensions["timeout"]
    limits = {step: min(given[step] or left, left / 2) for step in ("pool", "connect")}
    request.extensions = {**request.extensions, "timeout": {**given, **limits}}
