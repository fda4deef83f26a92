"""Requests whose bodies are held in memory: in JSON, and not long."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request

from local.dicom_service.web.errors import ServiceError, bad_request

MAX_BYTES = 1024 * 1024


async def json_body(request: Request) -> Any:
    """Return what the body of a request is in JSON.

    Raises:
        ServiceError: 415, it is none; 413, it is longer than `MAX_BYTES`; 400, it cannot be read.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise ServiceError(415)
    try:
        return json.loads(await short_body(request))
    except (ValueError, RecursionError):
        raise bad_request("The body is not JSON.") from None


async def short_body(request: Request) -> bytes:
    """Return the body of a request.

    Raises:
        ServiceError: 413, it is longer than `MAX_BYTES`.
    """
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_BYTES:
            raise ServiceError(413, f"The body is longer than {MAX_BYTES} bytes.")
    return bytes(content)
