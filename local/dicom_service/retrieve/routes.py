"""Retrieve a study, a series or an instance (PS3.18 §10.4): the stored bytes, or one instance transcoded."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import BinaryIO

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response

from local.dicom_service.pictures.decoding import Undecodable
from local.dicom_service.pictures.transcoding import Transcoded, transcoded_file
from local.dicom_service.retrieve import accept, streams
from local.dicom_service.retrieve.accept import Choice
from local.dicom_service.search.attributes import Level
from local.dicom_service.state import Service
from local.dicom_service.stored.index import StoredInstance, Target
from local.dicom_service.web.errors import not_acceptable, not_found
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
    transcoded = await to_thread.run_sync(_transcoded, service, instances[0], choice, limiter=service.decoding)
    content_type = f"{choice.media_type}; transfer-syntax={choice.transfer_syntax}"
    parts = streams.parts_of(*transcoded, content_type)
    return streams.response(parts, multipart=choice.multipart, scratch=transcoded.file)


def _find(service: Service, target: Target, choice: Choice) -> list[StoredInstance]:
    instances = service.index.instances(target)
    if not instances:
        raise not_found(target.level.name.lower())
    if choice.transfer_syntax != accept.STORED and len(instances) > 1:
        # Even where all of them are stored in it: an oddity to keep.
        raise not_acceptable("Several instances are only sent with transfer-syntax=*.")
    return instances


def _transcoded(service: Service, instance: StoredInstance, choice: Choice) -> Transcoded:
    try:
        path = service.files.path_of(instance.file_name)
        return transcoded_file(path, instance.transfer_syntax_uid, choice.transfer_syntax)
    except FileNotFoundError:  # deleted in this moment
        raise not_found("instance") from None
    except Undecodable:
        raise not_acceptable("The instance cannot be transcoded to the transfer syntax that is asked for.") from None


def _part(service: Service, instance: StoredInstance, media_type: str) -> streams.Part:
    content_type = f"{media_type}; transfer-syntax={instance.transfer_syntax_uid}"
    path = service.files.path_of(instance.file_name)
    return streams.Part(content_type, partial(_open, path))


def _open(path: Path) -> BinaryIO:
    return path.open("rb")
