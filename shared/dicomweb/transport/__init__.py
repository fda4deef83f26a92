"""What lies below httpx's API: aiohttp's connections, and one line to change. It knows nothing of DICOM."""

from __future__ import annotations

import httpx

from .aiohttp_transport import MAX_CONNECTIONS, AiohttpTransport
from .counting import BodyLengthError

__all__ = ["AiohttpTransport", "BodyLengthError", "default_transport"]


def default_transport(max_connections: int = MAX_CONNECTIONS) -> httpx.AsyncBaseTransport:
    """Return the transport that a client uses unless it is given one: never through a proxy."""
    return AiohttpTransport(max_connections=max_connections)
