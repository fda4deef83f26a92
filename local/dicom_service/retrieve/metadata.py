"""Retrieve metadata (PS3.18 §10.4.1.1.2): what was written when the instances were stored."""

from __future__ import annotations

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from local.dicom_service.retrieve import accept
from local.dicom_service.search.attributes import Level
from local.dicom_service.stored.index import StoredInstance
from local.dicom_service.web.json_response import MEDIA_TYPE, json_array
from local.dicom_service.web.requests import service_of, target_of


async def retrieve_metadata(request: Request) -> Response:
    """Answer with the metadata of a study, series or instance.

    Raises:
        ServiceError: 406, then 400 or 404.
    """
    accept.require_dicom_json(request.headers.getlist("accept"))
    target = target_of(request)
    service = service_of(request)
    instances = await to_thread.run_sync(service.instances_of, target)
    etag = _etag(target.level, instances)
    if request.headers.get("if-none-match", "").lower() == etag:
        return Response(status_code=304)
    keys = [instance.key for instance in instances]
    array = json_array(keys, lambda some: service.index.metadata(some).values())
    return StreamingResponse(array, media_type=MEDIA_TYPE, headers={"ETag": etag})


def _etag(level: Level, instances: list[StoredInstance]) -> str:
    """Return the service's ETag, which is not in quotes as RFC 9110 §8.8.3 has them."""
    newest = instances[-1].key
    return str(newest) if level is Level.INSTANCE else f"{newest}-{len(instances)}"
