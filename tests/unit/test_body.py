"""Request bodies and their sources."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Self

import pytest

from shared.dicomweb import Body, BodyLengthError
from shared.dicomweb.transport.counting import CHUNK_BYTES


class Source:
    """Gives chunks, and knows whether it was closed."""

    def __init__(self, *chunks: bytes) -> None:
        self._chunks = iter(chunks)
        self.closed = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        for chunk in self._chunks:
            return chunk
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self.closed += 1


@pytest.mark.parametrize(
    "chunks", [(b"abc", b"def"), (b"abcdef",), (b"", b"abcdef", b""), (b"abcdef", b"g"), (b"abc",)]
)
async def test_source_is_closed(chunks: tuple[bytes, ...]) -> None:
    """A source is closed once it has been read, or has turned out to be too long or too short."""
    source = Source(*chunks)
    read = b""
    error: Exception | None = None
    try:
        async for chunk in Body(lambda: source, 6):
            read += chunk
    except BodyLengthError as raised:
        error = raised
    assert source.closed == 1
    assert (read == b"abcdef") == (error is None)
    assert error is None or len(read) < 6


async def test_source_is_closed_by_who_stops() -> None:
    """Who stops reading and closes the body closes its source."""
    source = Source(b"abc", b"def", b"ghi")
    chunks = aiter(Body(lambda: source, 9))
    assert isinstance(chunks, AsyncIterator)
    assert await anext(chunks) == b"abc"
    async with aclosing(chunks):
        pass
    assert source.closed == 1


async def test_chunks_are_small(tmp_path: Path) -> None:
    """A file is not handed on in large chunks; each reading gives all of it again."""
    content = bytes(3 * CHUNK_BYTES + 1)
    (tmp_path / "file").write_bytes(content)
    body = Body.from_path(tmp_path / "file")
    for _ in range(2):
        chunks = [chunk async for chunk in body]
        assert max(map(len, chunks)) <= CHUNK_BYTES
        assert b"".join(chunks) == content


async def test_bytes_are_not_copied() -> None:
    """The transport cuts them into views; each reading gives them again."""
    content = bytes(3 * CHUNK_BYTES + 1)
    for _ in range(2):
        [chunk] = [chunk async for chunk in Body.from_bytes(content)]
        assert chunk is content


async def test_error_tells_lengths_only() -> None:
    """The error of a body of another length has numbers in it, and nothing of what was read."""
    with pytest.raises(BodyLengthError, match=r"^a body of 9 bytes gave 6$"):
        [chunk async for chunk in Body(lambda: Source(b"CANARY"), 9)]
    with pytest.raises(BodyLengthError, match=r"^a body of 3 bytes gave more$"):
        [chunk async for chunk in Body(lambda: Source(b"CANARY"), 3)]
