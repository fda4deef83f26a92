"""Compressed frames that say what the dataset around them says: checked before a decoder believes them.

A few bytes can claim a picture of gigabytes, or expand to it.
"""

from __future__ import annotations

import struct

from pydicom.uid import JPEG2000TransferSyntaxes, JPEGLSTransferSyntaxes, JPEGTransferSyntaxes, RLELossless

from local.dicom_service.pictures.image_pixel import ImagePixel

_JP2_SIGNATURE = b"\0\0\0\x0cjP  "
_CODESTREAM_START = b"\xff\x4f\xff\x51"  # SOC and SIZ (ISO/IEC 15444-1 §A.4.1, §A.5.1)
_SIZE = struct.Struct(">LLLLLLLLH")  # Xsiz Ysiz XOsiz YOsiz XTsiz YTsiz XTOsiz YTOsiz Csiz
_MAX_TILES = 4096
# SOF0 to SOF15 without DHT, JPG and DAC, and SOF55 of JPEG-LS (ISO/IEC 10918-1 §B.1.1.3).
_START_OF_FRAME = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})
_RLE_HEADER = struct.Struct("<16L")


def check(transfer_syntax_uid: str, data: bytes, image: ImagePixel) -> None:
    """Check that a compressed frame decodes to the size that the dataset tells.

    Raises:
        ValueError: it does not, or cannot be read.
    """
    if transfer_syntax_uid in JPEG2000TransferSyntaxes:
        _require(_jpeg_2000_shape(data), image)
    elif transfer_syntax_uid in JPEGTransferSyntaxes or transfer_syntax_uid in JPEGLSTransferSyntaxes:
        _require(_jpeg_shape(data), image)
    elif transfer_syntax_uid == RLELossless:
        _check_rle(data, image)


def _require(shape: tuple[int, int, int], image: ImagePixel) -> None:
    if shape != (image.rows, image.columns, image.samples_per_pixel):
        raise ValueError("the codestream has another shape than the dataset")


def _jpeg_shape(data: bytes) -> tuple[int, int, int]:
    """Return rows, columns and components (ISO/IEC 10918-1 §B.2.2)."""
    offset = 2
    while len(header := data[offset : offset + 10]) == 10:
        marker, code, length, _, rows, columns, components = struct.unpack(">BBHBHHB", header)
        if marker != 0xFF:
            break
        if code in _START_OF_FRAME:
            return rows, columns, components
        # Fill bytes may stand before a marker.
        offset += 1 if code == 0xFF else 2 + length
    raise ValueError("no frame header")


def _jpeg_2000_shape(data: bytes) -> tuple[int, int, int]:
    start = _codestream_offset(data) if data.startswith(_JP2_SIGNATURE) else 0
    if data[start : start + 4] != _CODESTREAM_START:
        raise ValueError("no codestream")
    values = _SIZE.unpack_from(data, start + 8)
    (right, bottom, left, top), (tile_width, tile_height), components = values[:4], values[4:6], values[8]
    if not (tile_width and tile_height) or -(-right // tile_width) * -(-bottom // tile_height) > _MAX_TILES:
        raise ValueError("too many tiles")
    return bottom - top, right - left, components


def _codestream_offset(data: bytes) -> int:
    """Return where the codestream lies in a JP2 file (ISO/IEC 15444-1 §I.4)."""
    offset = 0
    while len(header := data[offset : offset + 8]) == 8:
        length, kind = struct.unpack(">L4s", header)
        if kind == b"jp2c":
            return offset + 8
        if length < 8:  # pydicom would go round in circles
            break
        offset += length
    raise ValueError("no codestream box")


def _check_rle(data: bytes, image: ImagePixel) -> None:
    """Check each segment (PS3.5 §G.3): it may be padded, but not decode to more than twice a plane."""
    count, *offsets = _RLE_HEADER.unpack_from(data)
    ends = [*offsets[1:count], len(data)]
    limit = 2 * image.frame_pixels + 2
    for start, end in zip(offsets[:count], ends, strict=True):
        if end - start > limit or _decoded_bytes(data[start:end]) > limit:
            raise ValueError("a segment is too long")


def _decoded_bytes(segment: bytes) -> int:
    decoded = position = 0
    while position < len(segment):
        control = segment[position]
        if control < 128:
            decoded += control + 1
            position += control + 2
        else:  # 128 says nothing
            decoded += 257 - control if control > 128 else 0
            position += 2 if control > 128 else 1
    return decoded
