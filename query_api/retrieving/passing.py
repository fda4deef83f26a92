"""What callers get: the service's answer, passed through."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack
from typing import Final

from starlette.responses import Response, StreamingResponse

from shared.dicomweb import Answer, InvalidResponse, media_types
from shared.dicomweb.media_types import media_type_of
from shared.problems import NOT_KEPT

# What the service says of its answer that the caller needs; its own headers (dates, versions, tokens) stay behind.
_PASSED_HEADERS: Final = ("content-type", "etag")

_BINARY_KINDS: Final = ("multipart/related", media_types.DICOM, media_types.OCTET_STREAM)


class PassedThrough(StreamingResponse):
    """An answer of the service, streamed; the connection to the service is given back by `aclose`."""

    def __init__(self, upstream: AsyncExitStack, first: bytes, rest: AsyncGenerator[bytes], answer: Answer) -> None:
        super().__init__(_joined(first, rest), answer.status_code, _headers(answer))
        self._upstream = upstream

    async def aclose(self) -> None:
        """Give the connection to the service back."""
        await self._upstream.aclose()


def not_modified(answer: Answer) -> Response:
    """Return the answer to a caller whose copy is current."""
    return Response(status_code=304, headers=_headers(answer))


async def pass_through(upstream: AsyncExitStack, answer: Answer, accept: str) -> Response:
    """Turn an answer into a response once its first bytes are there: what fails before them still gets a status.

    Args:
        upstream: holds the connection; the response takes it over.
        answer: one with a body.
        accept: what the service was asked for.

    Raises:
        InvalidResponse: it is of another kind, such as a proxy's own page; or it does not tell where it ends, so that,
            cut short, it would look whole to the caller.
        ResponseLost: the connection failed before the first byte.
    """
    if not answer.tells_its_end:
        raise InvalidResponse("lookup: the answer does not tell where it ends")
    rest = answer.chunks()
    upstream.push_async_callback(rest.aclose)
    first = await anext(rest, b"")
    _check_kind(answer, first, accept)
    return PassedThrough(upstream.pop_all(), first, rest, answer)


def _check_kind(answer: Answer, first: bytes, accept: str) -> None:
    media_type = media_type_of(answer.content_type)[0]
    if accept == media_types.DICOM_JSON:
        good = media_type == media_types.DICOM_JSON and first.lstrip().startswith(b"[")
    else:
        good = media_type in _BINARY_KINDS or media_type.startswith("image/")
    if not good:
        raise InvalidResponse("lookup: the answer is of another kind than was asked for")


async def _joined(first: bytes, rest: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk


def _headers(answer: Answer) -> Mapping[str, str]:
    headers = {name: answer.headers[name] for name in _PASSED_HEADERS if name in answer.headers}
    if "content-length" in answer.headers:
        headers["content-length"] = answer.headers["content-length"]
    return headers | NOT_KEPT
