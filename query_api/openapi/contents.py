"""What a route's answers hold, by its place in the table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, get_args

from query_api.lookup import Route
from query_api.retrieving.negotiating import Kind
from query_api.searching.attributes import Scope
from shared.dicomweb import Resource
from shared.dicomweb.search import Kind as SearchKind

# The last word of a retrieved resource → the kind of what is retrieved.
_KINDS: Final[Mapping[str, Kind]] = {
    "study": "instances",
    "series": "instances",
    "instance": "instance",
    "metadata": "metadata",
    "frames": "frame",
    "rendered": "picture",
    "thumbnail": "picture",
}
_SEARCHED: Final[Mapping[str, SearchKind]] = {kind: kind for kind in get_args(SearchKind)}


def kind_of(route: Route) -> Kind:
    """Return what a retrieval retrieves."""
    return _KINDS[route.resource.rpartition(" ")[2]]


def scope_of(route: Route) -> Scope:
    """Return what a search searches, for any UIDs in its path."""
    parents = [f"{{{name}}}" in route.path for name in ("study", "series")]
    return Scope(_SEARCHED[route.resource], Resource(*("1" if is_there else None for is_there in parents)))
