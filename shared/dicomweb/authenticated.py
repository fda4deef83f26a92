"""Requests over a transport, with what their authentication adds: all of an HTTP client that is needed here."""

from __future__ import annotations

import httpx

from .draining import drain


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

    async def send(self, request: httpx.Request) -> httpx.Response:
        """Send a request, again if its authentication has a token for another try; the answer has to be closed.

        Raises:
            httpx.TransportError: see the transport.
            Exception: whatever the authentication or the source of the request's body raised.
        """
        steps = self._auth.async_auth_flow(request)
        try:
            request = await anext(steps)
            while True:
                response = await self._transport.handle_async_request(request)
                response.request = request
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
