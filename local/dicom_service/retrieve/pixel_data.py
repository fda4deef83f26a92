"""Where the pixel data of a file lies, and where in it each frame (PS3.5 §8.2, §A.4), without reading any of it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO, NamedTuple

PIXEL_DATA = 0x7FE00010
TAGS = (0x7FE00008, 0x7FE00009, PIXEL_DATA)  # Float Pixel Data, Double Float Pixel Data, Pixel Data
UNDEFINED_LENGTH = 0xFFFFFFFF
MAX_FRAGMENTS = 200_000  # with the Basic Offset Table
_ITEM = 0xFFFEE000
_SEQUENCE_DELIMITER = 0xFFFEE0DD


class Truncated(ValueError):
    """The file ends before its pixel data does."""


class FrameMissing(ValueError):
    """The pixel data has no such frame, or not the whole of it."""


class Slice(NamedTuple):
    """Some bytes of a file."""

    offset: int
    length: int


@dataclass(frozen=True)
class PixelData:
    """What must be known of a file to cut frames from it; `length` is UNDEFINED_LENGTH where it is encapsulated.

    `tag` is one of `TAGS`; `vr` is empty where the VR is implicit.
    """

    offset: int
    length: int
    number_of_frames: int
    bits_per_frame: int
    extended_offsets: tuple[int, int] | None = None
    tag: int = PIXEL_DATA
    vr: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return what `from_dict` takes."""
        return asdict(self)

    @staticmethod
    def from_dict(fields: dict[str, Any]) -> PixelData:
        """Return what `to_dict` was called on."""
        table = fields["extended_offsets"]
        return PixelData(**{**fields, "extended_offsets": tuple(table) if table else None})

    @property
    def encapsulated(self) -> bool:
        """Tell whether the frames are compressed, in fragments."""
        return self.length == UNDEFINED_LENGTH


def end_of(file: BinaryIO, pixel_data: PixelData, file_bytes: int) -> int:
    """Return where the pixel data's element is over.

    Raises:
        Truncated: the file ends before.
    """
    if not pixel_data.encapsulated:
        end = pixel_data.offset + pixel_data.length
        if end > file_bytes:
            raise Truncated
        return end
    end = pixel_data.offset
    for item in _items(file, pixel_data.offset, file_bytes):
        end = item.offset + item.length
    return end + 8  # the delimiter


def frames(file: BinaryIO, pixel_data: PixelData, file_bytes: int) -> list[list[Slice]]:
    """Return the fragments of each frame that can be told apart, in order; for encapsulated pixel data only.

    Raises:
        Truncated: the file ends before its pixel data does.
    """
    items = list(_items(file, pixel_data.offset, file_bytes))
    offset_table, fragments = items[0], items[1:]
    if len(fragments) == pixel_data.number_of_frames:
        return [[fragment] for fragment in fragments]
    if pixel_data.number_of_frames == 1:
        return [fragments]
    starts = _frame_starts(file, pixel_data, offset_table)
    # The tables count from the first fragment's item header, 8 bytes before its content.
    first = fragments[0].offset if fragments else 0
    return _group(fragments, [first + start for start in starts])


def native_frame(pixel_data: PixelData, index: int) -> tuple[Slice, int]:
    """Return the bytes that hold a frame, and by how many bits it starts late in the first of them.

    Raises:
        FrameMissing: they are not all there.
    """
    start_bit = index * pixel_data.bits_per_frame
    end_bit = start_bit + pixel_data.bits_per_frame
    first, last = start_bit // 8, (end_bit + 7) // 8
    if index >= pixel_data.number_of_frames or last > pixel_data.length or pixel_data.bits_per_frame == 0:
        raise FrameMissing
    return Slice(pixel_data.offset + first, last - first), start_bit % 8


def shifted(data: bytes, bits: int, bits_per_frame: int) -> bytes:
    """Return a frame of one-bit pixels moved to the start of its first byte (PS3.5 §8.1.1)."""
    number = int.from_bytes(data, "little") >> bits
    number &= (1 << bits_per_frame) - 1
    return number.to_bytes((bits_per_frame + 7) // 8, "little")


def item(content: bytes) -> bytes:
    """Return the item that holds a fragment (PS3.5 §A.4), its content padded to an even length."""
    padded = content + b"\0" * (len(content) % 2)
    return struct.pack("<HHL", _ITEM >> 16, _ITEM & 0xFFFF, len(padded)) + padded


def _items(file: BinaryIO, offset: int, file_bytes: int) -> Iterator[Slice]:
    """Yield the content of each item: first the Basic Offset Table, then the fragments."""
    for _ in range(MAX_FRAGMENTS):
        file.seek(offset)
        header = file.read(8)
        if len(header) < 8:
            raise Truncated
        group, element, length = struct.unpack("<HHL", header)
        tag = group << 16 | element
        if tag == _SEQUENCE_DELIMITER:
            return
        if tag != _ITEM or offset + 8 + length > file_bytes:
            raise Truncated
        yield Slice(offset + 8, length)
        offset += 8 + length
    raise Truncated


def _frame_starts(file: BinaryIO, pixel_data: PixelData, offset_table: Slice) -> list[int]:
    if pixel_data.extended_offsets is not None:
        return _table(file, Slice(*pixel_data.extended_offsets), "Q")
    return _table(file, offset_table, "L")


def _table(file: BinaryIO, where: Slice, code: str) -> list[int]:
    file.seek(where.offset)
    data = file.read(where.length)
    count = len(data) // struct.calcsize(f"<{code}")
    return list(struct.unpack_from(f"<{count}{code}", data))


def _group(fragments: list[Slice], starts: list[int]) -> list[list[Slice]]:
    """Hand out the fragments to the frames that start where the offset table says."""
    known = set(starts)
    frames: list[list[Slice]] = []
    for fragment in fragments:
        if fragment.offset in known:
            frames.append([])
        if frames:
            frames[-1].append(fragment)
    return frames
