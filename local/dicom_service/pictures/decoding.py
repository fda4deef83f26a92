"""One frame of a stored file → its samples. No other frame is read, and none that is larger than `MAX_BYTES`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.datadict import keyword_for_tag
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import convert_color_space
from pydicom.uid import UID, ExplicitVRBigEndian

from local.dicom_service.instances.part10 import Part10
from local.dicom_service.pictures import codestreams
from local.dicom_service.pictures.image_pixel import ImagePixel
from local.dicom_service.retrieve import pixel_data
from local.dicom_service.retrieve.pixel_data import PixelData, Slice

MAX_BYTES = 100 * 1024 * 1024

Samples = NDArray[Any]

_BAND_SAMPLES = 1024 * 1024


class Undecodable(ValueError):
    """The frame is broken, too large, or in an encoding that nothing here can read."""


@dataclass(frozen=True)
class Frame:
    """A decoded frame.

    `samples` has the shape (rows, columns), or (rows, columns, 3) where there are three samples per pixel, in this
    machine's byte order; `image` says what they are.
    """

    samples: Samples
    image: ImagePixel


class FrameDecoder:
    """Decodes the frames of a file, one at a time, while it is open.

    Raises:
        Undecodable: no frame of it can be.
    """

    def __init__(self, instance: Part10, pixels: PixelData) -> None:
        self._file = instance.file
        self._pixels = pixels
        self._syntax = instance.transfer_syntax_uid
        try:
            self.image = ImagePixel.of(instance.dataset)
            self._decoder = get_decoder(UID(self._syntax))
            self._fragments = self._all_fragments()
        except Exception:
            raise Undecodable from None
        if pixels.encapsulated != self._decoder.is_encapsulated or self.image.frame_bytes > MAX_BYTES:
            raise Undecodable

    def decode(self, index: int, *, as_rgb: bool) -> Frame:
        """Decode the frame at an index, with YBR_FULL samples made RGB ones or left as they are.

        Raises:
            Undecodable: it is missing, or cannot be decoded.
        """
        try:
            data = self._encoded(index)
            if self._pixels.encapsulated:
                codestreams.check(self._syntax, data, self.image)
                data = pixel_data.item(b"") + pixel_data.item(data)
            return self._decoded(data, as_rgb)
        except Exception:  # decoders raise what their parsing happens to trip over
            raise Undecodable from None

    def _decoded(self, data: bytes, as_rgb: bool) -> Frame:
        options = {**self.image.options(), "number_of_frames": 1, "pixel_keyword": keyword_for_tag(self._pixels.tag)}
        samples, found = self._decoder.as_array(data, index=0, raw=True, **options)
        samples = samples.astype(samples.dtype.newbyteorder("="), copy=False)
        colours = str(found["photometric_interpretation"])
        if colours in ("YBR_FULL", "YBR_FULL_422"):
            colours = "RGB" if as_rgb else "YBR_FULL"  # decoded, no two pixels share their chrominance
            if as_rgb:
                _make_rgb(samples)
        return Frame(samples, replace(self.image, photometric_interpretation=colours, planar_configuration=0))

    def _all_fragments(self) -> list[list[Slice]]:
        if not self._pixels.encapsulated:
            return []
        return pixel_data.frames(self._file, self._pixels, self._file.seek(0, os.SEEK_END))

    def _encoded(self, index: int) -> bytes:
        if self._pixels.encapsulated:
            return b"".join(self._read(fragment) for fragment in self._fragments[index])
        where, late_bits = pixel_data.native_frame(self._pixels, index)
        if self._in_words:
            return self._read_words(where)
        bits = self._pixels.bits_per_frame
        return pixel_data.shifted(self._read(where), late_bits, bits) if bits % 8 else self._read(where)

    @property
    def _in_words(self) -> bool:
        """Tell whether bytes are written as the halves of big endian words (PS3.5 §8.1.1, Annex D)."""
        return self._syntax == ExplicitVRBigEndian and self._pixels.vr == "OW" and self.image.bits_allocated == 8

    def _read_words(self, where: Slice) -> bytes:
        lead = (where.offset - self._pixels.offset) % 2
        words = self._read(Slice(where.offset - lead, -(-(lead + where.length) // 2) * 2))
        return np.frombuffer(words, "u2").byteswap().tobytes()[lead : lead + where.length]

    def _read(self, where: Slice) -> bytes:
        if where.length > MAX_BYTES:
            raise Undecodable
        self._file.seek(where.offset)
        return self._file.read(where.length)


def bands(samples: Samples) -> Iterator[slice]:
    """Yield all rows, some at a time: while a sample is converted it takes eight bytes or more."""
    rows = max(1, _BAND_SAMPLES // max(1, samples[0].size))
    for start in range(0, len(samples), rows):
        yield slice(start, start + rows)


def _make_rgb(samples: Samples) -> None:
    """Convert YBR_FULL samples in place."""
    for band in bands(samples):
        samples[band] = convert_color_space(samples[band], "YBR_FULL", "RGB")
