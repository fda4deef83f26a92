"""One lookup from end to end: bounds, caller, answer or problem, access record, and one line in the log."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from shared.clients import get_clients
from shared.events import describe, event, place
from shared.problems import problem

from .connection import while_connected
from .delivery import Delivery, Outcome
from .lookup import METHODS, Lookup, Route
from .places import Places
from .refusals import refused

REQUEST_ID: Final = "x-request-id"

_NOBODY = 499  # nginx's number for a caller that hung up before there was an answer

_places = Places()


async def look_up(http: HttpRequest, route: Route) -> Response:
    """Answer a lookup."""
    return await _Answering(http, route).respond()


async def refuse_path(http: HttpRequest) -> Response:
    """Answer what no route is for."""
    return problem(refused("unknown-path"))


class _Answering:
    def __init__(self, http: HttpRequest, route: Route) -> None:
        self._http = http
        self._route = route
        self._id = uuid.uuid4().hex
        self._started = time.monotonic()
        self._lookup: Lookup | None = None
        self._error: Exception | None = None
        self._has_place = False

    async def respond(self) -> Response:
        idle_seconds = 0.0
        try:
            if self._http.method not in METHODS:
                raise refused("method-not-allowed", headers={"Allow": ", ".join(METHODS)})
            clients = get_clients()
            idle_seconds = clients.settings.lookup_timeout_seconds
            self._take_place(clients.settings.lookup_concurrency)
            self._lookup = Lookup(self._http, self._route, clients, self._id)
            response = await self._answer(self._lookup, idle_seconds)
        except ClientDisconnect as error:
            self._error = error
            response = Response(status_code=_NOBODY)
        except Exception as error:
            self._error = error
            response = problem(error)
        except asyncio.CancelledError:
            await self._end(Outcome(_NOBODY, error=ClientDisconnect()))
            raise
        response.headers[REQUEST_ID] = self._id
        return Delivery(response, idle_seconds or 60.0, self._end)

    def _take_place(self, most: int) -> None:
        if not _places.take(most):
            raise refused("too-many-lookups")
        self._has_place = True

    async def _answer(self, lookup: Lookup, idle_seconds: float) -> Response:
        try:
            async with asyncio.timeout(idle_seconds):
                return await while_connected(self._http.receive, self._route.answer(lookup))
        except TimeoutError:
            raise refused("too-slow") from None

    async def _end(self, outcome: Outcome) -> None:
        if self._has_place:
            _places.give_back()
        error = outcome.error or self._error
        failed = outcome.status >= 500 or not (outcome.is_complete or outcome.is_hung_up)
        lookup = self._lookup
        event(
            "lookup",
            level=logging.ERROR if failed else logging.INFO,
            transaction=self._route.transaction,
            resource=self._route.resource,
            status=outcome.status,
            datasets=lookup.datasets if lookup else None,
            bytes=outcome.bytes,
            complete=outcome.is_complete,
            adaptations=[adaptation.code for adaptation in lookup.adaptations] or None if lookup else None,
            error=describe(error) if error else None,
            at=place(error) if error else None,
            seconds=round(time.monotonic() - self._started, 3),
            request_id=self._id,
        )
