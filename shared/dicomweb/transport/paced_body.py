"""A request's body on its way: paced, held to its length, and stopped when nobody wants it any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing

import httpx

from .connection import IdleTimer
from .counting import CHUNK_BYTES, CountedStream, counted


class PacedBody:
    """The body of one request, as aiohttp's writer takes it in, piece by piece.

    Args:
        stream: the body; its iterator is closed in the end.
        length: what Content-Length says; None if the body goes out in chunks.
        write_seconds: how long the connection may take to take in one piece.
        timer: measures that.
        at_end: called once the last piece has been taken in.

    `is_complete` tells whether all of it has gone out.
    """

    def __init__(
        self,
        stream: httpx.AsyncByteStream,
        length: int | None,
        write_seconds: float | None,
        timer: IdleTimer,
        at_end: Callable[[], None],
    ) -> None:
        self._stream = stream
        self._length = length
        self._write_seconds = write_seconds
        self._timer = timer
        self._at_end = at_end
        self._is_stopped = False
        self._is_taken_in = False
        self._writer_ended: asyncio.Future[None] | None = None
        self._pieces = self._run()
        self.is_complete = False
        self.failure: Exception | None = None

    def __aiter__(self) -> AsyncIterator[bytes | memoryview]:
        """Give the pieces, to the one writer that there is."""
        return self._pieces

    async def written(self, writing: Awaitable[None]) -> None:
        """Await the writer, which takes the pieces, and see how it ends: only then may all of it have gone out."""
        self._writer_ended = asyncio.get_running_loop().create_future()
        try:
            await writing
            self.is_complete = self._is_taken_in
        finally:
            self._writer_ended.set_result(None)

    def stop(self) -> None:
        """Send nothing more; aiohttp ends the writer together with the answer."""
        self._is_stopped = True
        self._timer.stop()

    async def ended(self, closed: asyncio.Future[None]) -> None:
        """Wait until all of it has gone out, the writer has given up, or the connection is `closed`."""
        if self._writer_ended and not self._writer_ended.done():
            await asyncio.wait({self._writer_ended, closed}, return_when="FIRST_COMPLETED")

    async def aclose(self) -> None:
        """Close the body, whose writer has ended or is about to."""
        self.stop()
        if self._writer_ended and not self._writer_ended.done():
            await asyncio.wait({self._writer_ended})
        await self._pieces.aclose()

    async def _run(self) -> AsyncGenerator[bytes | memoryview]:
        try:
            async with aclosing(self._counted()) as chunks:
                async for chunk in chunks:
                    for piece in _pieces(chunk):
                        await self._leave()
                        self._timer.start(self._write_seconds, httpx.WriteTimeout)
                        yield piece
                        self._timer.stop()
        except Exception as error:
            if not self._is_stopped:
                self.failure = error
            raise
        self._is_taken_in = True
        if not self._is_stopped:
            self._at_end()

    def _counted(self) -> AsyncGenerator[bytes]:
        stream = self._stream
        if isinstance(stream, CountedStream) and stream.length == self._length:
            return stream.__aiter__()
        return counted(stream.__aiter__, self._length)

    async def _leave(self) -> None:
        """Go on, or rest until the writer is ended: an end of our own would look like an error of the connection."""
        if self._is_stopped:
            await asyncio.get_running_loop().create_future()


def _pieces(chunk: bytes) -> Iterator[bytes | memoryview]:
    """Cut a chunk: the time that one may take is that of a piece."""
    if len(chunk) <= CHUNK_BYTES:
        yield chunk
        return
    view = memoryview(chunk)
    yield from (view[start : start + CHUNK_BYTES] for start in range(0, len(view), CHUNK_BYTES))
