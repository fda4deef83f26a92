"""Search (PS3.18 §10.6): six resources."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response

from local.dicom_service.extended_query_tags import rows as extended_query_tags
from local.dicom_service.extended_query_tags.rows import ExtendedQueryTag
from local.dicom_service.instances import uids
from local.dicom_service.retrieve import accept
from local.dicom_service.search import query
from local.dicom_service.search.attributes import Level
from local.dicom_service.search.index import Scope, search
from local.dicom_service.web.json_response import DICOMJSONResponse
from local.dicom_service.web.requests import partition_of, service_of

_STUDY, _SERIES, _INSTANCE = Level.STUDY, Level.SERIES, Level.INSTANCE

SCOPES = {
    "/studies": Scope(_STUDY, frozenset({_STUDY})),
    "/series": Scope(_SERIES, frozenset({_STUDY, _SERIES})),
    "/instances": Scope(_INSTANCE, frozenset({_STUDY, _SERIES, _INSTANCE})),
    "/studies/{study}/series": Scope(_SERIES, frozenset({_SERIES})),
    "/studies/{study}/instances": Scope(_INSTANCE, frozenset({_SERIES, _INSTANCE})),
    "/studies/{study}/series/{series}/instances": Scope(_INSTANCE, frozenset({_INSTANCE})),
}
_PATH_UIDS = {"study": ("StudyInstanceUID", "0020000D"), "series": ("SeriesInstanceUID", "0020000E")}


def endpoint(scope: Scope) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint of one of the resources."""

    async def search_endpoint(request: Request) -> Response:
        return await _search(request, scope)

    return search_endpoint


async def _search(request: Request, scope: Scope) -> Response:
    accept.require_dicom_json(request.headers.getlist("accept"))
    named = {_PATH_UIDS[name]: uid for name, uid in request.path_params.items() if name in _PATH_UIDS}
    within = {keyword: uids.from_path(uid, keyword) for (keyword, _), uid in named.items()}
    database = service_of(request).database
    asked = query.parse(
        request.url.query, scope.levels, await to_thread.run_sync(extended_query_tags.searchable, database)
    )
    asked = query.with_fields(asked, [tag for _, tag in named])
    partition = partition_of(request)
    found = await to_thread.run_sync(search, database, scope, asked, within, partition.key)
    response = DICOMJSONResponse(found) if found else Response(status_code=204)
    if erroneous := _erroneous(asked):
        response.headers["erroneous-dicom-attributes"] = ",".join(erroneous)
    return response


def _erroneous(asked: query.Query) -> list[str]:
    """Return what the query calls those of its attributes by which some instances could not be indexed."""
    attributes = [condition.attribute for condition in asked.conditions]
    extended = [attribute for attribute in attributes if isinstance(attribute, ExtendedQueryTag)]
    return [asked.names[tag.tag] for tag in extended if tag.error_count]
