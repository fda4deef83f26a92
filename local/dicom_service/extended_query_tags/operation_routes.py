"""The resource of an operation, and the answer to a request that starts one. An extension of Azure's."""

from __future__ import annotations

from typing import Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local.dicom_service.extended_query_tags import operations
from local.dicom_service.extended_query_tags.operations import Operation
from local.dicom_service.web.requests import base_url, service_of


async def get_operation(request: Request) -> Response:
    """Answer with an operation: 202 until it has finished.

    Raises:
        ServiceError: 404.
    """
    operation_id = request.path_params["operation"].lower()
    found = await to_thread.run_sync(operations.find, service_of(request).database, operation_id)
    if found.finished:
        return JSONResponse(_shown(request, found))
    return JSONResponse(_shown(request, found), 202, {"Location": reference(request, found.id)["href"]})


def accepted(request: Request, operation_id: str) -> Response:
    """Answer to a request that has started an operation."""
    body = reference(request, operation_id)
    return JSONResponse(body, 202, {"Location": body["href"]})


def reference(request: Request, operation_id: str) -> dict[str, str]:
    """Return the id of an operation and where it can be watched."""
    return {"id": operation_id, "href": f"{base_url(request)}/operations/{operation_id}"}


def _shown(request: Request, operation: Operation) -> dict[str, Any]:
    return {
        "operationId": operation.id,
        "type": operation.type,
        "createdTime": operation.created_time,
        "lastUpdatedTime": operation.last_updated_time,
        "status": operation.status,
        "percentComplete": operation.percent_complete,
        "resources": [base_url(request) + path for path in operation.resources],
    }
