"""A decoded frame → a picture: the grayscale pipeline (PS3.4 §N.2.1) or colour, in eight bits, as JPEG or PNG."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut, apply_windowing

from local.dicom_service.pictures.decoding import MAX_BYTES, Frame, Samples, Undecodable, bands
from local.dicom_service.retrieve.accept import JPEG

Picture = NDArray[np.uint8]

GROUPS = frozenset({0x0028, 0x5200})  # the windows and look-up tables, also of frames
_LARGEST_TABLE = 65536
_FUNCTIONAL_GROUPS = ("PixelValueTransformationSequence", "FrameVOILUTSequence")
_WINDOW = ("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence")


def encoded(picture: Picture, media_type: str, quality: int) -> bytes:
    """Return a picture as JPEG or PNG; `quality` is from 1 to 100, and of no meaning to PNG.

    Raises:
        Undecodable: it is longer or wider than the format allows.
    """
    file = io.BytesIO()
    options: dict[str, Any] = {"quality": quality} if media_type == JPEG else {}
    try:
        Image.fromarray(picture).save(file, "JPEG" if media_type == JPEG else "PNG", **options)
    except (OSError, ValueError, MemoryError):
        raise Undecodable from None
    return file.getvalue()


def picture_of(frame: Frame, dataset: Dataset, index: int) -> Picture:
    """Return the frame at an index of an instance as it should be shown: (rows, columns), or (rows, columns, 3) in RGB.

    The first window or VOI LUT counts; without a usable one the frame's own range is spread over black to white.

    Raises:
        Undecodable: it has a colour space, or a look-up table, that cannot be understood.
    """
    colours = 1 if frame.image.photometric_interpretation.startswith("MONOCHROME") else 3
    if frame.image.frame_pixels * colours > MAX_BYTES:
        raise Undecodable
    try:
        with np.errstate(all="ignore"):
            return _picture(frame, _with_functional_groups(dataset, index))
    except Exception:  # pydicom raises what its parsing happens to trip over
        raise Undecodable from None


def _picture(frame: Frame, dataset: Dataset) -> Picture:
    samples, image = frame.samples, frame.image
    if image.photometric_interpretation in ("MONOCHROME1", "MONOCHROME2"):
        return _each(samples, _grays(samples, dataset, inverted=image.photometric_interpretation == "MONOCHROME1"))
    if image.photometric_interpretation == "PALETTE COLOR":
        return _colours(dataset)(samples)
    if image.photometric_interpretation != "RGB":
        raise Undecodable
    white = 2**image.bits_stored - 1
    return samples.astype(np.uint8) if white == 255 else _each(samples, lambda values: _spread(values, 0, white))


def _with_functional_groups(dataset: Dataset, index: int) -> Dataset:
    """Put what the functional groups of a frame say (PS3.3 §C.7.6.16) where the other instances have it."""
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or []
    for group in (*shared[:1], *per_frame[index : index + 1]):
        for keyword in _FUNCTIONAL_GROUPS:
            for values in (group.get(keyword) or [])[:1]:
                dataset.update(values)
    return dataset


def _grays(samples: Samples, dataset: Dataset, *, inverted: bool) -> Callable[[Samples], Picture]:
    """Return what makes grays of stored values."""
    if _has_usable_window(dataset):
        black, white = _voi_range(dataset)
    else:
        for keyword in _WINDOW:
            dataset.pop(keyword, None)
        black, white = _range(apply_modality_lut(_span(samples), dataset))
    if inverted:
        black, white = white, black
    return lambda values: _spread(apply_voi_lut(apply_modality_lut(values, dataset), dataset), black, white)


def _has_usable_window(dataset: Dataset) -> bool:
    if not dataset.get("VOILUTSequence") and None in (dataset.get("WindowCenter"), dataset.get("WindowWidth")):
        return False
    try:
        apply_voi_lut(np.zeros(1), dataset)
    except Exception:  # such as a width of zero
        return False
    return True


def _voi_range(dataset: Dataset) -> tuple[float, float]:
    """Return what the VOI transformation makes of the darkest and the brightest."""
    if dataset.get("VOILUTSequence"):
        return 0, 2 ** int(dataset.VOILUTSequence[0].LUTDescriptor[2]) - 1
    black, white = apply_windowing(np.array([-np.inf, np.inf]), dataset)
    return float(black), float(white)


def _span(samples: Samples) -> Samples:
    """Return the values that may stand between the smallest and the largest sample; only these two if they are many."""
    low, high = _range(samples)
    if samples.dtype.kind == "f" or high - low >= _LARGEST_TABLE:
        return np.array([low, high])
    return np.arange(int(low), int(high) + 1)


def _range(values: Samples) -> tuple[float, float]:
    return values.min().item(), values.max().item()


def _spread(values: Samples, black: float, white: float) -> Picture:
    """Scale values from black to white to the range from 0 to 255; where the two are one, all is black."""
    if black == white:
        return np.zeros(values.shape, np.uint8)
    scaled = (values.astype(np.float64) - black) * (255 / (white - black))
    return np.rint(np.clip(np.nan_to_num(scaled), 0, 255)).astype(np.uint8)


def _each(samples: Samples, convert: Callable[[Samples], Picture]) -> Picture:
    """Convert each sample; where they have at most 16 bits, by a table of all their values."""
    if samples.dtype.kind == "f" or samples.dtype.itemsize > 2:
        return _in_bands(samples, convert)
    unsigned = np.dtype(f"u{samples.dtype.itemsize}")
    every_value = np.arange(2 ** (8 * unsigned.itemsize), dtype=unsigned).view(samples.dtype)
    table = convert(every_value)
    return _in_bands(samples, lambda band: table[band.view(unsigned)], table.shape[1:])


def _in_bands(samples: Samples, convert: Callable[[Samples], Picture], of_each: tuple[int, ...] = ()) -> Picture:
    picture = np.empty((*samples.shape, *of_each), np.uint8)
    for band in bands(samples):
        picture[band] = convert(samples[band])
    return picture


def _colours(dataset: Dataset) -> Callable[[Samples], Picture]:
    """Return what looks stored values up in the palette (PS3.3 §C.7.9)."""

    def look_up(values: Samples) -> Picture:
        colours = apply_color_lut(values, dataset)[..., :3]
        return _spread(colours, 0, 2 ** (8 * colours.dtype.itemsize) - 1)

    return lambda samples: _each(samples, look_up)
