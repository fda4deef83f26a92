"""Retrieve a study, a series or an instance (PS3.18 §10.4): the stored bytes, unchanged."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import BinaryIO

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response

from local.dicom_service import accept, streams
from local.dicom_service.attributes import Level
from local.dicom_service.errors import not_acceptable, not_found
from local.dicom_service.index import StoredInstance, Target
from local.dicom_service.state import Service, service_of, target_of
from local.dicom_service.transcoding import require_same


async def retrieve(request: Request) -> Response:
    """Answer with the files of a study, series or instance.

    Raises:
        ServiceError: 400, 406, 404, then 406 for what cannot be sent in the asked transfer syntax.
    """
    target = target_of(request)
    offers = accept.INSTANCE if target.level is Level.INSTANCE else accept.INSTANCES
    choice = accept.choose(request.headers.getlist("accept"), offers)
    service = service_of(request)
    instances = await to_thread.run_sync(_find, service, target, choice.transfer_syntax)
    parts = [_part(service, instance, choice.media_type) for instance in instances]
    if choice.multipart:
        return streams.multipart(parts)
    return streams.single(parts[0])


def _find(service: Service, target: Target, transfer_syntax: str) -> list[StoredInstance]:
    instances = service.index.instances(target)
    if not instances:
        raise not_found(target.level.name.lower())
    if transfer_syntax != accept.STORED:
        # Even where all of them are stored in it: an oddity to keep.
        if len(instances) > 1:
            raise not_acceptable("Several instances are only sent with transfer-syntax=*.")
        require_same(instances[0].transfer_syntax_uid, transfer_syntax, _size(service, instances[0], target))
    return instances


def _size(service: Service, instance: StoredInstance, target: Target) -> int:
    try:
        return service.files.path_of(instance.file_name).stat().st_size
    except FileNotFoundError:  # deleted in this moment
        raise not_found(target.level.name.lower()) from None


def _part(service: Service, instance: StoredInstance, media_type: str) -> streams.Part:
    content_type = f"{media_type}; transfer-syntax={instance.transfer_syntax_uid}"
    path = service.files.path_of(instance.file_name)
    return streams.Part(content_type, partial(_open, path))


def _open(path: Path) -> BinaryIO:
    return path.open("rb")
