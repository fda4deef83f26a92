"""All lookups: the paths of PS3.18 under the app's prefix, each also below a partition."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from .changes.changes import changes
from .lookup import Route
from .openapi.document import openapi
from .retrieving import retrieve
from .retrieving.rendered import rendered
from .retrieving.thumbnails import thumbnail
from .searching.search import search

_STUDY = "studies/{study}"
_SERIES = f"{_STUDY}/series/{{series}}"
_INSTANCE = f"{_SERIES}/instances/{{instance}}"
_FRAMES = f"{_INSTANCE}/frames/{{frames}}"

_DICOMWEB: Final = (
    Route("search_studies", "studies", "search", "studies", search("studies")),
    Route("search_series", "series", "search", "series", search("series")),
    Route("search_instances", "instances", "search", "instances", search("instances")),
    Route("search_study_series", f"{_STUDY}/series", "search", "series", search("series")),
    Route("search_study_instances", f"{_STUDY}/instances", "search", "instances", search("instances")),
    Route("search_series_instances", f"{_SERIES}/instances", "search", "instances", search("instances")),
    Route("retrieve_study", _STUDY, "retrieve", "study", retrieve.instances),
    Route("retrieve_series", _SERIES, "retrieve", "series", retrieve.instances),
    Route("retrieve_instance", _INSTANCE, "retrieve", "instance", retrieve.instances),
    Route("retrieve_study_metadata", f"{_STUDY}/metadata", "retrieve", "study metadata", retrieve.metadata),
    Route("retrieve_series_metadata", f"{_SERIES}/metadata", "retrieve", "series metadata", retrieve.metadata),
    Route("retrieve_instance_metadata", f"{_INSTANCE}/metadata", "retrieve", "instance metadata", retrieve.metadata),
    Route("retrieve_frames", _FRAMES, "retrieve", "frames", retrieve.frames),
    Route("retrieve_rendered_instance", f"{_INSTANCE}/rendered", "retrieve", "instance rendered", rendered),
    Route("retrieve_rendered_frame", f"{_FRAMES}/rendered", "retrieve", "frame rendered", rendered),
    Route("retrieve_study_thumbnail", f"{_STUDY}/thumbnail", "retrieve", "study thumbnail", thumbnail),
    Route("retrieve_series_thumbnail", f"{_SERIES}/thumbnail", "retrieve", "series thumbnail", thumbnail),
    Route("retrieve_instance_thumbnail", f"{_INSTANCE}/thumbnail", "retrieve", "instance thumbnail", thumbnail),
    Route("retrieve_frame_thumbnail", f"{_FRAMES}/thumbnail", "retrieve", "frame thumbnail", rendered),
)


def _in_partition(route: Route) -> Route:
    return replace(route, name=f"partition_{route.name}", path=f"partitions/{{partition}}/{route.path}")


# The feed spans all partitions: it tells of those that the caller may see; below a partition, of that one.
_CHANGES: Final = Route("changes", "changes", "changes", "changes", changes)
_OWN: Final = (replace(_CHANGES, is_partitioned=False),)

_DESCRIBED: Final = (*_DICOMWEB, *_OWN, *map(_in_partition, (*_DICOMWEB, _CHANGES)))

ROUTES: Final = (
    *_DESCRIBED,
    Route("openapi", "openapi.json", "openapi", "openapi", openapi(_DESCRIBED), is_partitioned=False),
)
