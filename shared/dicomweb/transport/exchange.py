"""One request and its answer over aiohttp, in httpx's terms."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import cast

import aiohttp
import aiohttp.abc
import aiohttp.connector
import aiohttp.http
import httpx
from aiohttp.payload import AsyncIterablePayload
from multidict import CIMultiDict
from yarl import URL

from .connection import Connection, IdleTimer
from .paced_body import PacedBody

# Larger than any answer of a DICOM service has; a proxy's page may come with more.
_MAX_LINE_BYTES = 64 * 1024
_MAX_HEADERS = 1000
_READ_AHEAD_BYTES = 256 * 1024
# Of the header Keep-Alive, as RFC 2068 §19.7.1.1 left it.
_IDLE_SECONDS = re.compile(r"(?:^|[,;\s])timeout\s*=\s*([0-9]{1,6})", re.IGNORECASE)
_LOST = (aiohttp.ClientError, aiohttp.http.HttpProcessingError, OSError)
_NONE_OF_ITS_OWN = CIMultiDict[None]({"Content-Type": None})  # headers that aiohttp would add to a body


class WatchedRequest(aiohttp.ClientRequest):
    """Has its body told how the writer of it ends."""

    # Of these aiohttp sends no `Content-Length: 0` that nobody asked for.
    GET_METHODS = aiohttp.ClientRequest.GET_METHODS | {"DELETE"}
    upload: PacedBody | None = None

    def update_auto_headers(self, skip_auto_headers: Iterable[str] | None) -> None:
        """Add none: a request has the headers that it was given."""
        self._skip_auto_headers = _NONE_OF_ITS_OWN

    async def write_bytes(
        self,
        writer: aiohttp.abc.AbstractStreamWriter,
        conn: aiohttp.connector.Connection,
        content_length: int | None = None,
    ) -> None:
        """Send the body, in a task of aiohttp's."""
        if self.upload:
            await self.upload.written(super().write_bytes(writer, conn, content_length))


class Exchange(httpx.AsyncByteStream):
    """One request, and the body of its answer.

    Args:
        request: its `timeout` extension holds idle times in seconds.
        at_end: called once, when the connection is no longer in use.

    Raises:
        httpx.LocalProtocolError: such a request cannot be sent.
    """

    def __init__(self, request: httpx.Request, at_end: Callable[[], None]) -> None:
        self._request = request
        self._headers = _headers_of(request)
        self._timeouts = request.extensions.get("timeout", {})
        self._timer = IdleTimer(self._expire)
        self._upload = self._upload_of(request)
        self._at_end: Callable[[], None] | None = at_end
        self._connection: Connection | None = None
        self._response: aiohttp.ClientResponse | None = None
        self._timed_out: Exception | None = None
        self._is_kept = True

    async def run(self, connector: aiohttp.BaseConnector) -> httpx.Response:
        """Send the request and give the answer, whose stream this is.

        Raises:
            httpx.ConnectError, httpx.ConnectTimeout: nothing was sent.
            httpx.TransportError: the outcome is unknown.
            Exception: whatever the body's source raised; BodyLengthError if it was too long or too short.
        """
        try:
            response = await self._answer_over(connector)
            await self._see_the_upload_through(response.status)
        except BaseException:
            await self.aclose()
            raise
        self._timer.stop()
        self._is_kept = _heed_keep_alive(connector, response.headers)
        return httpx.Response(response.status, headers=list(response.raw_headers), stream=self)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the answer's body as it comes, still compressed.

        Raises:
            httpx.ReadTimeout: it rested for too long.
            httpx.ReadError, httpx.RemoteProtocolError: it was cut short.
        """
        if self._response:
            while chunk := await self._read(self._response):
                yield chunk

    async def aclose(self) -> None:
        """Give back the connection if the whole answer came and it is kept, else close it; close the request's body."""
        self._timer.stop()
        if self._at_end is None:
            return
        is_received = self._is_received()
        if self._response and not is_received:
            self._response.close()
        if self._connection:
            self._connection.closed.remove_done_callback(self._end_reading)
            if not (is_received and self._is_sent() and self._is_kept):
                self._connection.abort()
        self._at_end()
        self._at_end = None
        if self._upload:
            await self._upload.aclose()

    def _upload_of(self, request: httpx.Request) -> PacedBody | None:
        length = request.headers.get("content-length")
        if length is None and "transfer-encoding" not in request.headers:
            return None
        return PacedBody(
            cast(httpx.AsyncByteStream, request.stream),  # httpx's asynchronous client lets no other through
            None if length is None else int(length),
            self._timeouts.get("write"),
            IdleTimer(self._expire),
            self._await_answer,
        )

    async def _answer_over(self, connector: aiohttp.BaseConnector) -> aiohttp.ClientResponse:
        try:
            request = self._new_request()
            connection = await connector.connect(
                request, traces=[], timeout=aiohttp.ClientTimeout(connect=self._timeouts.get("connect"))
            )
            return await self._send(request, connection)
        except (*_LOST, ValueError) as error:
            failure = self._failure_for(error)
        raise failure  # out of reach of the handler: aiohttp's error, which tells the URL, is not to be its context

    def _new_request(self) -> WatchedRequest:
        request = WatchedRequest(
            self._request.method,
            _address_of(self._request.url),
            headers=self._headers,
            data=_payload_of(self._upload) if self._upload else None,
            loop=asyncio.get_running_loop(),
        )
        request.upload = self._upload
        return request

    async def _send(self, request: WatchedRequest, connection: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        try:
            _expect_answer(connection, has_body=request.method != "HEAD")
            self._connection = Connection(connection)
            self._connection.closed.add_done_callback(self._end_reading)
            if self._upload is None:
                self._await_answer()
            self._response = await request.send(connection)
            return await self._response.start(connection)
        except BaseException:
            connection.close()
            raise

    async def _see_the_upload_through(self, status: int) -> None:
        """Hold back an answer that came early, unless it is a refusal: then nothing more is to be sent."""
        if self._upload is None or self._connection is None:
            return
        if status >= 400:
            self._upload.stop()
            return
        await self._upload.ended(self._connection.closed)
        if not self._upload.is_complete:
            raise self._own_failure() or httpx.RemoteProtocolError("answered before the whole body was sent")

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        if not response.content.is_eof():  # else all of it is there
            self._await_answer()
        try:
            chunk = await response.content.readany()
            failure = None if chunk else self._end_of(response)
        except _LOST as error:
            failure = self._failure_for(error)
        finally:
            self._timer.stop()
        if failure:
            raise failure
        return chunk

    def _end_of(self, response: aiohttp.ClientResponse) -> Exception | None:
        """Return the error if the answer ended with a reset: aiohttp takes it for an end where no length was told."""
        if not self._connection or not self._connection.was_reset:
            return None
        tells_its_end = {"Content-Length", "Transfer-Encoding"} & response.headers.keys()
        return None if tells_its_end else httpx.ReadError("the connection was reset")

    def _end_reading(self, _: object = None) -> None:
        """Let nobody wait for more of the answer: after a chunk of a bad size aiohttp closes, and tells no one."""
        content = self._response.content if self._response else None
        if content and not content.is_eof() and content.exception() is None:
            content.set_exception(aiohttp.ClientPayloadError())

    def _is_received(self) -> bool:
        content = self._response.content if self._response else None
        return content is not None and content.is_eof() and content.exception() is None

    def _is_sent(self) -> bool:
        return self._upload is None or self._upload.is_complete

    def _await_answer(self) -> None:
        self._timer.start(self._timeouts.get("read"), httpx.ReadTimeout)

    def _expire(self, error: type[httpx.TimeoutException]) -> None:
        self._timed_out = error("the connection rested for too long")
        if self._connection:
            self._connection.abort()
        self._end_reading()

    def _own_failure(self) -> Exception | None:
        return self._timed_out or (self._upload.failure if self._upload else None)

    def _failure_for(self, error: Exception) -> Exception:
        """Return what to raise for an error of aiohttp: its cause, if that was one of ours."""
        if own := self._own_failure():
            return own
        told = type(error).__name__
        if not isinstance(error, _LOST):
            return httpx.LocalProtocolError(told)
        if self._connection is None:
            return (httpx.ConnectTimeout if isinstance(error, TimeoutError) else httpx.ConnectError)(told)
        if isinstance(error, OSError):
            return (httpx.ReadError if self._is_sent() else httpx.WriteError)(told)
        return httpx.RemoteProtocolError(told)


def _payload_of(upload: PacedBody) -> AsyncIterablePayload:
    """Return a body as what aiohttp would find it to be, after a search through all that it could be."""
    return AsyncIterablePayload(upload)  # type: ignore[arg-type]  # a memoryview is as good


def _expect_answer(connection: aiohttp.connector.Connection, *, has_body: bool) -> None:
    """Have aiohttp give the answer as it comes, even if it is compressed or has many headers."""
    if connection.protocol is not None:  # it would be false while it is empty
        connection.protocol.set_response_params(
            skip_payload=not has_body,
            read_until_eof=True,
            auto_decompress=False,
            read_bufsize=_READ_AHEAD_BYTES,
            max_line_size=_MAX_LINE_BYTES,
            max_field_size=_MAX_LINE_BYTES,
            max_headers=_MAX_HEADERS,
        )


def _heed_keep_alive(connector: aiohttp.BaseConnector, headers: Mapping[str, str]) -> bool:
    """Say whether the server keeps this connection at all, and from now on keep idle ones for half as long as it does.

    So it closes none just as it is used. What one answer says of no time at all, a gateway's perhaps, is for its own
    connection: the others go on being kept.
    """
    said, ours = _IDLE_SECONDS.search(headers.get("Keep-Alive", "")), connector._keepalive_timeout
    if said is None or ours is None:
        return True
    seconds = int(said[1])
    if seconds > 0:
        connector._keepalive_timeout = min(ours, seconds / 2)
    return seconds > 0


def _address_of(url: httpx.URL) -> URL:
    """Return an address as it is, for aiohttp."""
    if url.scheme not in ("http", "https"):
        raise httpx.UnsupportedProtocol("an address is of http or https")
    return URL(f"{url.scheme}://{url.netloc.decode('ascii')}{url.raw_path.decode('ascii')}", encoded=True)


def _headers_of(request: httpx.Request) -> list[tuple[str, str]]:
    """Return a request's headers for aiohttp, which frames the body itself.

    aiohttp keeps headers of one name only where the name is spelled the same.
    """
    if "expect" in request.headers:
        raise httpx.LocalProtocolError("Expect is not supported: a server that does not know it leaves us waiting")
    spelling: dict[bytes, bytes] = {}
    kept = [(spelling.setdefault(name.lower(), name), value) for name, value in request.headers.raw]
    try:
        return [(name.decode(), value.decode()) for name, value in kept if name.lower() != b"transfer-encoding"]
    except UnicodeDecodeError:
        raise httpx.LocalProtocolError("a header is not in UTF-8") from None
