"""Retrieve frames (PS3.18 §10.4.1.1.6): the bytes of each, cut out of the file or transcoded."""

from __future__ import annotations

import os
import re
from contextlib import ExitStack, nullcontext
from functools import partial
from typing import BinaryIO

from anyio import to_thread
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian
from starlette.requests import Request
from starlette.responses import Response

from local.dicom_service.instances import part10
from local.dicom_service.pictures.transcoding import LITTLE_ENDIAN_NATIVE, transcoded_frames
from local.dicom_service.retrieve import accept, pixel_data, streams, transcoded
from local.dicom_service.retrieve.accept import STORED
from local.dicom_service.retrieve.pixel_data import FrameMissing, PixelData
from local.dicom_service.state import Service
from local.dicom_service.stored.index import StoredInstance, Target
from local.dicom_service.web.errors import bad_request, not_found
from local.dicom_service.web.requests import service_of, target_of

MAX_FRAMES = 10_000
_FRAME_NUMBER = re.compile(r"[+-]?[0-9]{1,9}")


async def retrieve_frames(request: Request) -> Response:
    """Answer with frames, in the order asked for.

    Raises:
        ServiceError: 400, 406, 404, then 406 for what cannot be sent in the asked transfer syntax.
    """
    target = target_of(request)
    numbers = _frame_numbers(request.path_params.get("frames", ""))
    choice = accept.choose(request.headers.getlist("accept"), accept.FRAMES)
    if len(numbers) > 1 and not choice.multipart:
        raise bad_request("Several frames are only sent as multipart/related.")
    indexes = [number - 1 for number in numbers]
    service = service_of(request)
    instance, pixels = await to_thread.run_sync(_find, service, target, indexes)
    if (syntax := _transfer_syntax_as_it_is(instance, choice.transfer_syntax)) is not None:
        content_type = f"{choice.media_type}; transfer-syntax={syntax}"
        arguments = (service, instance, pixels, indexes, content_type)
        parts, scratch = await to_thread.run_sync(_cut, *arguments, limiter=service.examining)
        return streams.response(parts, multipart=choice.multipart, scratch=scratch)
    return await transcoded.respond(service, instance, choice, partial(transcoded_frames, indexes=indexes))


def _frame_numbers(text: str) -> list[int]:
    texts = [part.strip() for part in text.split(",")]
    if len(texts) > MAX_FRAMES or not all(_FRAME_NUMBER.fullmatch(part) and int(part) > 0 for part in texts):
        raise bad_request("Frame numbers are integers from 1 on, separated by commas.")
    return [int(part) for part in texts]


def _find(service: Service, target: Target, indexes: list[int]) -> tuple[StoredInstance, PixelData]:
    instance = service.instances_of(target)[0]
    if instance.pixel_data is None or max(indexes) >= instance.pixel_data.number_of_frames:
        raise not_found("frame")
    return instance, instance.pixel_data


def _transfer_syntax_as_it_is(instance: StoredInstance, asked: str) -> str | None:
    """Return what to call the frames where their stored bytes are what is asked for."""
    stored = instance.transfer_syntax_uid
    if stored == DeflatedExplicitVRLittleEndian and asked == STORED:
        return str(ExplicitVRLittleEndian)  # the frames are inflated on their way
    if asked in (STORED, stored):
        return stored
    return asked if asked == ExplicitVRLittleEndian and stored in LITTLE_ENDIAN_NATIVE else None


def _cut(
    service: Service, instance: StoredInstance, pixels: PixelData, indexes: list[int], content_type: str
) -> tuple[list[streams.Part], ExitStack]:
    """Return the parts, and what their file is closed with: it is opened, and maybe inflated, once for all of them."""
    with ExitStack() as stack:
        try:
            file = stack.enter_context(part10.plain_file(service.files.path_of(instance.file_name)))
        except FileNotFoundError:  # deleted in this moment
            raise not_found("instance") from None
        if pixels.encapsulated:
            return _fragments(file, pixels, indexes, content_type), stack.pop_all()
        return [_native_part(file, pixels, index, content_type) for index in indexes], stack.pop_all()


def _fragments(file: BinaryIO, pixels: PixelData, indexes: list[int], content_type: str) -> list[streams.Part]:
    frames = pixel_data.frames(file, pixels, file.seek(0, os.SEEK_END))
    if max(indexes) >= len(frames):
        raise not_found("frame")
    return [streams.Part(content_type, lambda: nullcontext(file), frames[index]) for index in indexes]


def _native_part(file: BinaryIO, pixels: PixelData, index: int, content_type: str) -> streams.Part:
    try:
        where, late_bits = pixel_data.native_frame(pixels, index)
    except FrameMissing:
        raise not_found("frame") from None
    is_shifted = late_bits != 0 or pixels.bits_per_frame % 8 != 0
    shift = streams.Shift(late_bits, pixels.bits_per_frame) if is_shifted else None
    return streams.Part(content_type, lambda: nullcontext(file), [where], shift)
