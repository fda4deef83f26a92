"""The resources of the extended query tags."""

from __future__ import annotations

from typing import Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from local.dicom_service.extended_query_tags import bodies, operation_routes
from local.dicom_service.extended_query_tags import rows as extended_query_tags
from local.dicom_service.extended_query_tags.rows import ExtendedQueryTag, ReindexActive, TagError
from local.dicom_service.extended_query_tags.tags import tag_named
from local.dicom_service.web.errors import bad_request
from local.dicom_service.web.json_request import json_body
from local.dicom_service.web.options import limit_and_offset, options_of
from local.dicom_service.web.requests import base_url, service_of


async def add_tags(request: Request) -> Response:
    """Add tags and start to index the stored instances by them.

    Raises:
        ServiceError: 400, 409, 413 or 415.
    """
    service = service_of(request)
    new = bodies.new_tags(await json_body(request))
    try:
        operation_id = await to_thread.run_sync(extended_query_tags.add, service.database, new)
    except ReindexActive as active:
        location = operation_routes.reference(request, active.operation_id)["href"]
        return PlainTextResponse("Another operation adds extended query tags.", 409, {"Location": location})
    service.reindexer.wake()
    return operation_routes.accepted(request, operation_id)


async def list_tags(request: Request) -> Response:
    """Answer with a page of the tags.

    Raises:
        ServiceError: 400.
    """
    limit, offset = limit_and_offset(options_of(request))
    found = await to_thread.run_sync(extended_query_tags.read_all, service_of(request).database)
    return JSONResponse([_shown(request, tag) for tag in found[offset : offset + limit]])


async def get_tag(request: Request) -> Response:
    """Answer with one tag.

    Raises:
        ServiceError: 400 or 404.
    """
    found = await to_thread.run_sync(extended_query_tags.find, service_of(request).database, _tag(request))
    return JSONResponse(_shown(request, found))


async def update_tag(request: Request) -> Response:
    """Allow or forbid searches for a tag.

    Raises:
        ServiceError: 400, 404, 413 or 415.
    """
    tag, status = _tag(request), bodies.query_status(await json_body(request))
    database = service_of(request).database
    found = await to_thread.run_sync(extended_query_tags.set_query_status, database, tag, status)
    return JSONResponse(_shown(request, found))


async def delete_tag(request: Request) -> Response:
    """Delete a tag; it may be added anew.

    Raises:
        ServiceError: 400 or 404.
    """
    await to_thread.run_sync(extended_query_tags.delete, service_of(request).database, _tag(request))
    return Response(status_code=204)


async def list_errors(request: Request) -> Response:
    """Answer with a page of the instances that a tag could not index.

    Raises:
        ServiceError: 400 or 404.
    """
    limit, offset = limit_and_offset(options_of(request))
    database, tag = service_of(request).database, _tag(request)
    found = await to_thread.run_sync(extended_query_tags.errors, database, tag, limit, offset)
    return JSONResponse([_shown_error(error) for error in found])


def _tag(request: Request) -> str:
    tag = tag_named(request.path_params["tag"])
    if tag is None:
        raise bad_request("The path names no attribute.")
    return tag


def _shown(request: Request, tag: ExtendedQueryTag) -> dict[str, Any]:
    creator = {} if tag.private_creator is None else {"privateCreator": tag.private_creator}
    level = tag.level.name.capitalize()
    shown: dict[str, Any] = {"path": tag.tag, "vr": tag.vr, **creator, "level": level}
    shown |= {"status": tag.status, "queryStatus": tag.query_status}
    if tag.error_count:
        href = f"{base_url(request)}/extendedquerytags/{tag.tag}/errors"
        shown |= {"errors": {"count": tag.error_count, "href": href}}
    if tag.status == "Adding":
        shown |= {"operation": operation_routes.reference(request, tag.operation_id)}
    return shown


def _shown_error(error: TagError) -> dict[str, str]:
    return {
        "partitionName": error.partition_name,
        "studyInstanceUid": error.study_instance_uid,
        "seriesInstanceUid": error.series_instance_uid,
        "sopInstanceUid": error.sop_instance_uid,
        "createdTime": error.created_time,
        "errorMessage": error.message,
    }
