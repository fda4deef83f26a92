"""A file in Implicit VR Little Endian, sent in Explicit VR Little Endian: for services that refuse the former.

A receipt whose `changes` name `explicit_vr` is about a file that was sent like this. The same file always gives
the same bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing

from pydicom.uid import ImplicitVRLittleEndian

from shared.dicomweb import Body, InstanceOutcome, StoreReason, StoreStatus
from shared.part10 import PREFIX_BYTES, Header, Unfit

from .completing import explicit_vr_head
from .explicit_vr import MAX_BYTES, ExplicitVR, Range

Read = Callable[[int, int], Awaitable[bytes]]  # offset and length → these bytes
ChunksFrom = Callable[[int], AsyncGenerator[bytes]]  # offset → all bytes from there on

CHUNK_BYTES = 256 * 1024

# PS3.18 Annex I.2.2: "cannot understand" and "transfer syntax not supported" are among these.
_CANNOT_UNDERSTAND = range(0xC000, 0xD000)


def may_be_about_implicit_vr(header: Header, outcome: InstanceOutcome) -> bool:
    """Say whether an instance was refused for something that Explicit VR may change.

    The answer does not tell: a service that takes no implicit VR says "invalid" and names no attribute.
    """
    if header.transfer_syntax_uid != ImplicitVRLittleEndian or outcome.status is not StoreStatus.FAILED:
        return False
    if outcome.reason == StoreReason.INVALID:
        return not outcome.failed_attributes
    return outcome.reason in _CANNOT_UNDERSTAND


async def to_explicit_vr(header: Header, size: int, read: Read, chunks_from: ChunksFrom) -> Body:
    """Return the whole file as it is to be sent, lossless: every value keeps its bytes.

    Values of a MiB and more, pixel data above all, stream from the source each time the body is opened. All else is
    held by the body: `MAX_BYTES` at most.

    Args:
        header: of the file, in Implicit VR Little Endian.
        size: of the file, in bytes.
        read: returns a range of the file, less only where the file ends.
        chunks_from: streams the file from an offset to its end; it is closed after use.

    Raises:
        Unfit: the dataset cannot be read, has an element that explicit VR cannot carry, or too much beside its large
            values.
    """
    dataset = ExplicitVR(size, explicit_vr_head(header, await read(0, header.dataset_at)))
    at, window_bytes = header.dataset_at, PREFIX_BYTES - header.dataset_at
    while at < size:
        window = await read(at, min(window_bytes, size - at))
        next_at = await asyncio.to_thread(dataset.feed, window, at)
        window_bytes = PREFIX_BYTES if next_at > at else _larger(window_bytes)
        at = next_at
    dataset.finish()
    pieces = list(dataset.pieces())
    return Body(lambda: _chunks(pieces, chunks_from), dataset.length)


def most_bytes_held(size: int) -> int:
    """Return how much memory `to_explicit_vr` takes at most for a file of `size` bytes: a window, and what is written.

    So much for the bytes alone; it is never more than twice `MAX_BYTES`.
    """
    return 2 * min(size, MAX_BYTES)


def _larger(window_bytes: int) -> int:
    """Return the size of a window for an element that did not fit."""
    if window_bytes >= MAX_BYTES:
        raise Unfit("too_large_for_explicit_vr")
    return min(max(window_bytes * 2, PREFIX_BYTES), MAX_BYTES)


async def _chunks(pieces: list[memoryview | Range], chunks_from: ChunksFrom) -> AsyncIterator[bytes]:
    for piece in pieces:
        async with aclosing(_copied(piece, chunks_from) if isinstance(piece, Range) else _held(piece)) as chunks:
            async for chunk in chunks:
                yield chunk


async def _held(view: memoryview) -> AsyncGenerator[bytes]:
    for start in range(0, len(view), CHUNK_BYTES):
        yield bytes(view[start : start + CHUNK_BYTES])


async def _copied(source: Range, chunks_from: ChunksFrom) -> AsyncGenerator[bytes]:
    left = source.length
    async with aclosing(chunks_from(source.offset)) as chunks:
        async for chunk in chunks:
            yield chunk[:left]
            left -= len(chunk)
            if left <= 0:
                return
