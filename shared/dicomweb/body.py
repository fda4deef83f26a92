"""Request bodies that can be sent again from their first byte."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from pathlib import Path

from .checks import check_int
from .transport.counting import CHUNK_BYTES, CountedStream, Progress, counted


class Body(CountedStream):
    """A byte stream of known length, opened afresh for every attempt.

    Args:
        open_stream: returns a fresh asynchronous iterable over the whole content; it is closed after use.
        length: the content's length in bytes.
        on_progress: called with the bytes handed over so far, up to two chunks ahead of what has gone out; another
            attempt starts at 0.
    """

    def __init__(
        self,
        open_stream: Callable[[], AsyncIterable[bytes]],
        length: int,
        *,
        on_progress: Progress | None = None,
    ) -> None:
        self._open_stream = open_stream
        self.length = check_int("length", length, 0)
        self._on_progress = on_progress

    @classmethod
    def from_bytes(cls, content: bytes, *, on_progress: Progress | None = None) -> Body:
        """Send bytes that are in memory."""

        # Uncut where nobody is told of its parts: the transport cuts it, and need not copy it for that.
        step = CHUNK_BYTES if on_progress else max(1, len(content))

        async def chunks() -> AsyncIterator[bytes]:
            for start in range(0, len(content), step):
                yield content[start : start + step]

        return cls(chunks, len(content), on_progress=on_progress)

    @classmethod
    def from_path(cls, path: Path, *, on_progress: Progress | None = None) -> Body:
        """Send a file of the local disk; reads of `CHUNK_BYTES` are short enough for the event loop."""

        async def chunks() -> AsyncIterator[bytes]:
            with path.open("rb") as file:
                while chunk := file.read(CHUNK_BYTES):
                    yield chunk

        return cls(chunks, path.stat().st_size, on_progress=on_progress)

    def __aiter__(self) -> AsyncGenerator[bytes]:
        """Yield the content once more, counted.

        Raises:
            BodyLengthError: the source gave another number of bytes.
        """
        return counted(self._open_stream, self.length, self._on_progress)
