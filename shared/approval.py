"""A request that changes something: it comes with the approval key, and with a small body."""

from __future__ import annotations

import hmac
from typing import Final

from starlette.requests import Request as HttpRequest

APPROVAL_HEADER: Final = "x-approval-key"
_LONGEST_BODY_BYTES = 16 * 1024


def is_approved(http: HttpRequest, approval_key: str | None) -> bool:
    """Say whether a caller has the key, in a time that does not tell how much of it is right; without one, nobody."""
    given = http.headers.get(APPROVAL_HEADER, "").encode("latin-1")  # the bytes, as they came
    return approval_key is not None and hmac.compare_digest(given, approval_key.encode())


async def read_body(http: HttpRequest) -> bytes:
    """Return a request's body; nothing, which is no JSON, where it is longer than any that we expect."""
    body = b""
    async for chunk in http.stream():
        body += chunk
        if len(body) > _LONGEST_BODY_BYTES:
            return b""
    return body
