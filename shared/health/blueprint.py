"""The two questions about the app's health, in every app, whatever it runs: status only, for they are anonymous."""

from __future__ import annotations

import azure.functions as func
from azurefunctions.extensions.http.fastapi import Request, Response

from .readiness import Readiness

blueprint = func.Blueprint()
_readiness = Readiness()


@blueprint.route("health/live", methods=["GET", "HEAD"], auth_level=func.AuthLevel.ANONYMOUS)
async def health_live(req: Request) -> Response:
    """Answer 200 while the process serves requests, whatever its settings."""
    return Response(status_code=200)


@blueprint.route("health/ready", methods=["GET", "HEAD"], auth_level=func.AuthLevel.ANONYMOUS)
async def health_ready(req: Request) -> Response:
    """Answer 200 while the app could do its work, else 503."""
    return Response(status_code=200 if await _readiness.is_ready() else 503)
