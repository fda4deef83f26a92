"""Retrieve frames (PS3.18 §10.4.1.1.6): the bytes of each, cut out of the file."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from anyio import to_thread
from pydicom.uid import ExplicitVRLittleEndian
from starlette.requests import Request
from starlette.responses import Response

from local.dicom_service import accept, part10, pixel_data, streams
from local.dicom_service.accept import STORED, Choice
from local.dicom_service.errors import bad_request, not_found
from local.dicom_service.index import StoredInstance, Target
from local.dicom_service.pixel_data import FrameMissing, PixelData
from local.dicom_service.state import Service, service_of, target_of
from local.dicom_service.transcoding import LITTLE_ENDIAN_NATIVE, require_same

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
    parts = await to_thread.run_sync(_parts, service_of(request), target, numbers, choice)
    return streams.multipart(parts) if choice.multipart else streams.single(parts[0])


def _frame_numbers(text: str) -> list[int]:
    texts = [part.strip() for part in text.split(",")]
    if len(texts) > MAX_FRAMES or not all(_FRAME_NUMBER.fullmatch(part) and int(part) > 0 for part in texts):
        raise bad_request("Frame numbers are integers from 1 on, separated by commas.")
    return [int(part) for part in texts]


def _parts(service: Service, target: Target, numbers: list[int], choice: Choice) -> list[streams.Part]:
    instances = service.index.instances(target)
    if not instances:
        raise not_found("instance")
    instance = instances[0]
    if instance.pixel_data is None:
        raise not_found("frame")
    path = service.files.path_of(instance.file_name)
    try:
        file_bytes = path.stat().st_size
        syntax = _transfer_syntax(instance, choice.transfer_syntax, file_bytes)
        content_type = f"{choice.media_type}; transfer-syntax={syntax}"
        return _cut(path, instance.pixel_data, [number - 1 for number in numbers], content_type)
    except FileNotFoundError:  # deleted in this moment
        raise not_found("instance") from None


def _transfer_syntax(instance: StoredInstance, asked: str, file_bytes: int) -> str:
    stored = instance.transfer_syntax_uid
    if stored in LITTLE_ENDIAN_NATIVE and asked in (STORED, ExplicitVRLittleEndian):
        # A deflated dataset's frames are inflated on their way; an implicit one's need no change.
        return str(ExplicitVRLittleEndian) if asked != STORED else stored
    require_same(stored, asked, file_bytes)
    return stored


def _cut(path: Path, pixels: PixelData, indexes: list[int], content_type: str) -> list[streams.Part]:
    opener = partial(part10.plain_file, path)
    if not pixels.encapsulated:
        return [_native_part(pixels, index, content_type, opener) for index in indexes]
    with opener() as file:
        frames = pixel_data.frames(file, pixels, path.stat().st_size)
    if max(indexes) >= len(frames):
        raise not_found("frame")
    return [streams.Part(content_type, opener, frames[index]) for index in indexes]


def _native_part(pixels: PixelData, index: int, content_type: str, opener: streams.OpenFile) -> streams.Part:
    try:
        where, late_bits = pixel_data.native_frame(pixels, index)
    except FrameMissing:
        raise not_found("frame") from None
    is_shifted = late_bits != 0 or pixels.bits_per_frame % 8 != 0
    shift = streams.Shift(late_bits, pixels.bits_per_frame) if is_shifted else None
    return streams.Part(content_type, opener, [where], shift)
