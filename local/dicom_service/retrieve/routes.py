"""Retrieve a study, a series or an instance (PS3.18 §10.4): the stored bytes, or one instance transcoded."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import BinaryIO

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response

from local.dicom_service.pictures.transcoding import transcoded_file
from local.dicom_service.retrieve import accept, streams, transcoded
from local.dicom_service.retrieve.accept import Choice
from local.dicom_service.search.attributes import Level
from local.dicom_service.state import Service
from local.dicom_service.stored.index import StoredInstance, Target
from local.dicom_service.web.errors import not_acceptable
from local.dicom_service.web.requests import service_of, target_of


async def retrieve(request: Request) -> Response:
    """Answer with the files of a study, series or instance.

    Raises:
        ServiceError: 400, 406, 404, then 406 for what cannot be sent in the asked transfer syntax.
    """
    target = target_of(request)
    offers = accept.INSTANCE if target.level is Level.INSTANCE else accept.INSTANCES
    choice = accept.choose(request.headers.getlist("accept"), offers)
    service = service_of(request)
    instances = await to_thread.run_sync(_find, service, target, choice)
    if choice.transfer_syntax in (accept.STORED, instances[0].transfer_syntax_uid):
        stored = [_part(service, instance, choice.media_type) for instance in instances]
        return streams.response(stored, multipart=choice.multipart)
    return await transcoded.respond(service, instances[0], choice, transcoded_file)


def _find(service: Service, target: Target, choice: Choice) -> list[StoredInstance]:
    instances = service.instances_of(target)
    if choice.transfer_syntax != accept.STORED and len(instances) > 1:
        # Even where all of them are stored in it: an oddity to keep.
        raise not_acceptable("Several instances are only sent with transfer-syntax=*.")
    return instances


def _part(service: Service, instance: StoredInstance, media_type: str) -> streams.Part:
    content_type = f"{media_type}; transfer-syntax={instance.transfer_syntax_uid}"
    path = service.files.path_of(instance.file_name)
    return streams.Part(content_type, partial(_open, path))


def _open(path: Path) -> BinaryIO:
    return path.open("rb")
