"""What the tests of the header reader share: real files, files put together, and a way to read them."""

from __future__ import annotations

import gc
import io
import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import FunctionType, GeneratorType

import pydicom
from pydicom import Dataset, FileDataset, uid
from pydicom.dataelem import RawDataElement
from pydicom.errors import InvalidDicomError

from shared.part10 import Header, HeaderReader, Need, Unfit
from store_on_upload.verdict import REASONS

FOLDER = Path(pydicom.__file__).parent / "data" / "test_files"
FILES = {str(path.relative_to(FOLDER)): path.read_bytes() for path in sorted(FOLDER.rglob("*")) if path.is_file()}
NATIVE = (uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian)
# Explicit VR is announced, implicit VR is there: pydicom guesses, we leave it to the service.
NOT_AS_ANNOUNCED = {"SC_rgb_jpeg.dcm"}
CUT_SHORT = {"MR_truncated.dcm", "rtplan_truncated.dcm"}
UID_KEYWORDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
Uids = tuple[str | None, ...]


@dataclass
class Sparse:
    """A large file: pieces of bytes, and numbers of zeros."""

    pieces: tuple[bytes | int, ...]

    def __len__(self) -> int:
        return sum(piece if isinstance(piece, int) else len(piece) for piece in self.pieces)

    def __getitem__(self, wanted: slice) -> bytes:
        at, found = 0, b""
        for piece in self.pieces:
            end = at + (piece if isinstance(piece, int) else len(piece))
            start, stop = max(at, wanted.start), min(end, wanted.stop)
            if start < stop:
                found += bytes(stop - start) if isinstance(piece, int) else piece[start - at : stop - at]
            at = end
        return found


@dataclass
class Reading:
    """How a file was read."""

    outcome: Header | str = ""  # the header, or the reason why there is none
    needs: list[Need] = field(default_factory=list)
    most_bytes_kept: int = 0


def read(
    content: bytes | Sparse,
    *,
    size: int | None = None,
    piece: int = 1 << 30,
    kept: bool = False,
    through_pixels: bool = False,
) -> Reading:
    """Read a file as if it had `size` bytes (zeros follow), at most `piece` bytes at once; look at what is `kept`."""
    file = Sparse((bytes(content[: len(content)]), size - len(content))) if size else content
    reader, reading = HeaderReader(len(file), through_pixels=through_pixels), Reading()
    step: Need | Header = Need(0, min(len(file), piece))
    try:
        while isinstance(step, Need):
            reading.needs.append(step)
            assert 0 <= step.offset <= step.offset + step.length <= len(file)
            step = reader.feed(step.offset, file[step.offset : step.offset + min(piece, step.length)])
            if kept:
                reading.most_bytes_kept = max(reading.most_bytes_kept, sum(bytes_held(reader)))
        reading.outcome = step
    except Unfit as unfit:
        reading.outcome = unfit.reason
    assert isinstance(reading.outcome, Header) or reading.outcome in REASONS
    return reading


def outcome(content: bytes | Sparse, *, size: int | None = None, piece: int = 1 << 30) -> Header | str:
    """Return the header, or the reason why there is none; it is one that people are told about."""
    return read(content, size=size, piece=piece).outcome


def bytes_held(reader: HeaderReader) -> Iterator[int]:
    """Yield the length of each string of bytes that a reader holds, in whatever it is made of."""
    seen: set[int] = set()
    left: list[object] = [reader]
    while left:
        found = left.pop()
        if id(found) in seen:
            continue
        seen.add(id(found))
        if isinstance(found, bytes | bytearray):
            yield len(found)
        elif isinstance(found, FunctionType):
            left += found.__closure__ or ()
        elif isinstance(found, list | tuple | dict | GeneratorType) or type(found).__name__ in ("cell", "method"):
            left += gc.get_referents(found)
        elif type(found).__module__.startswith("store_on_upload"):
            left += vars(found).values()


def uids_in(header: Header | str) -> Uids:
    assert isinstance(header, Header)
    return (header.study_instance_uid, header.series_instance_uid, header.sop_instance_uid)


@cache
def read_by_pydicom(name: str, *, force: bool = False) -> FileDataset | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return pydicom.dcmread(io.BytesIO(FILES[name]), force=force)
        except InvalidDicomError:
            return None


def uids_by_pydicom(dataset: Dataset) -> Uids:
    values = (dataset.get(keyword) for keyword in UID_KEYWORDS)
    return tuple(None if value is None else str(value) for value in values)


def element_starts(dataset: FileDataset) -> dict[int, int]:
    """Return where the top-level elements start, by tag."""
    starts = {}
    for tag in dataset.keys():  # noqa: SIM118  # iterating a dataset would convert what is still raw
        element = dataset.get_item(tag)
        assert element is not None
        value_at = element.value_tell if isinstance(element, RawDataElement) else element.file_tell
        implicit = dataset.file_meta.TransferSyntaxUID == uid.ImplicitVRLittleEndian
        is_long = str(element.VR) in ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")
        starts[int(tag)] = (value_at or 0) - (12 if is_long and not implicit else 8)
    return starts


WHOLE = [name for name, content in FILES.items() if isinstance(outcome(content), Header)]
# Those of which we know where their elements are.
FOLLOWED = [
    name
    for name in WHOLE
    if name not in NOT_AS_ANNOUNCED
    and (dataset := read_by_pydicom(name))
    and dataset.file_meta.TransferSyntaxUID != uid.DeflatedExplicitVRLittleEndian
]


def element(tag: int, vr: str, value: bytes | int) -> bytes:
    """Encode an element in explicit VR, little endian; a number is the length of a value that is to follow."""
    length = value if isinstance(value, int) else len(value)
    head = (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little") + vr.encode()
    is_long = vr in ("OB", "OW", "SQ", "UN")
    head += b"\0\0" + length.to_bytes(4, "little") if is_long else length.to_bytes(2, "little")
    return head if isinstance(value, int) else head + value


def element_in(transfer_syntax_uid: str, tag: int, vr: str, value: bytes, length: int | None = None) -> bytes:
    """Encode an element, an item or a delimiter in a native transfer syntax; it may say another length than it has."""
    order = ">" if transfer_syntax_uid == uid.ExplicitVRBigEndian else "<"
    length = len(value) if length is None else length
    head = struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF)
    if transfer_syntax_uid == uid.ImplicitVRLittleEndian or tag >> 16 == 0xFFFE:
        return head + struct.pack(f"{order}L", length) + value
    is_long = vr in ("OB", "OW", "SQ", "UN")
    return head + vr.encode() + struct.pack(f"{order}xxL" if is_long else f"{order}H", length) + value


def file_of(transfer_syntax_uid: str, dataset: bytes) -> bytes:
    """Put a dataset into a Part 10 file."""
    value = transfer_syntax_uid.encode() + b"\0" * (len(transfer_syntax_uid) % 2)
    return bytes(128) + b"DICM" + element(0x00020010, "UI", value) + dataset


UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = (
    b"\xfe\xff\x00\xe0\xff\xff\xff\xff",
    b"\xfe\xff\x0d\xe0\0\0\0\0",
    b"\xfe\xff\xdd\xe0\0\0\0\0",
)
SEQUENCE = element(0x00082112, "SQ", UNDEFINED)
IDENTIFIED = (
    element(0x00080016, "UI", b"1.1\0")
    + element(0x00080018, "UI", b"1.2\0")
    + element(0x0020000D, "UI", b"1.3\0")
    + element(0x0020000E, "UI", b"1.4\0")
)
PIXEL_DATA = 0x7FE00010
ENCAPSULATED = element(PIXEL_DATA, "OB", UNDEFINED) + ITEM[:4] + bytes(4)  # with an empty Basic Offset Table


def fragment(value: bytes | int) -> bytes:
    """Encode an item of encapsulated pixels; a number is the length of a value that is to follow."""
    length = value if isinstance(value, int) else len(value)
    return ITEM[:4] + length.to_bytes(4, "little") + (b"" if isinstance(value, int) else value)
