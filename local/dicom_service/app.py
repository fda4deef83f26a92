"""The service as an ASGI application: its routes, and what surrounds them."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import cast

from anyio import create_task_group, to_thread
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from local.dicom_service.change_feed import routes as change_feed
from local.dicom_service.delete import delete
from local.dicom_service.extended_query_tags import routes as tags
from local.dicom_service.extended_query_tags.operation_routes import get_operation
from local.dicom_service.faults import routes as admin
from local.dicom_service.faults.counts import CountRequests, Counts
from local.dicom_service.faults.faults import Faults, InjectFaults
from local.dicom_service.instances import part10
from local.dicom_service.missing import FEATURES, Missing
from local.dicom_service.partitions.routes import Endpoint, RouteRow, list_partitions, partitioned
from local.dicom_service.pictures.rendered import retrieve_rendered
from local.dicom_service.retrieve.frames import retrieve_frames
from local.dicom_service.retrieve.metadata import retrieve_metadata
from local.dicom_service.retrieve.routes import retrieve
from local.dicom_service.search import routes as search
from local.dicom_service.state import DEFAULT_MAX_REQUEST_BYTES, ImplicitVR, MismatchCode, Preamble, Service, Switches
from local.dicom_service.store.routes import store
from local.dicom_service.stored.readers import CountReaders
from local.dicom_service.web.auth import BearerAuth
from local.dicom_service.web.connection import KeepConnection
from local.dicom_service.web.errors import ServiceError
from local.dicom_service.web.surroundings import ApiVersions, Dates, LogRequests, UnexpectedErrors
from local.dicom_service.web.unread_body import DrainUnreadBody

log = logging.getLogger(__name__)

_VERSION = re.compile(r"/v([0-9]+(\.[0-9]+)?(-prerelease)?)(/|$)")
_STUDY = "/studies/{study}"
_SERIES = f"{_STUDY}/series/{{series}}"
_INSTANCE = f"{_SERIES}/instances/{{instance}}"


def create_app(
    data_dir: Path,
    token_secret: str | None,
    *,
    implicit_vr: ImplicitVR = "warn",
    max_request_bytes: int = DEFAULT_MAX_REQUEST_BYTES,
    preamble: Preamble = "require",
    mismatch_code: MismatchCode = 43264,
    partitions: bool = False,
    put_upsert: bool = True,
) -> Starlette:
    """Return the service over a data folder; without a token secret it asks for no tokens.

    The folder is opened when the application starts and closed when it stops.
    """
    switches = Switches(implicit_vr, max_request_bytes, preamble, mismatch_code, partitions, put_upsert)
    faults, counts = Faults(), Counts()
    app = Starlette(
        routes=[*admin.routes(faults, counts), *_routes(token_secret, faults, switches)],
        middleware=[
            *(Middleware(each) for each in (KeepConnection, Dates, LogRequests, ApiVersions, UnexpectedErrors)),
            Middleware(CountRequests, counts=counts),
            Middleware(DrainUnreadBody),
            Middleware(CountReaders),
        ],
        exception_handlers={ServiceError: _service_error, ClientDisconnect: _client_disconnect, 404: _unknown_path},
        lifespan=_lifespan(data_dir, switches),
    )
    app.router.redirect_slashes = False
    return app


def _lifespan(data_dir: Path, switches: Switches) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        part10.silence_pydicom()
        try:
            app.state.service = await to_thread.run_sync(Service, data_dir, switches)
        except Exception as error:
            log.error("the data folder cannot be opened: %s", type(error).__name__)
            raise
        try:
            async with create_task_group() as background:
                background.start_soon(app.state.service.expiry.run)
                yield
                background.cancel_scope.cancel()
        finally:
            app.state.service.close()

    return lifespan


def _routes(token_secret: str | None, faults: Faults, switches: Switches) -> list[Route]:
    guard = [Middleware(BearerAuth, secret=token_secret), Middleware(InjectFaults, faults=faults)]
    table = partitioned(_table(switches), switches.partitions)
    return [
        Route("/health/check", _health, methods=["GET"]),
        *(Route(f"/v2{path}", handler, methods=[method], middleware=guard) for method, path, handler in table),
    ]


def _table(switches: Switches) -> list[RouteRow]:
    """Return method, path below the version, and endpoint of every route; the first that matches is taken."""
    levels = (_STUDY, _SERIES, _INSTANCE)
    return [
        *((method, path, _missing(feature)) for feature in FEATURES for method, path in feature.routes),
        *(("GET", path, search.endpoint(scope)) for path, scope in search.SCOPES.items()),
        *((method, path, store) for method in _store_methods(switches) for path in ("/studies", _STUDY)),
        *(("GET", path, retrieve) for path in levels),
        *(("GET", f"{path}/metadata", retrieve_metadata) for path in levels),
        *(("DELETE", path, delete) for path in levels),
        *(("GET", f"{_INSTANCE}/frames/{frames}", retrieve_frames) for frames in ("{frames}", "")),
        ("GET", "/partitions", list_partitions),
        ("GET", "/changefeed", change_feed.read),
        ("GET", "/changefeed/latest", change_feed.read_latest),
        ("GET", "/extendedquerytags", tags.list_tags),
        ("POST", "/extendedquerytags", tags.add_tags),
        ("GET", "/extendedquerytags/{tag}", tags.get_tag),
        ("PATCH", "/extendedquerytags/{tag}", tags.update_tag),
        ("DELETE", "/extendedquerytags/{tag}", tags.delete_tag),
        ("GET", "/extendedquerytags/{tag}/errors", tags.list_errors),
        ("GET", "/operations/{operation}", get_operation),
        *(("GET", f"{_INSTANCE}{path}/rendered", retrieve_rendered) for path in ("", "/frames/{frame}")),
    ]


def _store_methods(switches: Switches) -> tuple[str, ...]:
    return ("POST", "PUT") if switches.put_upsert else ("POST",)


def _missing(feature: Missing) -> Endpoint:
    async def missing_endpoint(request: Request) -> Response:
        raise feature.error()

    return missing_endpoint


async def _health(request: Request) -> Response:
    return PlainTextResponse("healthy")


async def _unknown_path(request: Request, error: Exception) -> Response:
    """Answer to a path without a route: one that names another version is told so."""
    version = _VERSION.match(request.url.path)
    if version is None or version.group(1) == "2":
        return PlainTextResponse("There is no such resource.", 404)
    problem = {"code": "UnsupportedApiVersion", "message": "This version of the API is not served; use v2."}
    return JSONResponse({"error": problem}, 400)


async def _service_error(request: Request, error: Exception) -> Response:
    return cast(ServiceError, error).response()


async def _client_disconnect(request: Request, error: Exception) -> Response:
    return PlainTextResponse("The request broke off.", 400)  # for the log: no one is there to read it
