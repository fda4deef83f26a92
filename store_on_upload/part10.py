"""The header of a DICOM Part 10 file, read from its first bytes (PS3.10 §7, PS3.5 §7).

It answers two questions before anything is sent: is this a complete DICOM file, and which UIDs does its dataset
have? They are read from the dataset, since the copies in File Meta can differ. pydicom is not used here: it reads
files, blocks while it does, and forgives an end that comes too early.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from pydicom import uid

# Elements before the UIDs rarely take more than a few KiB. What lies beyond is left to the service to judge.
PREFIX_BYTES = 1024 * 1024

_UNDEFINED = 0xFFFFFFFF
_MAX_DEPTH = 32

_TRANSFER_SYNTAX_UID = 0x00020010
_SOP_INSTANCE_UID = 0x00080018
_STUDY_INSTANCE_UID = 0x0020000D
_SERIES_INSTANCE_UID = 0x0020000E
_PIXEL_DATA = 0x7FE00010
_ITEM = 0xFFFEE000
_ITEM_END = 0xFFFEE00D
_SEQUENCE_END = 0xFFFEE0DD

_UIDS = (_STUDY_INSTANCE_UID, _SERIES_INSTANCE_UID, _SOP_INSTANCE_UID)
_VALID_UID = re.compile(rb"[0-9.]{0,63}[0-9]")

# PS3.5 §7.1.2: these have two reserved bytes and a length of four.
_LONG_VRS = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_VR = re.compile(rb"[A-Z]{2}")


class Form(StrEnum):
    """How the file begins."""

    PART10 = "part10"
    NO_PREAMBLE = "no_preamble"  # File Meta at byte 0
    NO_META = "no_meta"  # the dataset at byte 0; its transfer syntax is told by looking


@dataclass(frozen=True)
class Header:
    """What is known of a file without its pixels; a UID of the dataset is None where it lies beyond the first MiB."""

    form: Form
    transfer_syntax_uid: str
    dataset_at: int
    sop_class_uid: str | None
    study_instance_uid: str | None
    series_instance_uid: str | None
    sop_instance_uid: str | None
    pixel_data_at: int | None = None
    is_dicomdir: bool = False


@dataclass(frozen=True)
class Need:
    """The range of the file to read next, in bytes."""

    offset: int
    length: int


class Unfit(Exception):
    """The file cannot be stored as it is; `reason` is a key of `verdict.REASONS`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _BeyondPrefix(Exception):
    """The walk has come to the end of the bytes at hand."""


class _Lost(Exception):
    """The bytes here are not an element in this transfer syntax."""


@dataclass(frozen=True)
class _Element:
    tag: int
    vr: bytes  # empty in implicit VR and for items
    length: int
    value_at: int

    @property
    def end(self) -> int:
        return self.value_at + self.length


class HeaderReader:
    """Reads the header of a file of `size` bytes from the ranges that it asks for."""

    def __init__(self, size: int) -> None:
        self._size = size

    def feed(self, offset: int, data: bytes) -> Need | Header:
        """Take in the bytes at `offset`, and return what is needed next, or the header.

        Raises:
            Unfit: the file cannot be stored as it is.
        """
        return _read_header(data, self._size)


async def read_header(prefix: bytes, size: int, fetch: Callable[[int, int], Awaitable[bytes]]) -> Header:
    """Read the header of a file of `size` bytes, of which `fetch(offset, length)` reads a range.

    Raises:
        Unfit: the file cannot be stored as it is.
    """
    reader = HeaderReader(size)
    step = await asyncio.to_thread(reader.feed, 0, prefix)
    while isinstance(step, Need):
        data = await fetch(step.offset, step.length)
        step = await asyncio.to_thread(reader.feed, step.offset, data)
    return step


def _read_header(prefix: bytes, size: int) -> Header:
    """Read the header of a file of `size` bytes from its first `PREFIX_BYTES`, or all of it if it is shorter.

    Where the dataset cannot be followed, its remaining UIDs are None: other software may understand it.

    Raises:
        Unfit: it is empty, no Part 10 file, cut short, or its dataset lacks a valid UID.
    """
    if size == 0:
        raise Unfit("empty")
    if prefix[128:132] != b"DICM":
        raise Unfit("not_dicom")
    meta = _Walk(prefix, size, implicit=False, byteorder="little")
    transfer_syntax_uid, start = _read_meta(meta)
    walk = _dataset_walk(prefix, size, start, transfer_syntax_uid)
    found = walk.collect(0 if walk.data is not prefix else start)
    study, series, instance = (found[tag] for tag in _UIDS)
    return Header(Form.PART10, transfer_syntax_uid, start, None, study, series, instance)


def _read_meta(walk: _Walk) -> tuple[str, int]:
    """Return the transfer syntax and where File Meta ends (PS3.10 §7.1)."""
    at = 132
    transfer_syntax_uid = ""
    try:
        while walk.peek_tag(at) >> 16 == 0x0002:
            element = walk.element(at)
            if element.tag == _TRANSFER_SYNTAX_UID:
                transfer_syntax_uid = walk.value(element).rstrip(b" \0").decode("ascii", "replace")
            at = element.end
    except _BeyondPrefix:
        raise Unfit("unreadable" if walk.size > len(walk.data) else "unfinished") from None
    except _Lost:
        raise Unfit("unreadable") from None
    if not transfer_syntax_uid:
        raise Unfit("unreadable")
    return transfer_syntax_uid, at


def _dataset_walk(prefix: bytes, size: int, start: int, transfer_syntax_uid: str) -> _Walk:
    implicit = transfer_syntax_uid == uid.ImplicitVRLittleEndian
    byteorder = "big" if transfer_syntax_uid == uid.ExplicitVRBigEndian else "little"
    if transfer_syntax_uid != uid.DeflatedExplicitVRLittleEndian:
        return _Walk(prefix, size, implicit=implicit, byteorder=byteorder)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        dataset = inflater.decompress(prefix[start:], PREFIX_BYTES)
    except zlib.error:
        raise Unfit("unreadable") from None
    # Less than was asked for: the input has ended before the stream did. At the limit nothing can be said.
    if not inflater.eof and len(prefix) == size and len(dataset) < PREFIX_BYTES:
        raise Unfit("unfinished")
    # What is inflated may go on for as long as it likes: its size is known only if all of it is here.
    return _Walk(dataset, len(dataset) if inflater.eof else 1 << 62, implicit=False, byteorder="little")


class _Walk:
    """Steps over the elements of a dataset of which the first bytes are at hand."""

    def __init__(self, data: bytes, size: int, *, implicit: bool, byteorder: str) -> None:
        self.data = data
        self.size = size
        self._implicit = implicit
        self._big = byteorder == "big"
        self._zeros_from = len(data.rstrip(b"\0"))

    def collect(self, at: int) -> dict[int, str | None]:
        """Return the dataset's three UIDs, None for what lies beyond the bytes at hand.

        Raises:
            Unfit: an element ends beyond the file, or a UID is missing or invalid.
        """
        found: dict[int, str | None] = dict.fromkeys(_UIDS)
        try:
            while at < self.size and (None in found.values() or not self._is_padding(at)):
                element = self.element(at)
                if element.tag in _UIDS:
                    found[element.tag] = self._uid(element)
                if element.tag >= _PIXEL_DATA and element.length == _UNDEFINED:
                    break  # encapsulated: its end is not to be known from here
                at = self._end_of(element)
        except _BeyondPrefix:
            if self.size <= len(self.data):
                raise Unfit("unfinished") from None
            return found
        except _Lost:
            return found
        if None in found.values():
            raise Unfit("uids_missing")
        return found

    def _is_padding(self, at: int) -> bool:
        """Say whether what is left is no element but what some senders put behind the last one.

        A line break, or zeros. No element that may follow starts with these bytes; but a single zero could be the
        first byte of one, in a file that was cut there.
        """
        if self.size != len(self.data):
            return False
        return (at >= self._zeros_from and self.size - at > 1) or self.data[at : at + 3] in (b"\n", b"\r\n")

    def peek_tag(self, at: int) -> int:
        """Return the tag of the element that starts at `at`."""
        return self._number(at, 2) << 16 | self._number(at + 2, 2)

    def element(self, at: int) -> _Element:
        """Read the element header that starts at `at`, and see that the element ends within the file."""
        tag = self.peek_tag(at)
        if self._implicit or tag >> 16 == 0xFFFE:
            element = _Element(tag, b"", self._number(at + 4, 4), at + 8)
        else:
            element = self._explicit_element(tag, at)
        if element.length != _UNDEFINED and element.end > self.size:
            # A VR where the length should be: a dataset in explicit VR that says it is implicit.
            raise _Lost if self._implicit and _VR.fullmatch(self._bytes(at + 4, 2)) else Unfit("unfinished")
        return element

    def _explicit_element(self, tag: int, at: int) -> _Element:
        vr = self._bytes(at + 4, 2)
        if not _VR.fullmatch(vr):
            raise _Lost
        if vr in _LONG_VRS:
            return _Element(tag, vr, self._number(at + 8, 4), at + 12)
        return _Element(tag, vr, self._number(at + 6, 2), at + 8)

    def value(self, element: _Element) -> bytes:
        """Return the value of an element of defined length."""
        return self._bytes(element.value_at, element.length)

    def _uid(self, element: _Element) -> str:
        value = self.value(element).rstrip(b" \0") if element.length <= 128 else b""
        if not _VALID_UID.fullmatch(value):
            raise Unfit("uids_missing")
        return value.decode("ascii")

    def _end_of(self, element: _Element, depth: int = 0) -> int:
        if element.length != _UNDEFINED:
            return element.end
        if depth > _MAX_DEPTH:
            raise _Lost
        # UN of undefined length holds items in implicit VR, whatever surrounds it (PS3.5 §6.2.2).
        walk = _Walk(self.data, self.size, implicit=True, byteorder="little") if element.vr == b"UN" else self
        return walk._end_of_sequence(element.value_at, depth)

    def _end_of_sequence(self, at: int, depth: int) -> int:
        """Step over the items of a sequence of undefined length (PS3.5 §7.5)."""
        while (item := self.element(at)).tag == _ITEM:
            at = self._end_of_item(item.value_at, depth) if item.length == _UNDEFINED else item.end
        if item.tag != _SEQUENCE_END:
            raise _Lost
        return item.value_at

    def _end_of_item(self, at: int, depth: int) -> int:
        while (element := self.element(at)).tag != _ITEM_END:
            at = self._end_of(element, depth + 1)
        return element.value_at

    def _number(self, at: int, length: int) -> int:
        return int.from_bytes(self._bytes(at, length), "big" if self._big else "little")

    def _bytes(self, at: int, length: int) -> bytes:
        if at + length > len(self.data):
            raise _BeyondPrefix
        return self.data[at : at + length]
