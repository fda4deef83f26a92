"""The lookups on a real socket: everything but the Functions host."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.routing import Route as HttpRoute

from local.dicom_service.web.listener import listen
from query_api import answering
from query_api.answering import look_up
from query_api.lookup import Route
from query_api.routes import ROUTES
from query_api.searching import search
from query_api.searching.extended import ExtendedAttributes
from shared.auditing import auditor
from shared.auditing.auditor import Auditor
from shared.clients import Clients
from shared.dicomweb import DICOMwebClient, RetryPolicy
from shared.kept import Kept
from shared.places import Places
from shared.settings import load
from tests.kit.scripted_server import Received, Script, ScriptedServer, serve

Start = Callable[..., AbstractAsyncContextManager["Lookups"]]

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


@dataclass
class Lookups:
    """What a test works with.

    Args:
        service: the DICOM service.
        http: asks the app; paths are those of the routes.
        url: of the app.
        places: that lookups take.
        log: the app's own lines.
    """

    service: ScriptedServer
    http: httpx.AsyncClient
    url: str
    places: Places
    log: pytest.LogCaptureFixture = field(repr=False)

    def events(self, name: str = "lookup") -> list[dict[str, Any]]:
        """Return the lines of one name so far."""
        lines = [json.loads(record.message) for record in self.log.records if record.name == "dicom_dropbox"]
        return [line for line in lines if line["event"] == name]

    async def ended(self, count: int = 1) -> list[dict[str, Any]]:
        """Wait until so many lookups are over; return their lines."""
        await until(lambda: len(self.events()) >= count)
        return self.events()


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something holds.

    Raises:
        TimeoutError: it does not in ten seconds.
    """
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  (what is waited for has no event)
            await asyncio.sleep(0.01)


@asynccontextmanager
async def lookups(
    azurite: str,
    monkeypatch: pytest.MonkeyPatch,
    log: pytest.LogCaptureFixture,
    *scripts: Script | Callable[[Received], Script],
    **settings: str,
) -> AsyncIterator[Lookups]:
    """Serve all routes over a service that follows scripts."""
    log.set_level(logging.INFO, "dicom_dropbox")
    async with serve(*scripts) as service, lookups_at(service.url, azurite, monkeypatch, **settings) as http:
        monkeypatch.setattr(answering, "_places", places := Places())
        yield Lookups(service, http, str(http.base_url).rstrip("/"), places, log)


@asynccontextmanager
async def lookups_at(
    service_url: str, azurite: str, monkeypatch: pytest.MonkeyPatch, **settings: str
) -> AsyncIterator[httpx.AsyncClient]:
    """Serve all routes over the service at an address, whose client tries once: a script is one request."""
    given = load({"DICOM_SERVICE_URL": service_url, "DICOM_STORAGE": azurite, **settings})
    dicom = DICOMwebClient(given.dicom_service_url, retry=RetryPolicy(attempts=1))
    async with aclosing(Clients.over(given, dicom)) as clients:
        monkeypatch.setattr(answering, "get_clients", lambda: clients)
        monkeypatch.setattr(auditor, "_auditor", Auditor(clients))
        monkeypatch.setattr(answering, "_partitions", Kept(60))
        monkeypatch.setattr(search, "_extended", ExtendedAttributes())
        routes = [HttpRoute(f"/{route.path}", _endpoint(route), methods=METHODS) for route in ROUTES]
        async with served(routes) as url, _client(url) as http:
            yield http


@asynccontextmanager
async def served(routes: Iterable[HttpRoute]) -> AsyncIterator[str]:
    """Serve some routes, in this event loop, and yield the address above them."""
    app = Starlette(routes=[Mount("/api", routes=list(routes))])
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1))
    listener = listen(0)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    await until(lambda: server.started)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/api"
    finally:
        server.should_exit = True
        await serving


def work_of(function: object) -> Callable[[Request], Awaitable[Response]]:
    """Return what a function of a blueprint does, without the decorators of its trigger."""
    work: Callable[[Request], Awaitable[Response]] = function._function.get_user_function()  # type: ignore[attr-defined]
    return work


def same_headers(one: httpx.Response, other: httpx.Response) -> bool:
    """Return whether two answers have the same headers, except those of the request itself."""
    differ = {"date", "x-request-id"}
    first, second = ({k: v for k, v in answer.headers.items() if k not in differ} for answer in (one, other))
    return first == second


def _client(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, timeout=20, trust_env=False, limits=httpx.Limits(max_connections=None))


def _endpoint(route: Route) -> Callable[[Request], Any]:
    async def answer(request: Request) -> Response:
        return await look_up(request, route)

    return answer
