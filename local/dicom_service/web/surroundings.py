"""What surrounds every request: one log line, the date, the API's versions, an answer to what was not foreseen.

A log line has method, route and status; never a UID, a query or a header.
"""

from __future__ import annotations

import logging

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from local.dicom_service import clock

SUPPORTED_VERSIONS = b"2"

log = logging.getLogger("local.dicom_service.requests")


class LogRequests:
    """ASGI middleware that logs each request's end."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request (ASGI)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0

        async def watched_send(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._app(scope, receive, watched_send)
        finally:
            log.info("%s %s %s", scope["method"], _route(scope), status or "no answer")


def _route(scope: Scope) -> str:
    """Return the pattern that the path matched, in which the UIDs are names."""
    return str(getattr(scope.get("route"), "path", "unknown path"))


class Dates:
    """ASGI middleware that dates each answer by the service's clock; the server underneath would by the machine's."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request (ASGI)."""

        async def dating_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"date", clock.http_date().encode())]
            await send(message)

        await self._app(scope, receive, dating_send)


class ApiVersions:
    """ASGI middleware that names the versions of the API in each answer of a route that exists."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request (ASGI)."""

        async def naming_send(message: Message) -> None:
            if message["type"] == "http.response.start" and _route(scope).startswith("/v2"):
                message["headers"] = [*message["headers"], (b"api-supported-versions", SUPPORTED_VERSIONS)]
            await send(message)

        await self._app(scope, receive, naming_send)


class UnexpectedErrors:
    """ASGI middleware that answers 500 to what nothing else caught, or breaks off an answer that has begun."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request (ASGI)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watched_send(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched_send)
        except Exception as error:
            # Its text might quote values.
            log.error("unexpected %s", type(error).__name__)
            if started:
                raise
            response = PlainTextResponse("The service failed for a reason of its own.", 500)
            await response(scope, receive, send)
