"""A stored file, or frames of it, in another transfer syntax (PS3.18 §8.7.3.5): which ones the service makes, and how.

What is made is written to a temporary file; at no time is more than one decoded frame in memory.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import BufferedRandom
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import numpy as np
from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import FileDataset
from pydicom.pixels.encoders.base import get_encoder
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    RLELossless,
)

from local.dicom_service.instances import explicit_vr, part10
from local.dicom_service.instances.part10 import Part10
from local.dicom_service.pictures.decoding import MAX_BYTES, Frame, FrameDecoder, Undecodable
from local.dicom_service.pictures.image_pixel import ImagePixel
from local.dicom_service.retrieve import pixel_data
from local.dicom_service.retrieve.pixel_data import PIXEL_DATA, PixelData, Slice

_SOURCES = frozenset(
    {
        ImplicitVRLittleEndian,
        ExplicitVRLittleEndian,
        ExplicitVRBigEndian,
        JPEGBaseline8Bit,
        JPEGLossless,
        JPEGLosslessSV1,
        JPEG2000,
        JPEG2000Lossless,
        RLELossless,
    }
)
# Their uncompressed frames are the same bytes: only the dataset around them differs.
LITTLE_ENDIAN_NATIVE = frozenset({ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian})
_EXTENDED_OFFSET_TABLES = (0x7FE00001, 0x7FE00002)
_COPY_BYTES = 1024 * 1024


class Transcoded(NamedTuple):
    """What was made: a temporary file without a name, gone when it is closed, and what of it is each result."""

    file: BinaryIO
    slices: list[Slice]


def transcoded_file(path: Path, stored: str, asked: str) -> Transcoded:
    """Return a file that is stored in one transfer syntax in another: Explicit VR Little Endian or JPEG 2000 lossless.

    Without pixel data only the encoding of the dataset changes.

    Raises:
        Undecodable: the service does not transcode it, or cannot.
        FileNotFoundError: it was deleted.
    """
    with _source(path, stored) as source, _scratch(path.parent) as pixels, _result(path.parent) as result:
        dataset = explicit_vr.convert(source)
        if source.pixel_data is not None:
            _put_pixel_data(dataset, source, source.pixel_data, asked, pixels)
        meta = cast(FileDataset, source.dataset).file_meta
        meta.TransferSyntaxUID = UID(asked)
        explicit_vr.write(result, cast(FileDataset, source.dataset).preamble or b"", meta, dataset)
        return Transcoded(result, [Slice(0, result.tell())])


def transcoded_frames(path: Path, stored: str, asked: str, indexes: list[int]) -> Transcoded:
    """Return frames of a file as `transcoded_file` would have them in its own.

    Raises:
        Undecodable: the service does not transcode them, or cannot.
        FileNotFoundError: the file was deleted.
    """
    with _source(path, stored) as source, _result(path.parent) as result:
        if source.pixel_data is None:
            raise Undecodable
        decoder = _decoder(source, source.pixel_data, len(indexes))
        slices = []
        for index in indexes:
            data = _encoded(_decoded(source, decoder, index), asked)
            slices.append(Slice(result.tell(), len(data)))
            result.write(data)
        return Transcoded(result, slices)


@contextmanager
def _source(path: Path, stored: str) -> Iterator[Part10]:
    if path.stat().st_size > MAX_BYTES or stored not in _SOURCES:
        raise Undecodable
    try:
        with part10.opened(path) as source:
            yield source
    except FileNotFoundError:
        raise
    except Exception:  # pydicom raises what its parsing happens to trip over
        raise Undecodable from None


@contextmanager
def _scratch(folder: Path) -> Iterator[BufferedRandom]:
    with tempfile.TemporaryFile(dir=folder) as file:
        yield file


@contextmanager
def _result(folder: Path) -> Iterator[BinaryIO]:
    """Open a temporary file, which is closed only if something goes wrong."""
    with ExitStack() as stack:
        file = stack.enter_context(tempfile.TemporaryFile(dir=folder))
        yield file
        file.flush()
        stack.pop_all()


def _put_pixel_data(dataset: Dataset, source: Part10, pixels: PixelData, asked: str, content: BufferedRandom) -> None:
    """Add the pixel data, which is written to `content`, and what has to be said of it."""
    if asked == ExplicitVRLittleEndian and source.transfer_syntax_uid in LITTLE_ENDIAN_NATIVE:
        _copy(source.file, pixels, content)
    else:
        _describe(dataset, _write_frames(source, pixels, asked, content))
    _pad(content)
    element = DataElement(pixels.tag, _pixel_vr(dataset, pixels, asked), content)
    element.is_undefined_length = asked != ExplicitVRLittleEndian
    dataset.add(element)


def _copy(file: BinaryIO, pixels: PixelData, content: BufferedRandom) -> None:
    if pixels.encapsulated:
        raise Undecodable
    file.seek(pixels.offset)
    left = pixels.length
    while left and (chunk := file.read(min(_COPY_BYTES, left))):
        content.write(chunk)
        left -= len(chunk)


def _write_frames(source: Part10, pixels: PixelData, asked: str, content: BufferedRandom) -> ImagePixel:
    """Write every frame and return what the last is like."""
    decoder = _decoder(source, pixels, pixels.number_of_frames)
    is_compressed = asked != ExplicitVRLittleEndian
    if is_compressed:
        content.write(pixel_data.item(b""))  # an empty Basic Offset Table: each frame is one fragment
    for index in range(pixels.number_of_frames):
        frame = _decoded(source, decoder, index)
        data = _encoded(frame, asked)
        content.write(pixel_data.item(data) if is_compressed else data)
    return frame.image


def _describe(dataset: Dataset, image: ImagePixel) -> None:
    for tag in _EXTENDED_OFFSET_TABLES:
        dataset.pop(tag, None)
    dataset.PhotometricInterpretation = image.photometric_interpretation
    if image.samples_per_pixel > 1:
        dataset.PlanarConfiguration = image.planar_configuration


def _pad(content: BufferedRandom) -> None:
    if content.tell() % 2:
        content.write(b"\0")
    content.seek(0)


def _pixel_vr(dataset: Dataset, pixels: PixelData, asked: str) -> str:
    if asked != ExplicitVRLittleEndian:
        return "OB"
    if pixels.tag != PIXEL_DATA:
        return dictionary_VR(pixels.tag)
    return "OB" if int(dataset.get("BitsAllocated") or 16) <= 8 else "OW"


def _decoder(source: Part10, pixels: PixelData, frames: int) -> FrameDecoder:
    decoder = FrameDecoder(source, pixels)
    if frames * decoder.image.frame_bytes > MAX_BYTES:
        raise Undecodable
    return decoder


def _decoded(source: Part10, decoder: FrameDecoder, index: int) -> Frame:
    # What was compressed with loss is made RGB, as it is meant to be seen; no other sample may change.
    return decoder.decode(index, as_rgb=source.transfer_syntax_uid == JPEGBaseline8Bit)


def _encoded(frame: Frame, asked: str) -> bytes:
    if asked == JPEG2000Lossless:
        options = {**frame.image.options(), "number_of_frames": 1}
        return get_encoder(JPEG2000Lossless).encode(frame.samples, **options)
    if frame.image.bits_allocated == 1:
        return np.packbits(frame.samples.ravel(), bitorder="little").tobytes()
    return frame.samples.astype(frame.samples.dtype.newbyteorder("<"), copy=False).tobytes()
