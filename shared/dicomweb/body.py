"""Request bodies that can be sent again from their first byte."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from pathlib import Path

from .checks import check_int
from .transport.counting import CHUNK_BYTES, CountedStream, counted


class Body(CountedStream):
    """A byte stream of known length, opened afresh for every attempt.

    Args:
        open_stream: returns a fresh asynchronous iterable over the whole content; it is closed after use.
        length: the content's length in bytes.
    """

    def __init__(self, open_stream: Callable[[], AsyncIterable[bytes]], length: int) -> None:
        self._open_stream = open_stream
        self.length = check_int("length", length, 0)

    @classmethod
    def from_bytes(cls, content: bytes) -> Body:
        """Send bytes that are in memory, uncut: the transport cuts them, and need not copy them for that."""

        async def chunks() -> AsyncIterator[bytes]:
            yield content

        return cls(chunks, len(content))

    @classmethod
    def from_path(cls, path: Path) -> Body:
        """Send a file of the local disk; reads of `CHUNK_BYTES` are short enough for the event loop."""

        async def chunks() -> AsyncIterator[bytes]:
            with path.open("rb") as file:
                while chunk := file.read(CHUNK_BYTES):
                    yield chunk

        return cls(chunks, path.stat().st_size)

    def __aiter__(self) -> AsyncGenerator[bytes]:
        """Yield the content once more, counted.

        Raises:
            BodyLengthError: the source gave another number of bytes.
        """
        return counted(self._open_stream, self.length)
