"""Bytes on their way out, held to the length that was announced for them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Callable

import httpx

CHUNK_BYTES = 256 * 1024


class BodyLengthError(ValueError):
    """A body gave more or fewer bytes than it had announced."""


class CountedStream(httpx.AsyncByteStream):
    """A stream that holds itself to its `length`, so that nobody else has to."""

    length: int

    def __aiter__(self) -> AsyncGenerator[bytes]:
        """Yield its content, from the beginning each time.

        Raises:
            BodyLengthError: there was more of it, or less.
        """
        raise NotImplementedError


async def counted(open_stream: Callable[[], AsyncIterable[bytes]], length: int | None) -> AsyncGenerator[bytes]:
    """Yield a source's chunks, and close it.

    One chunk is held back until the source has ended at the announced length: the service then never holds a request
    that looks complete and is not the whole content. A length of None is any.

    Args:
        open_stream: returns a fresh asynchronous iterable.
        length: of the whole content, in bytes; None is any.

    Raises:
        BodyLengthError: the source gave another number of bytes.
    """
    sent = 0
    held: bytes | None = None
    source = open_stream()
    try:
        async for chunk in source:
            sent += len(chunk)
            if length is not None and sent > length:
                break
            if held and chunk:
                yield held
            held = bytes(chunk) or held
    finally:
        if close := getattr(source, "aclose", None):
            await close()
    if length is not None and sent != length:
        raise BodyLengthError(f"a body of {length} bytes gave {'more' if sent > length else sent}")
    if held:
        yield held
