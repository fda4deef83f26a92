"""The routes: the paths of PS3.18 under the app's prefix. Nothing here can write or delete."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import azure.functions as func
from azurefunctions.extensions.http.fastapi import Request, Response

from . import retrieve, search
from .health import Readiness
from .lookup import Translate, look_up

blueprint = func.Blueprint()
_readiness = Readiness()

_STUDY = "studies/{study}"
_SERIES = f"{_STUDY}/series/{{series}}"
_INSTANCE = f"{_SERIES}/instances/{{instance}}"

# Function → its path, and what turns the caller's request into the request to the service.
LOOKUPS: dict[str, tuple[str, Translate]] = {
    "search_studies": ("studies", search.studies),
    "search_series": ("series", search.series),
    "search_instances": ("instances", search.instances),
    "search_study_series": (f"{_STUDY}/series", search.series),
    "search_study_instances": (f"{_STUDY}/instances", search.instances),
    "search_series_instances": (f"{_SERIES}/instances", search.instances),
    "retrieve_study": (_STUDY, retrieve.dicom),
    "retrieve_series": (_SERIES, retrieve.dicom),
    "retrieve_instance": (_INSTANCE, retrieve.dicom),
    "retrieve_study_metadata": (f"{_STUDY}/metadata", retrieve.metadata),
    "retrieve_series_metadata": (f"{_SERIES}/metadata", retrieve.metadata),
    "retrieve_instance_metadata": (f"{_INSTANCE}/metadata", retrieve.metadata),
    "retrieve_frames": (f"{_INSTANCE}/frames/{{frames}}", retrieve.frames),
}


def _lookup(translate: Translate) -> Callable[[Request], Awaitable[Response]]:
    async def lookup(req: Request) -> Response:
        return await look_up(req, translate)

    return lookup


for _name, (_path, _translate) in LOOKUPS.items():
    blueprint.function_name(_name)(blueprint.route(_path, methods=["GET"])(_lookup(_translate)))


@blueprint.route("health/live", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def health_live(req: Request) -> Response:
    """Answer 200 while the process serves requests, whatever its settings."""
    return Response(status_code=200)


@blueprint.route("health/ready", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def health_ready(req: Request) -> Response:
    """Answer 200 while lookups would work, else 503."""
    return Response(status_code=200 if await _readiness.is_ready() else 503)
