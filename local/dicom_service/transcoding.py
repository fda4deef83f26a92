"""What the service would transcode (PS3.18 §8.7.3.5), and what it refuses to."""

from __future__ import annotations

from pydicom.uid import (
    JPEG2000,
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

from local.dicom_service.accept import STORED
from local.dicom_service.errors import not_acceptable
from local.dicom_service.not_yet import TRANSCODING

MAX_BYTES = 100 * 1024 * 1024
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


def require_same(stored: str, asked: str, file_bytes: int) -> None:
    """Check that an instance can be sent as it is stored.

    Raises:
        ServiceError: 406 where the service would not transcode either, 501 where it would.
    """
    if asked in (STORED, stored):
        return
    if stored not in _SOURCES or file_bytes > MAX_BYTES:
        raise not_acceptable("The instance cannot be transcoded to the transfer syntax that is asked for.")
    raise TRANSCODING.error()
