"""The part of a file that is at hand, and the next one to ask for."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from .elements import (
    HEAD_BYTES,
    ITEM_GROUP,
    SEQUENCES,
    SHORT_VRS,
    UNDEFINED,
    VRS,
    Element,
    Encoding,
    NotFollowed,
    is_long,
    is_vr,
)

# Elements before the UIDs rarely take more than a few KiB.
PREFIX_BYTES = 1024 * 1024
# After a value that was skipped, most often a few elements follow, and then the pixels. A range that continues the one
# before is twice as long, up to `PREFIX_BYTES`.
_RANGE_BYTES = 16 * 1024
_MAX_RANGES = 4096
_MAX_BYTES = 64 * 1024 * 1024

_T = TypeVar("_T")


class Unfit(Exception):
    """The file cannot be stored as it is; `reason` is a key of ingest's `verdict.REASONS`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Beyond(Exception):
    """The bytes up to `end` are needed, and not at hand."""

    def __init__(self, end: int) -> None:
        super().__init__()
        self.end = end


@dataclass(frozen=True)
class Need:
    """The range of the file to read next, in bytes."""

    offset: int
    length: int


class Window:
    """The bytes at hand of a file of `size` bytes: some first part of the range that ends at `limit`.

    Where a range ends depends on what the file holds, and never on the pieces that it comes in. After the first range
    of `PREFIX_BYTES`, at most 4,096 ranges are read, and at most 64 MiB: the bytes in these ranges. Values that are
    skipped by their length do not count. Of these ranges and bytes, half are kept for what lies outside of sequences.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.limit = min(size, PREFIX_BYTES)
        self.has_unknown_vrs = False  # other software may take another length for such an element
        self._data = b""
        self._start = 0
        self._range_at = 0
        self._range_bytes = _RANGE_BYTES
        self._ranges_left = _MAX_RANGES
        self._bytes_left = _MAX_BYTES

    @classmethod
    def of(cls, data: bytes, size: int) -> Window:
        """Return a window that stays as it is: on the first bytes of something of `size` bytes."""
        window = cls(size)
        window._data, window.limit, window._ranges_left = data, len(data), 0
        return window

    @property
    def reaches_end(self) -> bool:
        """Whether the range is the last of the file."""
        return self.limit == self.size

    @contextmanager
    def at_most(self, ranges: int) -> Iterator[None]:
        """Allow only so many new ranges meanwhile."""
        withheld = max(0, self._ranges_left - ranges)
        self._ranges_left -= withheld
        try:
            yield
        finally:
            self._ranges_left += withheld

    def may_step_inside(self, at: int, end: int) -> bool:
        """Say whether the bytes from `at` to `end` may be asked for to see what a sequence holds."""
        is_in_range = self._range_at <= at and end <= self.limit
        return is_in_range or (self._ranges_left > _MAX_RANGES // 2 and self._bytes_left > _MAX_BYTES // 2)

    def ask(self, at: int, end: int) -> Need:
        """Return what to read next, so that the bytes from `at` to `end` will be at hand; earlier ones are dropped.

        Raises:
            NotFollowed: enough ranges have been read.
        """
        if at < self._range_at or end > self.limit:
            self._begin_range(at, end)
        self._data = self._data[at - self._start :] if at >= self._start else b""
        self._start = at
        offset = at + len(self._data)
        return Need(offset, self.limit - offset)

    def _begin_range(self, at: int, end: int) -> None:
        if not self._ranges_left or end - at > self._bytes_left:
            raise NotFollowed
        is_next = self._range_at <= at <= self.limit
        self._range_bytes = min(2 * self._range_bytes, PREFIX_BYTES) if is_next else _RANGE_BYTES
        length = min(max(end - at, self._range_bytes), self._bytes_left, self.size - at)
        self._data = b""
        self._range_at = at
        self._ranges_left -= 1
        self._bytes_left -= length
        self.limit = at + length

    def add(self, data: bytes) -> None:
        """Take in the next bytes of what was asked for."""
        self._data = self._data + data if self._data else data

    def take(self, at: int, length: int) -> bytes:
        """Return some bytes.

        Raises:
            Unfit: the file ends before they do.
            Beyond: they are not at hand.
        """
        offset = at - self._start
        if offset < 0 or offset + length > len(self._data):
            raise self._lacking(at + length)
        return self._data[offset : offset + length]

    def element(self, at: int, encoding: Encoding) -> Element:
        """Read the beginning of the element at `at`, and see that the element ends within the file.

        Raises:
            Unfit, Beyond: as `take`.
            NotFollowed: these bytes are no element in this encoding.
        """
        offset = at - self._start
        if offset < 0 or offset + HEAD_BYTES > len(self._data):
            raise self._lacking(at + HEAD_BYTES)
        group, number, length = encoding.head.unpack_from(self._data, offset)
        if encoding.implicit or group == ITEM_GROUP:
            element = Element(group << 16 | number, b"", length, at + HEAD_BYTES)
        else:
            element = self._explicit(group << 16 | number, at, encoding)
        # Group 0000 is for messages (PS3.7 §6.3.1): here these are zeros that stand for nothing.
        if not group:
            raise NotFollowed
        if element.length != UNDEFINED and element.end > self.size:
            raise Unfit("unfinished")
        return element

    def pass_values(self, at: int, limit: int, encoding: Encoding) -> int:
        """Return where the first element at hand begins that is no plain value, or does not end by `limit`.

        This is `element` in a hurry, for sequences of many thousand values: what it passes, `element` would find valid.
        """
        data, offset = self._data, at - self._start
        if offset < 0:
            return at
        limit = min(limit, self.size) - self._start
        last = min(limit, len(data)) - HEAD_BYTES
        head = encoding.head if encoding.implicit else encoding.short_head
        while offset <= last:
            if encoding.implicit:
                group, number, length = head.unpack_from(data, offset)
                is_plain = (group << 16 | number) not in SEQUENCES
            else:
                group, number, vr, length = head.unpack_from(data, offset)
                is_plain = vr in SHORT_VRS
            end = offset + HEAD_BYTES + length
            if not is_plain or not group or group == ITEM_GROUP or end > limit or length == UNDEFINED:
                break
            offset = end
        return self._start + offset

    def _explicit(self, tag: int, at: int, encoding: Encoding) -> Element:
        offset = at - self._start
        vr = self._data[offset + 4 : offset + 6]
        if vr not in VRS:
            if not is_vr(vr):
                raise NotFollowed
            self.has_unknown_vrs = True
        if not is_long(vr):
            return Element(tag, vr, encoding.short.unpack_from(self._data, offset + 6)[0], at + 8)
        length = encoding.long.unpack(self.take(at + 8, 4))[0]
        return Element(tag, vr, length, at + 12)

    def _lacking(self, end: int) -> Exception:
        return Unfit("unfinished") if end > self.size else Beyond(end)


def at_hand(window: Window, step: Callable[[], _T], position: Callable[[], int]) -> Generator[Need, None, _T]:
    """Take a step, asking for more as long as it raises `Beyond`, from the position that it has come to.

    Raises:
        NotFollowed: enough ranges have been read, or the step raises it.
        Unfit: the step raises it.
    """
    while True:
        try:
            return step()
        except Beyond as beyond:
            yield window.ask(position(), beyond.end)
