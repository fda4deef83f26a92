"""A request and its answer, and the one border where httpx's errors become ours."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import httpx

from .body import Body
from .errors import InvalidResponse, RequestNotSent, ResponseLost
from .json_array import JSONArrayParser, MalformedArray
from .json_text import read_json
from .media_types import DICOM_JSON, JSON, media_type_of

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol, httpx.LocalProtocolError)
_MAX_JSON_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Request:
    """One request: `transaction` is what errors call it ("retrieve series"), `query` is already encoded.

    `statuses` are the ones that are answers; every other one raises. One that `is_sent_once` is never sent again by us,
    not even where that would be safe: what its sender had looked at before may be otherwise by then. With `send_by`, of
    `time.monotonic`, it is sent before this time or not at all.
    """

    transaction: str
    method: str
    path: str
    accept: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = None
    statuses: frozenset[int] = frozenset({200})
    is_sent_once: bool = False
    send_by: float | None = None


class Answer:
    """A response whose status is one that was asked for; its body is read by the caller, once."""

    def __init__(self, transaction: str, response: httpx.Response) -> None:
        self._transaction = transaction
        self._response = response

    @property
    def status_code(self) -> int:
        """The HTTP status."""
        return self._response.status_code

    @property
    def headers(self) -> httpx.Headers:
        """The response's headers."""
        return self._response.headers

    @property
    def content_type(self) -> str:
        """The Content-Type as it was sent; empty if there was none."""
        return str(self._response.headers.get("content-type", ""))

    @property
    def tells_its_end(self) -> bool:
        """Whether a body that is cut short can be told from a whole one (RFC 9112 §6.3)."""
        coding = self.headers.get("transfer-encoding")
        if coding is None:
            return "content-length" in self.headers
        return bool(coding.rpartition(",")[2].strip().lower() == "chunked")

    async def chunks(self) -> AsyncGenerator[bytes]:
        """Yield the body as it comes.

        Raises:
            ResponseLost: the connection failed before the body's end.
            InvalidResponse: it is compressed, which was not asked for: of such a one neither the size nor the end is
                certain.
        """
        if self.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
            raise InvalidResponse(f"{self._transaction}: the answer is compressed, which was not asked for")
        with translating_httpx_errors(self._transaction):
            # httpx's own iterators decode, count and cut, in vain: this is the body as it came.
            async for chunk in cast(httpx.AsyncByteStream, self._response.stream):
                yield chunk

    async def json(self) -> Any:
        """Read and decode a body of JSON, DICOM's or plain.

        Raises:
            InvalidResponse: it is of another media type, too large, or no JSON; NaN is none.
            ResponseLost: the connection failed before the body's end.
        """
        self._check_is_json()
        content = bytearray()
        async for chunk in self.chunks():
            content += chunk
            if len(content) > _MAX_JSON_BYTES:
                raise InvalidResponse(f"{self._transaction}: the answer is too large")
        try:
            return read_json(content)
        except (ValueError, RecursionError):
            raise InvalidResponse(f"{self._transaction}: the answer is no JSON") from None

    async def objects(self) -> AsyncGenerator[dict[str, Any]]:
        """Yield the objects of a body that is a JSON array of them, as they come: the body may be of any size.

        Raises:
            InvalidResponse: it is of another media type, or no such array, or not a whole one.
            ResponseLost: the connection failed before the body's end.
        """
        self._check_is_json()
        parser = JSONArrayParser()
        try:
            async with aclosing(self.chunks()) as chunks:
                async for chunk in chunks:
                    for item in parser.feed(chunk):
                        yield item
            for item in parser.close():
                yield item
        except MalformedArray as error:
            raise InvalidResponse(f"{self._transaction}: the answer is no JSON array of objects: {error}") from None

    def _check_is_json(self) -> None:
        # Orthanc names no media type where a store failed; what is no JSON fails all the same.
        content_type = self.content_type
        if content_type and media_type_of(content_type)[0] not in (DICOM_JSON, JSON):
            raise InvalidResponse(f"{self._transaction}: the answer's media type is not JSON")


@contextmanager
def translating_httpx_errors(transaction: str) -> Iterator[None]:
    """Translate httpx's errors, without chaining them: their messages hold the URL."""
    try:
        yield
    except httpx.PoolTimeout:
        raise RequestNotSent(f"{transaction}: all connections are in use: ask for less at once") from None
    except _NOT_SENT as error:
        raise RequestNotSent(
            f"{transaction}: no connection to the service ({type(error).__name__}): check its address and the network"
        ) from None
    except httpx.HTTPError as error:
        raise ResponseLost(
            f"{transaction}: the connection was lost ({type(error).__name__}): its outcome is unknown, look before "
            "you repeat it"
        ) from None
