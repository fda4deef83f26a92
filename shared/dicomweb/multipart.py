"""`multipart/related` without I/O: bytes in, events out (RFC 2046 §5.1, RFC 2387, PS3.18 §8.6.1.2).

The parser is lenient in what it reads (preamble, header case, padding after a boundary, parts of any size, chunk
edges anywhere) and strict about the end: a message without its closing delimiter was cut short, and says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from .media_types import media_type_of

MAX_HEADER_BYTES = 16 * 1024
MAX_PADDING_BYTES = 256


class MalformedMultipart(ValueError):
    """The bytes are no multipart message, or end before their closing delimiter."""


@dataclass(frozen=True)
class PartBegin:
    """A part starts; header names are in lower case."""

    headers: dict[str, str]


@dataclass(frozen=True)
class PartData:
    """Some bytes of the part; how a part is cut into these follows the input's chunks and means nothing."""

    data: bytes


@dataclass(frozen=True)
class PartEnd:
    """The part is complete."""


Event = PartBegin | PartData | PartEnd


class _State(Enum):
    PREAMBLE = auto()
    HEADERS = auto()
    BODY = auto()
    EPILOGUE = auto()


def boundary_of(content_type: str) -> bytes:
    """Return the boundary of a multipart Content-Type, quoted or not.

    Raises:
        MalformedMultipart: the type is not multipart, or names no boundary.
    """
    media_type, parameters = media_type_of(content_type)
    boundary = parameters.get("boundary", "")
    if not media_type.startswith("multipart/") or not boundary or not boundary.isascii():
        raise MalformedMultipart("the Content-Type names no multipart boundary")
    return boundary.encode("ascii")


def part_head(boundary: bytes, content_type: str) -> bytes:
    """Return what stands before the body of a part (RFC 2046 §5.1.1)."""
    return b"\r\n--" + boundary + b"\r\nContent-Type: " + content_type.encode("ascii") + b"\r\n\r\n"


def closing_delimiter(boundary: bytes) -> bytes:
    """Return what stands after the last part."""
    return b"\r\n--" + boundary + b"--\r\n"


class MultipartParser:
    """Feed it chunks as they come, then close it.

    At most one boundary's length of body bytes, or `MAX_HEADER_BYTES` of headers, is kept between two chunks.
    """

    def __init__(self, boundary: bytes) -> None:
        self._delimiter = b"\r\n--" + boundary
        # A delimiter starts with the line break before it. The first one may have none: lend it ours.
        self._buffer = bytearray(b"\r\n")
        self._state = _State.PREAMBLE
        self._at_part_start = False

    def feed(self, data: bytes) -> Iterator[Event]:
        """Yield what the next chunk completes.

        Raises:
            MalformedMultipart: the headers of a part cannot be read.
        """
        if self._state is _State.EPILOGUE:
            return
        self._buffer += data
        while (events := self._step()) is not None:
            yield from events

    def close(self) -> None:
        """Say that no more will come.

        Raises:
            MalformedMultipart: the closing delimiter was not seen: the message was cut short.
        """
        if self._state is not _State.EPILOGUE:
            raise MalformedMultipart("the multipart message ends before its closing delimiter")

    def _step(self) -> list[Event] | None:
        """Take one step; None means that more bytes are needed."""
        if self._state is _State.HEADERS:
            return self._read_headers()
        if self._state is _State.EPILOGUE:
            self._buffer.clear()
            return None
        return self._read_to_delimiter()

    def _read_headers(self) -> list[Event] | None:
        # The buffer starts with the line break that ended the delimiter: a part without headers thus ends here too.
        end = self._buffer.find(b"\r\n\r\n", 0, MAX_HEADER_BYTES)
        if end < 0:
            if len(self._buffer) >= MAX_HEADER_BYTES:
                raise MalformedMultipart("the headers of a part are too long")
            return None
        headers = _parse_headers(bytes(self._buffer[2:end]))
        # Keep the last line break: with it an empty part may be closed at once.
        del self._buffer[: end + 2]
        self._state = _State.BODY
        self._at_part_start = True
        return [PartBegin(headers)]

    def _read_to_delimiter(self) -> list[Event] | None:
        start = 0
        while (found := self._buffer.find(self._delimiter, start)) >= 0:
            line_end = self._delimiter_end(found + len(self._delimiter))
            if line_end is None:
                return self._take(found) or None
            if line_end > 0:
                return self._finish_part(found, line_end)
            start = found + 1  # our boundary is only the beginning of a longer line: part data
        return self._take(max(0, len(self._buffer) - len(self._delimiter) + 1)) or None

    def _delimiter_end(self, after: int) -> int | None:
        """Return where the delimiter that ends at `after` is over; 0 if it is none; None if more bytes are needed."""
        if self._buffer[after : after + 2] == b"--":
            return after + 2
        at = after
        while at < len(self._buffer) and self._buffer[at] in b" \t":
            at += 1
        if at - after > MAX_PADDING_BYTES:
            return 0
        tail = bytes(self._buffer[at : at + 2])
        if tail == b"\r\n":
            return at
        could_grow = tail in (b"", b"\r") or (tail == b"-" and at == after)
        return None if could_grow else 0

    def _finish_part(self, found: int, line_end: int) -> list[Event]:
        in_part = self._state is _State.BODY
        closing = self._buffer[found + len(self._delimiter) : line_end] == b"--"
        events = self._take(found)
        del self._buffer[: line_end - found]
        self._state = _State.EPILOGUE if closing else _State.HEADERS
        return [*events, PartEnd()] if in_part else events

    def _take(self, end: int) -> list[Event]:
        """Remove what stands before `end`: data inside a part, nothing of worth in the preamble."""
        if self._at_part_start and self._state is _State.BODY:
            if end < 2:
                return []
            del self._buffer[:2]
            end -= 2
            self._at_part_start = False
        with memoryview(self._buffer) as view:  # a slice of the buffer itself would be another copy
            data = bytes(view[:end])
        del self._buffer[:end]
        return [PartData(data)] if data and self._state is _State.BODY else []


def _parse_headers(block: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in block.decode("latin-1").split("\r\n"):
        if not line:
            continue
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise MalformedMultipart("a header line of a part has no name")
        headers[name.strip().lower()] = value.strip()
    return headers
