"""The change feed: an extension of the Azure service to DICOMweb (API v2, a window of time and an offset in it)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from local.dicom_service.change_feed import index as change_feed_index
from local.dicom_service.change_feed import timestamps
from local.dicom_service.change_feed.index import EARLIEST, LATEST, Entry, Window
from local.dicom_service.stored.index import Index
from local.dicom_service.web.errors import bad_request
from local.dicom_service.web.json_response import json_array
from local.dicom_service.web.options import flag, limit_and_offset, options_of
from local.dicom_service.web.requests import service_of

MEDIA_TYPE = "application/json; charset=utf-8"

_MAX_OFFSET = 2**63 - 1


async def read(request: Request) -> Response:
    """Answer with the entries of a window of time.

    Raises:
        ServiceError: 400.
    """
    asked = options_of(request)
    window, with_metadata = _window(asked), _include_metadata(asked)
    service = service_of(request)
    entries = await to_thread.run_sync(change_feed_index.read, service.database, window)
    array = json_array(entries, partial(_shown, service.index, with_metadata))
    return StreamingResponse(array, media_type=MEDIA_TYPE)


async def read_latest(request: Request) -> Response:
    """Answer with the last entry, or 204 if there is none.

    Raises:
        ServiceError: 400.
    """
    with_metadata = _include_metadata(options_of(request))
    service = service_of(request)
    entry = await to_thread.run_sync(change_feed_index.read_latest, service.database)
    if entry is None:
        return Response(status_code=204)
    (content,) = await to_thread.run_sync(_shown, service.index, with_metadata, [entry])
    return Response(content, media_type=MEDIA_TYPE)


def _window(asked: dict[str, str]) -> Window:
    start, end = _time(asked, "startTime", EARLIEST), _time(asked, "endTime", LATEST)
    if end <= start:
        raise bad_request("The endTime must be later than the startTime.")
    return Window(start, end, *limit_and_offset(asked, _MAX_OFFSET))


def _time(asked: dict[str, str], name: str, default: int) -> int:
    text = asked.get(name.lower())
    try:
        return default if text is None else timestamps.parsed(text)
    except ValueError:
        raise bad_request(f"The {name} must be a date and time with a zone: Z or an encoded offset.") from None


def _include_metadata(asked: dict[str, str]) -> bool:
    return flag("includeMetadata", asked.get("includemetadata", "true"))


def _shown(index: Index, with_metadata: bool, entries: Sequence[Entry]) -> list[str]:
    keys = [entry.current_key for entry in entries if entry.current_key is not None] if with_metadata else []
    metadata = index.metadata(keys)
    return [_json(entry, None if (key := entry.current_key) is None else metadata.get(key)) for entry in entries]


def _json(entry: Entry, metadata: str | None) -> str:
    shown: dict[str, Any] = {
        "sequence": entry.sequence,
        "studyInstanceUid": entry.study_instance_uid,
        "seriesInstanceUid": entry.series_instance_uid,
        "sopInstanceUid": entry.sop_instance_uid,
        "action": entry.action,
        "timestamp": timestamps.shown(entry.ticks),
        "state": entry.state,
        "partitionName": entry.partition_name,
    }
    text = json.dumps(shown, separators=(",", ":"))
    return text if metadata is None else f'{text[:-1]},"metadata":{metadata}}}'
