"""A DICOM Part 10 file (PS3.10 §7) → its dataset and the place of its pixel data, which is never read.

Memory is bounded by what lies outside pixel data and other values above `DEFER_BYTES`, save those of sequences;
and never more than `metered` allows.
"""

from __future__ import annotations

import logging
import os
import struct
import sys
import tempfile
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, cast

import pydicom
from pydicom import Dataset, FileDataset, charset
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomFileLike
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_file_meta_info
from pydicom.tag import BaseTag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from local.dicom_service.instances import element_values, uids
from local.dicom_service.instances.element_values import Encoding
from local.dicom_service.instances.metered import MeteredFile
from local.dicom_service.instances.raw_elements import elements_of, raw_element
from local.dicom_service.retrieve.pixel_data import TAGS, UNDEFINED_LENGTH, PixelData, end_of

_PREFIX = b"DICM"
_PREFIX_END = 128 + len(_PREFIX)
_META_GROUP = b"\2\0"  # group 0002, in little endian
DEFER_BYTES = 1024 * 1024
_CHUNK_BYTES = 1024 * 1024
_SAMPLES_PER_PIXEL = BaseTag(0x00280002)
_PHOTOMETRIC_INTERPRETATION = BaseTag(0x00280004)
_NUMBER_OF_FRAMES = BaseTag(0x00280008)
_ROWS = BaseTag(0x00280010)
_COLUMNS = BaseTag(0x00280011)
_BITS_ALLOCATED = BaseTag(0x00280100)
_EXTENDED_OFFSET_TABLE = BaseTag(0x7FE00001)
_SEQUENCE_DELIMITERS = (b"\xfe\xff\xdd\xe0\0\0\0\0", b"\xff\xfe\xe0\xdd\0\0\0\0")
_LONG_LENGTH_VRS = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"UN")


class NotPart10(ValueError):
    """The file cannot be read as a DICOM file, or ends before its dataset does."""


@dataclass(frozen=True)
class Part10:
    """A file that was read; `file` stays open while `opened` is entered. `metered` is it too, within bounds."""

    transfer_syntax_uid: str
    dataset: Dataset
    pixel_data: PixelData | None
    file: BinaryIO
    metered: MeteredFile


def silence_pydicom() -> None:
    """Keep pydicom and its decoders from warning and logging: they quote values."""
    warnings.filterwarnings("ignore", module=r"(pydicom|libjpeg|openjpeg)(\.|$)")
    for name in ("pydicom", "libjpeg", "openjpeg"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE


@contextmanager
def opened(path: Path, *, preamble_required: bool = False, max_bytes: int | None = None) -> Iterator[Part10]:
    """Read a file's dataset and keep the file open; `max_bytes` is how large a deflated one may become.

    Raises:
        NotPart10: it cannot be read, is cut short or too much, or has no preamble and prefix (PS3.10 §7.1) where they
            are required.
    """
    silence_pydicom()
    if preamble_required and _meta_start(path) == 0:
        raise NotPart10
    with plain_file(path, max_bytes) as file:
        instance = _parsed(file)
        is_copy = file.name != str(path)  # which names the encoding that it has itself
        yield replace(instance, transfer_syntax_uid=str(DeflatedExplicitVRLittleEndian)) if is_copy else instance


@contextmanager
def plain_file(path: Path, max_bytes: int | None = None) -> Iterator[BinaryIO]:
    """Open a file; a deflated one (PS3.5 §A.5) as a temporary explicit VR copy, so that its values have offsets.

    Raises:
        NotPart10: it has no file meta information, or cannot be inflated, or to more than `max_bytes`.
    """
    start = _meta_start(path)
    try:
        meta = _file_meta(path, start)
        deflated = meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian
    except Exception:  # pydicom raises what its parsing happens to trip over
        raise NotPart10 from None
    if not deflated:
        with path.open("rb") as file:
            yield file
        return
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix="inflated-") as copy:
        _inflate(path, start, meta, cast(BinaryIO, copy.file), max_bytes or sys.maxsize)
        with Path(copy.name).open("rb") as file:
            yield file


def _meta_start(path: Path) -> int:
    """Return where the file meta information begins: after preamble and prefix, or at once.

    Raises:
        NotPart10: neither stands there.
    """
    with path.open("rb") as file:
        head = file.read(_PREFIX_END)
    if head.endswith(_PREFIX) and len(head) == _PREFIX_END:
        return _PREFIX_END
    if not head.startswith(_META_GROUP):
        raise NotPart10
    return 0


def _file_meta(path: Path, start: int) -> FileMetaDataset:
    with path.open("rb") as file:
        file.seek(start)
        return FileMetaDataset(
            read_dataset(
                cast(BinaryIO, MeteredFile(file)), is_implicit_VR=False, is_little_endian=True, stop_when=_is_after_meta
            )
        )


def _is_after_meta(tag: BaseTag, vr: str | None, length: int) -> bool:
    return tag.group != 2


def _inflate(path: Path, start: int, meta: FileMetaDataset, copy: BinaryIO, max_bytes: int) -> None:
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    copy.write(b"\0" * 128 + _PREFIX)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        meta_end = start + 12 + meta.FileMetaInformationGroupLength
        write_file_meta_info(DicomFileLike(copy), meta, enforce_standard=False)
        with path.open("rb") as file:
            file.seek(meta_end)
            while not inflater.eof and (chunk := file.read(_CHUNK_BYTES)):
                _write_inflated(inflater, chunk, copy, max_bytes)
    except Exception:
        raise NotPart10 from None
    if not inflater.eof:
        raise NotPart10
    copy.flush()


def _write_inflated(inflater: zlib._Decompress, chunk: bytes, copy: BinaryIO, max_bytes: int) -> None:
    # A small chunk may inflate a thousandfold: take it out in bounded pieces.
    while chunk:
        copy.write(inflater.decompress(chunk, _CHUNK_BYTES))
        if copy.tell() > max_bytes:
            raise NotPart10
        chunk = inflater.unconsumed_tail


def _parsed(file: BinaryIO) -> Part10:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    metered = MeteredFile(file)
    try:
        dataset = pydicom.dcmread(cast(BinaryIO, metered), defer_size=DEFER_BYTES, stop_before_pixels=True, force=True)
        pixel_data = _pixel_data(file, dataset)
        if pixel_data is not None:
            file.seek(end_of(file, pixel_data, size))
            _add_rest(metered, dataset)
        transfer_syntax = _transfer_syntax(dataset)
        is_whole = _is_whole(file, dataset, pixel_data, size)
    except Exception:
        raise NotPart10 from None
    if not is_whole or not uids.is_valid(transfer_syntax):
        raise NotPart10
    return Part10(transfer_syntax, dataset, pixel_data, file, metered)


def _transfer_syntax(dataset: FileDataset) -> str:
    """Return the transfer syntax, guessed from the encoding where the file does not name it."""
    implicit, little_endian = dataset.original_encoding
    guess = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    if not little_endian:
        guess = ExplicitVRBigEndian
    return str(dataset.file_meta.get("TransferSyntaxUID") or guess)


def _pixel_data(file: BinaryIO, dataset: FileDataset) -> PixelData | None:
    """Read the header of the element that pydicom stopped before."""
    start = file.tell()
    _, little_endian = dataset.original_encoding
    order = "<" if little_endian else ">"
    header = file.read(12)
    if len(header) < 8:
        return None
    group, element = struct.unpack(f"{order}HH", header[:4])
    tag = group << 16 | element
    if tag not in TAGS:
        return None
    explicit = header[4:6] in _LONG_LENGTH_VRS
    (length,) = struct.unpack(f"{order}L", header[8:12] if explicit else header[4:8])
    return PixelData(
        offset=start + (12 if explicit else 8),
        length=length,
        number_of_frames=_number(dataset, _NUMBER_OF_FRAMES, "IS") or 1,
        bits_per_frame=_bits_per_frame(dataset),
        extended_offsets=_extended_offsets(dataset),
        tag=tag,
        vr=header[4:6].decode() if explicit else "",
    )


def _bits_per_frame(dataset: Dataset) -> int:
    rows, columns, allocated = (_number(dataset, tag, "US") for tag in (_ROWS, _COLUMNS, _BITS_ALLOCATED))
    bits = rows * columns * allocated * (_number(dataset, _SAMPLES_PER_PIXEL, "US") or 1)
    # Two pixels share their chrominance (PS3.3 §C.7.6.3.1.2).
    return bits * 2 // 3 if _value(dataset, _PHOTOMETRIC_INTERPRETATION, "CS") == "YBR_FULL_422" else bits


def _number(dataset: Dataset, tag: BaseTag, vr: str) -> int:
    value = _value(dataset, tag, vr)
    return max(0, value) if isinstance(value, int) else 0


def _value(dataset: Dataset, tag: BaseTag, vr: str) -> Any:
    """Return an element's first value. Asking the dataset for it would replace the bytes that are read later."""
    element = raw_element(dataset, tag)
    if element is None or element.value is None:
        return None
    encoding = Encoding([charset.default_encoding], element.is_little_endian)
    return next(iter(element_values.read(vr, element.value, encoding).json), None)


def _extended_offsets(dataset: Dataset) -> tuple[int, int] | None:
    element = raw_element(dataset, _EXTENDED_OFFSET_TABLE)
    return (element.value_tell, element.length) if element is not None else None


def _add_rest(file: MeteredFile, dataset: FileDataset) -> None:
    implicit, little_endian = dataset.original_encoding
    content = cast(BinaryIO, file)
    rest = read_dataset(content, bool(implicit), bool(little_endian), defer_size=DEFER_BYTES)
    # `Dataset.update` would convert private elements, and others on their way: their bytes are read later.
    dataset._dict.update(rest.items())


def _is_whole(file: BinaryIO, dataset: FileDataset, pixel_data: PixelData | None, size: int) -> bool:
    """Tell whether the file ends where the element read last does: pydicom takes one that is cut short."""
    last = max((element for _, element in elements_of(dataset) if element is not None), key=_position, default=None)
    if last is None or (pixel_data is not None and _position(last) < pixel_data.offset):
        return pixel_data is not None  # whose end was found
    if isinstance(last, RawDataElement) and last.length != UNDEFINED_LENGTH:
        return last.value_tell + last.length == size
    file.seek(max(0, size - 8))
    return file.read(8) in _SEQUENCE_DELIMITERS


def _position(element: RawDataElement | DataElement) -> int:
    return element.value_tell if isinstance(element, RawDataElement) else element.file_tell or 0
