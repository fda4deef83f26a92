"""Delete: an extension of the Azure service to DICOMweb. What is deleted is gone at once, and may be stored anew."""

from __future__ import annotations

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response

from local.dicom_service.state import Service
from local.dicom_service.stored.index import Target
from local.dicom_service.web.errors import not_found
from local.dicom_service.web.requests import service_of, target_of


async def delete(request: Request) -> Response:
    """Delete a study, series or instance.

    Raises:
        ServiceError: 400 or 404.
    """
    target = target_of(request)
    await to_thread.run_sync(_delete, service_of(request), target)
    return Response(status_code=204)


def _delete(service: Service, target: Target) -> None:
    file_names = service.index.delete(target)
    if not file_names:
        raise not_found(target.level.name.lower())
    service.files.remove(file_names)
