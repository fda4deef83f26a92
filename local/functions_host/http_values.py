"""HTTP as it passes between the front and the workers: requests copied to memory, answers, limits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

from aiohttp import hdrs, web
from multidict import CIMultiDict

# What a proxy may not pass on (RFC 9110 §7.6.1).
HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
INVOCATION_ID_HEADER = "x-ms-invocation-id"
_AS_GIVEN = web.ResponseKey("as_given", bool)


class BodyTooLarge(Exception):
    """The request's body is larger than the host allows."""


@dataclass(frozen=True)
class HttpCall:
    """A request in memory, as a classic function gets it."""

    method: str
    url: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    route_params: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class HttpAnswer:
    """A classic function's response."""

    status: int = 200
    headers: Sequence[tuple[str, str]] = field(default_factory=tuple)
    body: bytes = b""


def forwarded_headers(request: web.Request, invocation_id: str) -> CIMultiDict[str]:
    """Return the headers a streaming function sees: those that YARP, the host's proxy, sends on.

    Host is removed and the X-Forwarded headers are set, whatever the client put there. There is no
    X-Forwarded-Prefix: the host has no base path.
    """
    named_hop_by_hop = {
        token.strip().lower() for value in request.headers.getall(hdrs.CONNECTION, []) for token in value.split(",")
    }
    dropped = HOP_BY_HOP | named_hop_by_hop | {"host", "x-forwarded-prefix"}
    headers = CIMultiDict((n, v) for n, v in request.headers.items() if n.lower() not in dropped)
    headers["X-Forwarded-For"] = request.remote or ""
    headers["X-Forwarded-Host"] = request.headers.get(hdrs.HOST, "")
    headers["X-Forwarded-Proto"] = request.scheme
    headers[INVOCATION_ID_HEADER] = invocation_id
    return headers


async def limited_body(request: web.Request, limit_bytes: int) -> AsyncIterator[bytes]:
    """Yield the request's body as it arrives.

    Raises:
        BodyTooLarge: it passed the limit.
    """
    received = 0
    async for chunk in request.content.iter_any():
        received += len(chunk)
        if received > limit_bytes:
            raise BodyTooLarge
        yield chunk


def make_response(status: int, headers: CIMultiDict[str]) -> web.StreamResponse:
    """Return a response that goes out with these headers and no default ones of aiohttp's."""
    kept = CIMultiDict((n, v) for n, v in headers.items() if n.lower() not in HOP_BY_HOP)
    response = web.StreamResponse(status=status, headers=kept)
    response[_AS_GIVEN] = hdrs.CONTENT_TYPE in kept
    return response


async def drop_default_type(request: web.Request, response: web.StreamResponse) -> None:
    """Take back the content type that aiohttp adds where the function set none."""
    if not response.get(_AS_GIVEN, True):
        response.headers.popall(hdrs.CONTENT_TYPE, None)


def cut_connection(request: web.Request) -> None:
    """Close the connection so that the client can tell that the response is incomplete."""
    if request.transport is not None:
        request.transport.abort()
