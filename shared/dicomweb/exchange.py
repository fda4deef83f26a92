"""One request and its answer over aiohttp, in httpx's terms."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from typing import cast

import aiohttp
import aiohttp.http
import httpx
from yarl import URL

from .upload import IdleTimer, Upload

_LOST = (aiohttp.ClientError, aiohttp.http.HttpProcessingError, OSError)
_current: ContextVar[Exchange] = ContextVar("exchange")


class ConnectedRequest(aiohttp.ClientRequest):
    """Tells its exchange the connection that it is about to go out on."""

    # Of these aiohttp sends no `Content-Length: 0` that nobody asked for.
    GET_METHODS = aiohttp.ClientRequest.GET_METHODS | {"DELETE"}

    async def send(self, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        """Send the head, and start sending the body."""
        _current.get().connected(conn)
        return await super().send(conn)


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
        self._protocol: aiohttp.client_proto.ResponseHandler | None = None
        self._socket: asyncio.Transport | None = None
        self._response: aiohttp.ClientResponse | None = None
        self._timeout: Exception | None = None

    async def run(self, session: aiohttp.ClientSession) -> httpx.Response:
        """Send the request and give the answer, whose stream this is.

        Raises:
            httpx.ConnectError, httpx.ConnectTimeout: nothing was sent.
            httpx.TransportError: the outcome is unknown.
            Exception: whatever the body's source raised; BodyLengthError if it was too long or too short.
        """
        token = _current.set(self)
        try:
            self._response = await self._send(session)
            await self._see_the_upload_through(self._response)
        except BaseException:
            await self.aclose()
            raise
        finally:
            _current.reset(token)
        self._timer.stop()
        return httpx.Response(
            self._response.status,
            headers=list(self._response.raw_headers),
            stream=self,
            extensions={"upload_complete": self._upload is None or self._upload.is_complete},
        )

    def connected(self, connection: aiohttp.connector.Connection) -> None:
        """Take note that the request goes out now."""
        self._protocol = connection.protocol
        self._socket = connection.transport
        if self._upload is None:
            self._await_answer()

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
        """Give back the connection if the whole answer came, and close it otherwise; close the request's body."""
        self._timer.stop()
        if self._at_end is None:
            return
        if self._response and not self._response.content.is_eof():
            self._response.close()
        if not self._is_whole() and self._socket:
            # aiohttp closes it, which waits until what is in the buffer has gone out; perhaps for ever.
            self._socket.abort()
        self._at_end()
        self._at_end = None
        if self._upload:
            await self._upload.aclose()

    def _upload_of(self, request: httpx.Request) -> Upload | None:
        if not request.headers.keys() & {"content-length", "transfer-encoding"}:
            return None
        length = request.headers.get("content-length")
        return Upload(
            cast(httpx.AsyncByteStream, request.stream),  # httpx's asynchronous client lets no other through
            None if length is None else int(length),
            self._timeouts.get("write"),
            IdleTimer(self._expire),
            self._await_answer,
        )

    async def _send(self, session: aiohttp.ClientSession) -> aiohttp.ClientResponse:
        url = self._request.url
        try:
            return await session.request(
                self._request.method,
                URL(f"{url.scheme}://{url.netloc.decode('ascii')}{url.raw_path.decode('ascii')}", encoded=True),
                headers=self._headers,
                data=self._upload,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(connect=self._timeouts.get("connect")),
                upload_tracker=self._upload.tracker if self._upload else None,
            )
        except (*_LOST, ValueError) as error:
            failure = self._failure_for(error)
        raise failure  # out of reach of the handler: aiohttp's error, which tells the URL, is not to be its context

    async def _see_the_upload_through(self, response: aiohttp.ClientResponse) -> None:
        """Hold back an answer that came early, unless it is a refusal: then nothing more is to be sent."""
        if self._upload is None:
            return
        if response.status >= 400:
            self._upload.stop()
            return
        await self._upload.ended(self._closed())
        if not self._upload.is_complete:
            raise self._noted() or httpx.RemoteProtocolError("answered before the whole body was sent")

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        closed = None if self._tells_its_end(response) else self._closed()
        self._timer.start(self._timeouts.get("read"), httpx.ReadTimeout)
        try:
            chunk = await response.content.readany()
            failure = self._timeout if chunk else self._timeout or _reset(closed)
        except _LOST as error:
            failure = self._failure_for(error)
        finally:
            self._timer.stop()
        if failure:
            raise failure
        return chunk

    def _closed(self) -> asyncio.Future[None] | None:
        """Return what tells how the connection ends, if it has not yet."""
        closed = self._protocol.closed if self._protocol else None
        if closed:
            closed.add_done_callback(asyncio.Future.exception)  # asked for, or asyncio logs that nobody did
        return closed

    @staticmethod
    def _tells_its_end(response: aiohttp.ClientResponse) -> bool:
        """Say whether the end of the connection is not also that of the answer's body (RFC 9112 §6.3)."""
        return response.content.is_eof() or bool({"Content-Length", "Transfer-Encoding"} & response.headers.keys())

    def _is_whole(self) -> bool:
        """Whether all was sent and all was received."""
        received = self._response is not None and self._response.content.is_eof()
        return received and (self._upload is None or self._upload.is_complete)

    def _await_answer(self) -> None:
        self._timer.start(self._timeouts.get("read"), httpx.ReadTimeout)

    def _expire(self, error: type[httpx.TimeoutException]) -> None:
        self._timeout = error("the connection rested for too long")
        if self._socket:
            self._socket.abort()

    def _noted(self) -> Exception | None:
        return self._timeout or (self._upload.failure if self._upload else None)

    def _failure_for(self, error: Exception) -> Exception:
        """Return what to raise for an error of aiohttp: its cause, if that was one of ours."""
        if noted := self._noted():
            return noted
        told = type(error).__name__
        if isinstance(error, ValueError):
            return httpx.LocalProtocolError(told)
        if self._socket is None:
            return (httpx.ConnectTimeout if isinstance(error, TimeoutError) else httpx.ConnectError)(told)
        if isinstance(error, OSError):
            return (httpx.WriteError if self._upload and not self._upload.is_complete else httpx.ReadError)(told)
        return httpx.RemoteProtocolError(told)


def _reset(closed: asyncio.Future[None] | None) -> Exception | None:
    """Return the error if a connection was reset, which aiohttp tells no one whose answer ends with the connection."""
    if closed and closed.done() and closed.exception():
        return httpx.ReadError("the connection was reset")
    return None


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
