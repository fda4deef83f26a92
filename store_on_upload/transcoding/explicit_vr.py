"""A dataset in Implicit VR Little Endian → the same in Explicit VR Little Endian (PS3.5 §7.1, §A.1, §A.2).

Values are copied byte for byte and never decoded: what is invalid stays as it was. Only the headers of elements
change, and the lengths of sequences and items with them. Group lengths, which would be wrong then, are left out:
they are retired (PS3.5 §7.2). So are zeros and line breaks behind the last element.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

from shared.part10 import Unfit
from shared.part10.elements import (
    HEAD_BYTES,
    IMPLICIT,
    ITEM,
    ITEM_END,
    ITEM_GROUP,
    SEQUENCE_END,
    UNDEFINED,
    is_long,
)

from .vr import US_OR_SS, creator_of, vr_of

MAX_BYTES = 64 * 1024 * 1024  # what may be held of one file
STREAMED_FROM_BYTES = 1024 * 1024

_MAX_DEPTH = 32
_LONGEST_SHORT = 0xFFFE
_PIXEL_REPRESENTATION = 0x00280103

_SHORT_HEAD = struct.Struct("<HH2sH")
_LONG_HEAD = struct.Struct("<HH2sHL")
_ITEM_BYTES = IMPLICIT.head.pack(ITEM_GROUP, ITEM & 0xFFFF, 0)[:4]


@dataclass(frozen=True)
class Range:
    """Bytes of the source that need no change."""

    offset: int
    length: int


@dataclass
class _Dataset:
    """What the VRs in a dataset, or an item, depend on."""

    depth: int = 0
    creators: dict[int, str] = field(default_factory=dict)
    signed: bool | None = None  # by its own PixelRepresentation
    # Where VRs stand that PixelRepresentation decides; an array, since there may be very many.
    undecided: array[int] = field(default_factory=lambda: array("Q"))

    def take(self, tag: int, value: bytes) -> None:
        """Note what an element says of the VRs of others."""
        if tag == _PIXEL_REPRESENTATION:
            self.signed = any(value)
        elif creator := creator_of(tag, value):
            if any(tag >> 16 != other >> 16 for other in self.creators):
                self.creators.clear()  # they stand in front of their elements, group by group
            self.creators[tag] = creator


class _BeyondWindow(Exception):
    """The element goes on behind the bytes at hand."""


def element_head(tag: int, vr: bytes, length: int) -> bytes:
    """Return what precedes a value of `length` bytes in explicit VR (PS3.5 §7.1.2).

    Raises:
        Unfit: a value of this VR cannot be so long.
    """
    if is_long(vr):
        return _LONG_HEAD.pack(tag >> 16, tag & 0xFFFF, vr, 0, length)
    if length > _LONGEST_SHORT:
        raise Unfit("too_long_for_explicit_vr")
    return _SHORT_HEAD.pack(tag >> 16, tag & 0xFFFF, vr, length)


class ExplicitVR:
    """A dataset as it is written anew, from windows onto its file.

    Args:
        size: of the file, in bytes.
        head: what precedes the dataset in the new file.
    """

    def __init__(self, size: int, head: bytes) -> None:
        self._size = size
        self._out = bytearray(head)
        self._ranges: list[tuple[int, Range]] = []  # with the place in `_out` that each belongs to
        self._root = _Dataset()
        self._window, self._window_at = b"", 0

    @property
    def length(self) -> int:
        """How many bytes have been written, those of ranges included."""
        return len(self._out) + sum(source.length for _, source in self._ranges)

    def pieces(self) -> Iterator[memoryview | Range]:
        """Yield what was written, in order: bytes in memory, and ranges of the source."""
        view, start = memoryview(self._out).toreadonly(), 0
        for end, source in self._ranges:
            yield view[start:end]
            yield source
            start = end
        yield view[start:]

    def feed(self, window: bytes, at: int) -> int:
        """Write the elements that are wholly in a window; large values outside of sequences need not be.

        Args:
            window: some bytes of the file.
            at: the offset of the first of them, where an element starts.

        Returns:
            the offset of the next element to write; `at` if the window is too small for the first one.

        Raises:
            Unfit: the dataset cannot be read, or cannot be written in explicit VR.
        """
        self._window, self._window_at = window, at
        position = 0
        while position < len(window):
            written = len(self._out)
            try:
                if self._is_padding(position):
                    return self._size
                position = self._element(position, self._size - at, self._root)
            except _BeyondWindow:
                del self._out[written:]  # the next window writes the same again, and more
                break
            if len(self._out) > MAX_BYTES:
                raise Unfit("too_large_for_explicit_vr")
        return at + position

    def finish(self) -> None:
        """Decide what had to wait for the end of the dataset."""
        self._decide(self._root)

    def _is_padding(self, position: int) -> bool:
        """Say whether what is left is no element: no tag is zero, and no element shorter than its header."""
        left = self._size - self._window_at - position
        if left >= HEAD_BYTES and any(self._window[position : position + 4]):
            return False
        if self._window[position:].strip(b"\0\r\n"):
            raise Unfit("unfinished" if left < HEAD_BYTES else "unreadable")
        if left > len(self._window) - position:
            raise _BeyondWindow
        return True

    # Positions are relative to the window, and so is `end`: where the surrounding item ends, or the file.

    def _element(self, position: int, end: int, dataset: _Dataset) -> int:
        """Write one element and return the position behind it."""
        tag, length = self._head(position, end)
        position += HEAD_BYTES
        if length != UNDEFINED and position + length > end:
            raise self._cut_at(end)
        vr = vr_of(tag, length, dataset.creators)
        if vr == b"SQ" and self._holds_items(position, length):
            self._out += element_head(tag, vr, length)
            return self._sequence(position, length, end, dataset)
        if length == UNDEFINED or tag >> 16 == ITEM_GROUP:
            raise Unfit("unreadable")
        if tag & 0xFFFF or length != 4:
            self._plain(tag, b"UN" if vr == b"SQ" else vr, position, length, dataset)
        return position + length

    def _holds_items(self, position: int, length: int) -> bool:
        """Say whether a value is what the dictionary has for its tag; private ones may not be."""
        return length in (0, UNDEFINED) or self._bytes(position, min(length, 4)) == _ITEM_BYTES

    def _plain(self, tag: int, vr: bytes, position: int, length: int, dataset: _Dataset) -> None:
        """Write an element that is no sequence."""
        if vr == US_OR_SS:
            dataset.undecided.append(len(self._out) + 4)
            vr = b"US"
        self._out += element_head(tag, vr, length)
        if not dataset.depth and is_long(vr) and length >= STREAMED_FROM_BYTES:
            self._ranges.append((len(self._out), Range(self._window_at + position, length)))
            return
        value = self._bytes(position, length)
        self._out += value
        dataset.take(tag, value)

    def _sequence(self, position: int, length: int, end: int, dataset: _Dataset) -> int:
        """Write the items of a sequence (PS3.5 §7.5)."""
        if dataset.depth == _MAX_DEPTH:
            raise Unfit("unreadable")
        start = len(self._out)
        stop = self._end_of(position, length, end)
        while position < stop:
            tag, item_length = self._head(position, stop)
            self._out += self._bytes(position, HEAD_BYTES)
            position += HEAD_BYTES
            if tag == SEQUENCE_END and length == UNDEFINED:
                return position
            if tag != ITEM:
                raise Unfit("unreadable")
            position = self._item(position, item_length, stop, dataset)
        return self._close(position, length, start)

    def _item(self, position: int, length: int, end: int, parent: _Dataset) -> int:
        start = len(self._out)
        item = _Dataset(parent.depth + 1)
        stop = self._end_of(position, length, end)
        while position < stop:
            if length == UNDEFINED and self._head(position, stop)[0] == ITEM_END:
                self._out += self._bytes(position, HEAD_BYTES)
                self._decide(item, parent)
                return position + HEAD_BYTES
            position = self._element(position, stop, item)
        self._decide(item, parent)
        return self._close(position, length, start)

    def _end_of(self, position: int, length: int, end: int) -> int:
        if length == UNDEFINED:
            return end
        if position + length > end:
            raise self._cut_at(end)
        return position + length

    def _close(self, position: int, length: int, start: int) -> int:
        """Correct the length of a sequence or an item, in front of `start`."""
        if length == UNDEFINED:
            raise self._cut_at(position)  # without its delimiter
        IMPLICIT.long.pack_into(self._out, start - IMPLICIT.long.size, len(self._out) - start)
        return position

    def _cut_at(self, end: int) -> Unfit:
        """Return what is wrong with an element that goes on at `end`: the file's, or that of the surrounding item."""
        return Unfit("unfinished" if self._window_at + end == self._size else "unreadable")

    def _decide(self, dataset: _Dataset, parent: _Dataset | None = None) -> None:
        """Correct `US` to `SS` where pixels are signed; without a word of its own, an item is as its surroundings."""
        if dataset.signed is None and parent:
            parent.undecided += dataset.undecided
        elif dataset.signed:
            for at in dataset.undecided:
                self._out[at : at + 2] = b"SS"

    def _head(self, position: int, end: int) -> tuple[int, int]:
        if position + HEAD_BYTES > end:
            raise self._cut_at(end)
        if position + HEAD_BYTES > len(self._window):
            raise _BeyondWindow
        group, element, length = IMPLICIT.head.unpack_from(self._window, position)
        return group << 16 | element, length

    def _bytes(self, position: int, length: int) -> bytes:
        if position + length > len(self._window):
            raise _BeyondWindow
        return self._window[position : position + length]
