"""How far a caller has read the change feed, and the opaque token that says so."""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from .sequences import Sequences

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)  # long before any feed begins

# The number is the form's: a token of another one is not understood. The second form has `resume` after `start`.
_TOKEN = re.compile(r"v([12])\.([A-Za-z0-9_-]{6,2400})", re.ASCII)
_MOST_BYTES = 1500  # of a token before it is made text: it has to fit into a URL
_MOST_RANGES = _MOST_BYTES // 2  # more do not fit, small as their numbers may be
_LARGEST = 2**63 - 1
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Position:
    """A place in the feed.

    Args:
        start: all changes before it have been told; in UTC, not before 1970.
        told: of the changes from `start` on, those that have been told, by sequence.
        resume: where the round of reading that began at `start` goes on; None where a new one begins.
    """

    start: datetime = EPOCH
    told: Sequences = field(default_factory=Sequences)
    resume: datetime | None = None

    def to_token(self) -> str:
        """Return what stands for the position in a URL: 2,000 characters at most.

        Where the gaps among the told changes are too many for that, the oldest are given up: a change that still were
        to appear in one would be missed. It takes hundreds of stores at a time that fail or are late.
        """
        told = Sequences(self.told)
        while len(content := _content(self, told)) > _MOST_BYTES:
            told.close_gaps(min(len(told), _MOST_RANGES) * 9 // 10)
        checked = content + zlib.crc32(content).to_bytes(4, "big")
        form = 1 if self.resume is None else 2
        return f"v{form}.{base64.urlsafe_b64encode(checked).decode().rstrip('=')}"

    @classmethod
    def from_token(cls, token: str) -> Position:
        """Return the position that a token stands for.

        Raises:
            ValueError: it is no token.
        """
        found = _TOKEN.fullmatch(token)
        if found is None:
            raise ValueError("not a token")
        microseconds, *rest = _read_numbers(_decoded(found[2]))
        try:
            start, resume = EPOCH + microseconds * _MICROSECOND, None
            if found[1] == "2":
                distance, *rest = rest
                resume = start + distance * _MICROSECOND
            return cls(start, Sequences(_ranges(rest)), resume)
        except OverflowError:
            raise ValueError("not a time") from None


def _content(position: Position, told: Sequences) -> bytes:
    numbers = [(position.start - EPOCH) // _MICROSECOND]
    if position.resume is not None:
        numbers.append((position.resume - position.start) // _MICROSECOND)
    previous = 0
    for first, last in told:
        numbers += [first - previous, last - first]
        previous = last
    return b"".join(map(_written, numbers))


def _decoded(text: str) -> bytes:
    try:
        checked = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        raise ValueError("not base64") from None
    content, checksum = checked[:-4], checked[-4:]
    if zlib.crc32(content).to_bytes(4, "big") != checksum:
        raise ValueError("not whole")
    return content


def _ranges(numbers: list[int]) -> Iterator[tuple[int, int]]:
    end = 0
    for distance, length in zip(numbers[::2], numbers[1::2], strict=True):
        first, end = end + distance, end + distance + length
        if distance < 1 or end > _LARGEST:
            raise ValueError("not a range")
        yield first, end


def _written(number: int) -> bytes:
    """Return a number in groups of seven bits, the lowest first; all but the last have the eighth set (LEB128)."""
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])


def _read_numbers(content: bytes) -> Iterator[int]:
    number, shift = 0, 0
    for byte in content:
        number |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            yield number
            number, shift = 0, 0
    if shift:
        raise ValueError("not whole")
