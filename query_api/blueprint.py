"""The routes: the paths of PS3.18 under the app's prefix. Nothing here can write or delete."""

from __future__ import annotations

import azure.functions as func
from azurefunctions.extensions.http.fastapi import Request, Response

from . import retrieve, search
from .health import Readiness
from .lookup import look_up

blueprint = func.Blueprint()
_readiness = Readiness()

_STUDY = "studies/{study}"
_SERIES = f"{_STUDY}/series/{{series}}"
_INSTANCE = f"{_SERIES}/instances/{{instance}}"


@blueprint.route("studies", methods=["GET"])
async def search_studies(req: Request) -> Response:
    """Search for studies."""
    return await look_up(req, search.studies)


@blueprint.route("series", methods=["GET"])
async def search_series(req: Request) -> Response:
    """Search for series."""
    return await look_up(req, search.series)


@blueprint.route("instances", methods=["GET"])
async def search_instances(req: Request) -> Response:
    """Search for instances."""
    return await look_up(req, search.instances)


@blueprint.route(f"{_STUDY}/series", methods=["GET"])
async def search_study_series(req: Request) -> Response:
    """Search for a study's series."""
    return await look_up(req, search.series)


@blueprint.route(f"{_STUDY}/instances", methods=["GET"])
async def search_study_instances(req: Request) -> Response:
    """Search for a study's instances."""
    return await look_up(req, search.instances)


@blueprint.route(f"{_SERIES}/instances", methods=["GET"])
async def search_series_instances(req: Request) -> Response:
    """Search for a series' instances."""
    return await look_up(req, search.instances)


@blueprint.route(_STUDY, methods=["GET"])
async def retrieve_study(req: Request) -> Response:
    """Retrieve a study."""
    return await look_up(req, retrieve.dicom)


@blueprint.route(_SERIES, methods=["GET"])
async def retrieve_series(req: Request) -> Response:
    """Retrieve a series."""
    return await look_up(req, retrieve.dicom)


@blueprint.route(_INSTANCE, methods=["GET"])
async def retrieve_instance(req: Request) -> Response:
    """Retrieve an instance."""
    return await look_up(req, retrieve.dicom)


@blueprint.route(f"{_STUDY}/metadata", methods=["GET"])
async def retrieve_study_metadata(req: Request) -> Response:
    """Retrieve a study's metadata."""
    return await look_up(req, retrieve.metadata)


@blueprint.route(f"{_SERIES}/metadata", methods=["GET"])
async def retrieve_series_metadata(req: Request) -> Response:
    """Retrieve a series' metadata."""
    return await look_up(req, retrieve.metadata)


@blueprint.route(f"{_INSTANCE}/metadata", methods=["GET"])
async def retrieve_instance_metadata(req: Request) -> Response:
    """Retrieve an instance's metadata."""
    return await look_up(req, retrieve.metadata)


@blueprint.route(f"{_INSTANCE}/frames/{{frames}}", methods=["GET"])
async def retrieve_frames(req: Request) -> Response:
    """Retrieve frames of an instance."""
    return await look_up(req, retrieve.frames)


@blueprint.route("health/live", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def health_live(req: Request) -> Response:
    """Answer 200 while the process serves requests, whatever its settings."""
    return Response(status_code=200)


@blueprint.route("health/ready", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def health_ready(req: Request) -> Response:
    """Answer 200 while lookups would work, else 503."""
    return Response(status_code=200 if await _readiness.is_ready() else 503)
