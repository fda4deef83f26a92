"""Lookups through the app's pipeline, without the functions host before it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as StarletteRoute

import shared.clients
from query_api import answering
from query_api.auditing import auditor
from query_api.lookup import Route
from query_api.routes import ROUTES
from shared.clients import Clients
from shared.dicomweb import DICOMwebClient


@asynccontextmanager
async def asking(
    clients: Clients, url: str, monkeypatch: pytest.MonkeyPatch, **settings: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """Open a client of the lookups of an app that works with the DICOM service at an address.

    Args:
        settings: by field, in place of the app's.
    """
    async with DICOMwebClient(url) as dicom:
        at_service = replace(clients, lookups=dicom, settings=clients.settings.model_copy(update=settings))
        monkeypatch.setattr(shared.clients, "_clients", at_service)
        monkeypatch.setattr(auditor, "_auditor", None)
        transport = httpx.ASGITransport(Starlette(routes=list(map(_route, ROUTES))))
        async with httpx.AsyncClient(transport=transport, base_url="http://app/api") as http:
            yield http


def _route(route: Route) -> StarletteRoute:
    async def look_up(request: Request) -> Response:
        return await answering.look_up(request, route)

    return StarletteRoute(f"/api/{route.path}", look_up, methods=["GET", "HEAD", "POST"])
