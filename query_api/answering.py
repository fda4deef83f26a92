"""One lookup from end to end: bounds, caller, answer or problem, access record, and one line in the log."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from functools import partial
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from shared.answering import REQUEST_ID
from shared.auditing.auditor import get_auditor
from shared.callers import caller_of
from shared.clients import get_clients
from shared.connection import while_connected
from shared.delivery import Delivery, Outcome, close
from shared.dicomweb import NotFound
from shared.dicomweb.partitions import DEFAULT_PARTITION
from shared.events import describe, event, place
from shared.kept import Kept
from shared.partitions import is_other_spelling, partition_names
from shared.places import Places
from shared.probe_uids import is_of_probe
from shared.problems import problem
from shared.telemetry.recording import span

from .accesses import access_of
from .lookup import METHODS, Lookup, Route
from .refusals import refused
from .retrieving.opening import transaction_of

DEFAULT_IDLE_SECONDS: Final = 200.0
# Of path and query. The DICOM service's web server takes 8,192 for the whole line, as the host's does, which answers
# longer ones itself; some is left for what is added on the way.
MAX_TARGET_BYTES: Final = 7168
_PARTITIONS_KEPT_SECONDS: Final = 60.0
_NOBODY = 499  # nginx's number for a caller that hung up before there was an answer

_places = Places()
_partitions: Kept[tuple[str, ...]] = Kept(_PARTITIONS_KEPT_SECONDS)


async def look_up(http: HttpRequest, route: Route) -> Response:
    """Answer a lookup."""
    return await _Answering(http, route).respond()


async def refuse_path(http: HttpRequest) -> Response:
    """Answer what no route is for; it is no lookup, and has no line in the log."""
    response = problem(refused("unknown-path"))
    response.headers[REQUEST_ID] = uuid.uuid4().hex
    return response


class _Answering:
    def __init__(self, http: HttpRequest, route: Route) -> None:
        self._http = http
        self._route = route
        self._id = uuid.uuid4().hex
        self._started = time.monotonic()
        self._idle_seconds = DEFAULT_IDLE_SECONDS
        self._lookup: Lookup | None = None
        self._error: Exception | None = None
        self._begun: Response | None = None
        self._has_place = False
        self._span = span(_name(route))

    async def respond(self) -> Response:
        with self._span.active():
            return await self._respond()

    async def _respond(self) -> Response:
        try:
            self._lookup = self._admit()
            response = await self._answer(self._lookup)
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
        return Delivery(response, self._idle_seconds, self._end)

    def _admit(self) -> Lookup:
        if self._http.method not in METHODS:
            raise refused("method-not-allowed", headers={"Allow": ", ".join(METHODS)})
        if _target_bytes(self._http) > MAX_TARGET_BYTES:
            raise refused("uri-too-long", members={"detail": f"{MAX_TARGET_BYTES} bytes are allowed."})
        clients = get_clients()
        settings = clients.settings
        self._idle_seconds = settings.lookup_timeout_seconds
        caller = caller_of(self._http, settings)
        if settings.lookup_auth == "principal" and caller.kind != "principal":
            raise refused("not-signed-in")
        self._take_place(settings.lookup_concurrency)
        return Lookup(self._http, self._route, clients, caller, self._id)

    def _take_place(self, most: int) -> None:
        if not _places.take(most):
            raise refused("too-many-lookups")
        self._has_place = True

    async def _answer(self, lookup: Lookup) -> Response:
        if self._route.is_partitioned and not lookup.may_see(lookup.partition or DEFAULT_PARTITION):
            raise refused("not-your-partition")
        try:
            async with asyncio.timeout(self._idle_seconds):
                return await while_connected(self._http.receive, self._begin(lookup))
        except BaseException as error:
            # It may be there already: it is being recorded, or it came in the very moment in which it was too late.
            if self._begun is not None:
                await close(self._begun)
            if isinstance(error, TimeoutError):
                raise refused("too-slow") from None
            raise

    async def _begin(self, lookup: Lookup) -> Response:
        await _check_spelling(lookup)
        _hide_probe(lookup)
        self._begun = await self._route.answer(lookup)
        await get_auditor().begin(access_of(lookup), self._begun.status_code)
        return self._begun

    async def _end(self, outcome: Outcome) -> None:
        if self._has_place:
            _places.give_back()
        if isinstance(self._error, ClientDisconnect):
            outcome.error = self._error
        with self._span.active():  # the answer is sent in a task of the web server's
            self._log(outcome)
        error = outcome.error or self._error
        self._span.end(type(error) if error else None)
        if self._lookup is not None:
            await get_auditor().end(access_of(self._lookup), outcome.status, outcome.bytes, outcome.word)

    def _log(self, outcome: Outcome) -> None:
        error = outcome.error or self._error
        failed = outcome.status >= 500 or outcome.word == "cut"
        lookup = self._lookup
        event(
            "lookup",
            level=logging.ERROR if failed else logging.INFO,
            transaction=self._route.transaction,
            resource=self._route.resource,
            status=outcome.status,
            datasets=lookup.datasets if lookup else None,
            bytes=outcome.bytes,
            complete=outcome.error is None,
            adaptations=[adaptation.code for adaptation in lookup.adaptations] or None if lookup else None,
            error=describe(error) if error else None,
            at=place(error) if error else None,
            seconds=round(time.monotonic() - self._started, 3),
            request_id=self._id,
        )


def _name(route: Route) -> str:
    is_one_word = route.transaction == route.resource
    return route.resource if is_one_word else f"{route.transaction} {route.resource}"


async def _check_spelling(lookup: Lookup) -> None:
    """Refuse another spelling of a partition's name: the service may take it for the name of that partition.

    Raises:
        Refused: the service lists the partition under another spelling.
        DICOMwebError: the service does not list its partitions.
    """
    if lookup.partition is None or not lookup.is_limited:
        return
    names = await _partitions.get(partial(partition_names, lookup.service))
    if is_other_spelling(lookup.partition, names):
        raise refused("not-your-partition")


def _hide_probe(lookup: Lookup) -> None:
    """Answer a retrieval of the probe's as the service answers one of what is not there."""
    if lookup.route.transaction == "retrieve" and is_of_probe(lookup.resource.study_instance_uid):
        raise NotFound(transaction_of(lookup), 404)


def _target_bytes(http: HttpRequest) -> int:
    return len(http.scope.get("raw_path") or http.url.path) + len(http.scope["query_string"])
