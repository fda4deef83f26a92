"""Answers in another transfer syntax than the stored one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from anyio import to_thread
from starlette.responses import Response

from local.dicom_service.pictures.decoding import Undecodable
from local.dicom_service.pictures.transcoding import Transcoded
from local.dicom_service.retrieve import streams
from local.dicom_service.retrieve.accept import Choice
from local.dicom_service.state import Service
from local.dicom_service.stored.index import StoredInstance
from local.dicom_service.web.errors import not_acceptable, not_found

Transcode = Callable[[Path, str, str], Transcoded]  # from the stored transfer syntax to the one asked for


async def respond(service: Service, instance: StoredInstance, choice: Choice, transcode: Transcode) -> Response:
    """Answer with an instance, or frames of it, transcoded.

    Raises:
        ServiceError: 404, it was deleted in this moment; 406, it cannot be transcoded.
    """
    made = await to_thread.run_sync(_transcoded, service, instance, choice, transcode, limiter=service.decoding)
    parts = streams.parts_of(*made, f"{choice.media_type}; transfer-syntax={choice.transfer_syntax}")
    return streams.response(parts, multipart=choice.multipart, scratch=made.file)


def _transcoded(service: Service, instance: StoredInstance, choice: Choice, transcode: Transcode) -> Transcoded:
    try:
        path = service.files.path_of(instance.file_name)
        return transcode(path, instance.transfer_syntax_uid, choice.transfer_syntax)
    except FileNotFoundError:
        raise not_found("instance") from None
    except Undecodable:
        raise not_acceptable("The instance cannot be transcoded to the transfer syntax that is asked for.") from None
