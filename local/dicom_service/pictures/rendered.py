"""Retrieve rendered instances and frames (PS3.18 §10.4.1.1.3): one frame of an instance, as a picture."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response

from local.dicom_service.instances import explicit_vr, part10
from local.dicom_service.pictures import rendering
from local.dicom_service.pictures.decoding import MAX_BYTES, FrameDecoder, Undecodable
from local.dicom_service.retrieve import accept
from local.dicom_service.retrieve.pixel_data import PixelData
from local.dicom_service.state import Service
from local.dicom_service.stored.index import StoredInstance, Target
from local.dicom_service.web.errors import bad_request, not_acceptable, not_found
from local.dicom_service.web.options import integer, options_of
from local.dicom_service.web.requests import service_of, target_of

_INTEGER = re.compile(r"[+-]?[0-9]{1,9}")


@dataclass(frozen=True)
class _Wanted:
    """A picture of the frame at an index."""

    index: int
    media_type: str
    quality: int


async def retrieve_rendered(request: Request) -> Response:
    """Answer with a picture of the frame that the path names, or of the first.

    Raises:
        ServiceError: 400, 406, 404, then 406 for what cannot be decoded or is too large.
    """
    target = target_of(request)
    index = _frame_number(request.path_params.get("frame", "1")) - 1
    quality = integer("quality", options_of(request).get("quality", "100"), 1, 100)
    wanted = _Wanted(index, accept.choose_picture(request.headers.getlist("accept")), quality)
    service = service_of(request)
    picture = await to_thread.run_sync(_render, service, target, wanted, limiter=service.decoding)
    return Response(picture, media_type=wanted.media_type)


def _frame_number(text: str) -> int:
    if not _INTEGER.fullmatch(text) or int(text) < 1:
        raise bad_request("A frame number is an integer from 1 on.")
    return int(text)


def _render(service: Service, target: Target, wanted: _Wanted) -> bytes:
    instance = service.instances_of(target)[0]
    if instance.pixel_data is None or wanted.index >= instance.pixel_data.number_of_frames:
        raise not_found("frame")
    try:
        return _picture(service.files.path_of(instance.file_name), instance, wanted)
    except FileNotFoundError:  # deleted in this moment
        raise not_found("instance") from None
    except (Undecodable, part10.NotPart10):
        raise not_acceptable("The frame cannot be rendered.") from None


def _picture(path: Path, stored: StoredInstance, wanted: _Wanted) -> bytes:
    if max(path.stat().st_size, _size(stored.pixel_data)) > MAX_BYTES:
        raise Undecodable
    with part10.opened(path, max_bytes=MAX_BYTES) as instance:
        if instance.pixel_data is None:
            raise Undecodable
        dataset = explicit_vr.convert(instance, rendering.GROUPS)
        frame = FrameDecoder(instance, instance.pixel_data).decode(wanted.index, as_rgb=True)
        picture = rendering.picture_of(frame, dataset, wanted.index)
    return rendering.encoded(picture, wanted.media_type, wanted.quality)


def _size(pixels: PixelData | None) -> int:
    """Return the size of native pixel data, which a deflated file has more of than bytes."""
    return pixels.length if pixels is not None and not pixels.encapsulated else 0
