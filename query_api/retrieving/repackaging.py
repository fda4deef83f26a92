"""An answer's body on its way: as it is, or with other parts around its content; watched for its right end.

Each is a generator over an opened answer; one that ends too early raises, and so cuts the caller's connection.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from shared.dicomweb import InvalidResponse
from shared.dicomweb.media_types import format_media_type, media_type_of
from shared.dicomweb.multipart import PartBegin, PartData, closing_delimiter, part_head
from shared.dicomweb.parts import events_of

from .opening import Opened

Count = Callable[[int], None]

# How contents of a kind end: JPEG with EOI (ITU-T T.81 §B.1.1.3), PNG with IEND and its check (ISO 15948 §11.2.5),
# an array of objects with its bracket.
JPEG_ENDING = re.compile(rb"\xff\xd9\x00*\Z")
PNG_ENDING = re.compile(rb"IEND\xaeB`\x82\Z")
JSON_ENDING = re.compile(rb"[}\[]\s*\]\s*\Z")

_HELD_BYTES = 32


class DelimiterWatch:
    """Counts the parts of a message that goes by, and sees whether it comes to its end; keeps one delimiter's length.

    Args:
        boundary: of the message.
    """

    def __init__(self, boundary: bytes) -> None:
        self._delimiter = b"\r\n--" + boundary
        self._closing = self._delimiter + b"--"
        # The first delimiter may lack the line break before it.
        self._carry = b"\r\n"
        self.parts = 0
        self.is_closed = False

    def feed(self, chunk: bytes) -> None:
        """Look at the next chunk; what comes after the closing delimiter, however long, says nothing."""
        if self.is_closed:
            return
        window = self._carry + chunk
        # A delimiter at the very end may be the closing one: it is looked at with the next chunk.
        end = len(window) - 2
        found = window.find(self._delimiter, 0, end)
        while found >= 0 and not window.startswith(self._closing, found):
            self.parts += 1
            found = window.find(self._delimiter, found + len(self._delimiter), end)
        self.is_closed = found >= 0
        self._carry = window[-(len(self._closing) - 1) :]


async def passed(opened: Opened, count: Count) -> AsyncGenerator[bytes]:
    """Yield a multipart message untouched.

    Raises:
        InvalidResponse: it lacks its closing delimiter, though the transfer ended well.
    """
    watch = DelimiterWatch(_boundary(opened))
    async with aclosing(opened.chunks) as chunks:
        async for chunk in chunks:
            yield chunk
            watch.feed(chunk)
            count(watch.parts)
    if not watch.is_closed:
        raise InvalidResponse(f"{opened.transaction}: the multipart message ends before its closing delimiter")


async def unwrapped(opened: Opened, count: Count) -> AsyncGenerator[bytes]:
    """Yield the content of the only part of a message.

    Raises:
        InvalidResponse: it has more than one, or is cut short.
    """
    parts = 0
    async with aclosing(events_of(opened.transaction, _boundary(opened), opened.chunks)) as events:
        async for event in events:
            if isinstance(event, PartBegin):
                parts += 1
                if parts > 1:
                    raise InvalidResponse(f"{opened.transaction}: the answer has more parts than asked for")
                count(parts)
            elif isinstance(event, PartData):
                yield event.data


async def relabelled(opened: Opened, count: Count, media_type: str) -> AsyncGenerator[bytes]:
    """Yield a message whose parts are called by another media type, each in the transfer syntax of the first.

    Raises:
        InvalidResponse: a part has another transfer syntax, or the message is cut short.
    """
    boundary = _boundary(opened)
    head = part_head(boundary, labelled(media_type, opened))
    parts = 0
    async with aclosing(events_of(opened.transaction, _boundary(opened), opened.chunks)) as events:
        async for event in events:
            if isinstance(event, PartBegin):
                if _syntax_of(event) != opened.transfer_syntax:
                    raise InvalidResponse(f"{opened.transaction}: the parts have several transfer syntaxes")
                parts += 1
                count(parts)
                yield head
            elif isinstance(event, PartData):
                yield event.data
    yield closing_delimiter(boundary)


async def wrapped(content: AsyncGenerator[bytes], boundary: str, content_type: str) -> AsyncGenerator[bytes]:
    """Yield a message with the content as its only part."""
    yield part_head(boundary.encode("ascii"), content_type)
    async with aclosing(content):
        async for chunk in content:
            yield chunk
    yield closing_delimiter(boundary.encode("ascii"))


async def whole(opened: Opened, ending: re.Pattern[bytes]) -> AsyncGenerator[bytes]:
    """Yield content by itself; its last bytes when they are seen to be the last, since of a known length a body
    without them would look whole.

    Raises:
        InvalidResponse: it does not end as its kind does.
    """
    held = b""
    async with aclosing(opened.chunks) as chunks:
        async for chunk in chunks:
            seen = held + chunk
            ready, held = seen[:-_HELD_BYTES], seen[-_HELD_BYTES:]
            if ready:
                yield ready
    if not ending.search(held):
        raise InvalidResponse(f"{opened.transaction}: the content is cut short")
    yield held


def labelled(media_type: str, opened: Opened) -> str:
    """Return the content's Content-Type, with its transfer syntax."""
    syntax = opened.transfer_syntax
    return format_media_type(media_type, {"transfer-syntax": syntax} if syntax else {})


def _boundary(opened: Opened) -> bytes:
    return (opened.boundary or "").encode("ascii")


def _syntax_of(part: PartBegin) -> str | None:
    return media_type_of(part.headers.get("content-type", ""))[1].get("transfer-syntax")
