"""A request that changes something: it comes with a key of its own, and with a small body."""

from __future__ import annotations

import hmac
from typing import Final

from starlette.requests import Request as HttpRequest

# Of retention's requests, and of a replay.
APPROVAL_HEADER: Final = "x-approval-key"
REPLAY_HEADER: Final = "x-replay-key"
_LONGEST_BODY_BYTES = 16 * 1024


def is_approved(http: HttpRequest, header: str, key: str | None) -> bool:
    """Say whether a caller has the key, in a time that does not tell how much of it is right; without one, nobody."""
    given = http.headers.get(header, "").encode("latin-1")  # the bytes, as they came
    return key is not None and hmac.compare_digest(given, key.encode())


async def read_body(http: HttpRequest) -> bytes:
    """Return a request's body; nothing, which is no JSON, where it is longer than any that we expect."""
    body = b""
    async for chunk in http.stream():
        body += chunk
        if len(body) > _LONGEST_BODY_BYTES:
            return b""
    return body
