"""The transport below the client: one line to change."""

from __future__ import annotations

import httpx

# Sized for one Functions instance: more connections than this only queue inside the service.
_LIMITS = httpx.Limits(max_connections=64, max_keepalive_connections=32, keepalive_expiry=15)


def default_transport() -> httpx.AsyncBaseTransport:
    """Return the transport that a client uses unless it is given one: httpx's own, never through a proxy."""
    return httpx.AsyncHTTPTransport(limits=_LIMITS, trust_env=False)
