"""Bodies that are read from disk while they are sent: slices of files, alone or as the parts of a multipart body."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager, ExitStack, aclosing, nullcontext
from typing import BinaryIO, NamedTuple

from anyio import to_thread
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from local.dicom_service.retrieve.pixel_data import Slice, shifted
from shared.dicomweb.multipart import closing_delimiter, part_head

CHUNK_BYTES = 256 * 1024

Scratch = AbstractContextManager[object]  # what is closed when the response is over
OpenFile = Callable[[], AbstractContextManager[BinaryIO]]


class Shift(NamedTuple):
    """A frame of one-bit pixels that starts within a byte."""

    late_bits: int
    bits_per_frame: int


class Part(NamedTuple):
    """What is sent as one body or one part of it; without slices it is the whole file."""

    content_type: str
    open_file: OpenFile
    slices: list[Slice] | None = None
    shift: Shift | None = None


class FileResponse(StreamingResponse):
    """A response whose files are closed as soon as it is over, however it ends."""

    def __init__(self, content: AsyncGenerator[bytes, None], content_type: str, scratch: Scratch | None) -> None:
        super().__init__(content, headers={"Content-Type": content_type})
        self._content = content
        self._scratch = scratch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response, and be rid of the file that was made for it."""
        with self._scratch or nullcontext():
            await super().__call__(scope, receive, send)

    async def stream_response(self, send: Send) -> None:
        """Send the response."""
        async with aclosing(self._content):
            await super().stream_response(send)


def response(parts: list[Part], *, multipart: bool, scratch: Scratch | None = None) -> FileResponse:
    """Return a response of one part, or a `multipart/related` one of any number; `scratch` is closed after it.

    As the service's, the Content-Type of a multipart response has no `type` parameter.
    """
    if not multipart:
        return FileResponse(_pieces(parts[0]), parts[0].content_type, scratch)
    boundary = secrets.token_hex(16)
    content_type = f"multipart/related; boundary={boundary}"
    return FileResponse(_multipart(parts, boundary.encode()), content_type, scratch)


def parts_of(scratch: BinaryIO, slices: list[Slice], content_type: str) -> list[Part]:
    """Return the parts that a file holds which was made for this response alone."""

    def opener() -> AbstractContextManager[BinaryIO]:
        return nullcontext(scratch)

    return [Part(content_type, opener, [where]) for where in slices]


async def _multipart(parts: list[Part], boundary: bytes) -> AsyncGenerator[bytes, None]:
    line_break = len(b"\r\n")  # the first delimiter starts the body
    for number, part in enumerate(parts):
        yield part_head(boundary, part.content_type)[0 if number else line_break :]
        async with aclosing(_pieces(part)) as pieces:
            async for piece in pieces:
                yield piece
    yield closing_delimiter(boundary)


async def _pieces(part: Part) -> AsyncGenerator[bytes, None]:
    with ExitStack() as stack:
        # Opened and entered in one: a request that ends in between would leave the file open.
        file = await to_thread.run_sync(lambda: stack.enter_context(part.open_file()))
        for where in part.slices if part.slices is not None else [None]:
            if part.shift is not None and where is not None:
                for first in range(0, (part.shift.bits_per_frame + 7) // 8, CHUNK_BYTES):
                    yield await to_thread.run_sync(_read_shifted, file, where, part.shift, first)
                continue
            async with aclosing(_chunks(file, where)) as chunks:
                async for chunk in chunks:
                    yield chunk


async def _chunks(file: BinaryIO, where: Slice | None) -> AsyncGenerator[bytes, None]:
    offset, left = where if where is not None else (0, None)
    while left is None or left > 0:
        size = CHUNK_BYTES if left is None else min(CHUNK_BYTES, left)
        chunk = await to_thread.run_sync(_read, file, Slice(offset, size))
        if not chunk:
            if left is not None:
                raise EOFError("a stored file is shorter than it was")
            return
        yield chunk
        offset += len(chunk)
        left = None if left is None else left - len(chunk)


def _read_shifted(file: BinaryIO, where: Slice, shift: Shift, first: int) -> bytes:
    """Return up to `CHUNK_BYTES` of a frame, from its byte `first` on: each takes its late bits from the next."""
    data = _read(file, Slice(where.offset + first, min(CHUNK_BYTES + 1, where.length - first)))
    return shifted(data, shift.late_bits, min(8 * CHUNK_BYTES, shift.bits_per_frame - 8 * first))


def _read(file: BinaryIO, where: Slice) -> bytes:
    file.seek(where.offset)
    return file.read(where.length)
