"""The local DICOM service sends one instance, or frames of one, in another transfer syntax than the stored one."""

from __future__ import annotations

import io
import struct
from typing import Any

import httpx
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileDataset

from local.dicom_service.instances import part10
from tests.kit.images import (
    BIG_ENDIAN,
    JPEG_2000,
    JPEG_2000_LOSSLESS,
    JPEG_LOSSLESS,
    RLE,
    compressed,
    image,
    stored,
)
from tests.kit.service import (
    EXPLICIT,
    IMPLICIT,
    STORED_INSTANCE,
    TEST_FILES,
    ServiceClient,
    service,
)

__all__ = ["service"]

RAMP = np.arange(1600, dtype=np.uint16).reshape(40, 40)
JP2 = 'multipart/related; type="image/jp2"'
NATIVE = "application/octet-stream"

# The file, and the statuses of: the instance in Explicit VR Little Endian, in JPEG 2000 lossless; a frame likewise.
TABLE = {
    "MR_small_implicit.dcm": (200, 200, 200, 200),
    "CT_small.dcm": (200, 200, 200, 200),
    "MR_small_bigendian.dcm": (200, 200, 200, 200),
    "image_dfl.dcm": (406, 406, 200, 406),  # deflated
    "examples_ybr_color.dcm": (200, 200, 200, 200),  # JPEG baseline, 30 frames
    "JPGExtended.dcm": (406, 406, 406, 406),
    "SC_rgb_jpeg_gdcm.dcm": (200, 200, 200, 200),  # JPEG lossless, selection value 1
    "MR_small_jpeg_ls_lossless.dcm": (406, 406, 406, 406),
    "MR_small_jp2klossless.dcm": (200, 200, 200, 200),
    "JPEG2000.dcm": (200, 200, 200, 200),
    "SC_rgb_rle_16bit_2frame.dcm": (200, 200, 200, 200),
    # What the JPEG 2000 encoder cannot do: more than 24 bits, one bit, fewer than 32 rows or columns.
    "rtdose_rle.dcm": (200, 406, 200, 406),
    "liver_expb_1frame.dcm": (200, 406, 200, 406),
    "SC_rgb_small_odd_big_endian.dcm": (200, 406, 200, 406),
    # What nothing can decode.
    "JPEG2000-embedded-sequence-delimiter.dcm": (406, 406, 406, 406),
    # What has no pixel data.
    "rtplan.dcm": (200, 200, 404, 404),
    "test-SR.dcm": (200, 200, 404, 404),
}
LOSSLESS = """
    MR_small_implicit.dcm CT_small.dcm MR_small_bigendian.dcm SC_rgb_jpeg_gdcm.dcm MR_small_jp2klossless.dcm
    JPEG2000.dcm 693_J2KI.dcm J2K_pixelrep_mismatch.dcm examples_jpeg2k.dcm SC_rgb_rle.dcm SC_rgb_rle_16bit_2frame.dcm
    rtdose_rle.dcm rtdose.dcm rtdose_expb.dcm liver_expb_1frame.dcm SC_rgb_small_odd_big_endian.dcm
    examples_palette.dcm examples_overlay.dcm SC_ybr_full_422_uncompressed.dcm MR_small_RLE.dcm
"""
ASKED = (EXPLICIT, JPEG_2000_LOSSLESS)
PIXEL_DATA = ("7FE00010", "00280004", "00280006")


def instance_in(service: ServiceClient, path: str, asked: str) -> httpx.Response:
    """Ask for an instance in a transfer syntax."""
    return service.get(path, f"application/dicom; transfer-syntax={asked}")


def read(content: bytes) -> FileDataset:
    """Read a file, without the warnings that pydicom has for some of its own."""
    part10.silence_pydicom()
    return pydicom.dcmread(io.BytesIO(content))


def transcoded(service: ServiceClient, content: bytes, asked: str) -> FileDataset:
    """Store a file and read it as the service transcodes it."""
    with stored(service, content) as path:
        response = instance_in(service, path, asked)
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == f"application/dicom; transfer-syntax={asked}"
    dataset = read(response.content)
    assert dataset.file_meta.TransferSyntaxUID == asked
    return dataset


def attributes(dataset: Dataset) -> dict[str, Any]:
    """Return all public attributes but those that say how the pixels are encoded."""
    found = dataset.to_json_dict(suppress_invalid_tags=True)
    return {
        tag: element
        for tag, element in found.items()
        if tag not in PIXEL_DATA and not tag.endswith("0000") and int(tag[:4], 16) % 2 == 0
    }


@pytest.mark.parametrize("name", TABLE)
def test_stored_by_asked(service: ServiceClient, name: str) -> None:
    """Each stored transfer syntax can be had in each asked one, or is 406; as it is stored it can always be had."""
    content = (TEST_FILES / name).read_bytes()
    with stored(service, content) as path:
        instances = [instance_in(service, path, asked).status_code for asked in ASKED]
        frames = [service.get(f"{path}/frames/1", accept).status_code for accept in (NATIVE, JP2)]
        assert (*instances, *frames) == TABLE[name]
        assert service.get(path, STORED_INSTANCE).content == content


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("name", LOSSLESS.split())
def test_samples_and_attributes_stay(service: ServiceClient, name: str, asked: str) -> None:
    """Every sample of every frame, every attribute and every UID is as it was."""
    content = (TEST_FILES / name).read_bytes()
    before = read(content)
    if asked == before.file_meta.TransferSyntaxUID or (asked == JPEG_2000_LOSSLESS and not encodable(before)):
        return
    after = transcoded(service, content, asked)
    assert (after.pixel_array == before.pixel_array).all()
    assert attributes(after) == attributes(before)
    meta = {element.tag: element.value for element in before.file_meta if element.tag not in (0x00020000, 0x00020010)}
    assert meta == {
        element.tag: element.value for element in after.file_meta if element.tag not in (0x00020000, 0x00020010)
    }
    assert after.PixelData is not None
    assert after["PixelData"].is_undefined_length == (asked == JPEG_2000_LOSSLESS)
    assert ("OW" if asked == EXPLICIT and before.BitsAllocated > 8 else "OB") == after["PixelData"].VR


def encodable(dataset: Dataset) -> bool:
    """Tell whether the JPEG 2000 encoder takes samples like these."""
    return dataset.BitsStored in range(8, 25) and min(dataset.Rows, dataset.Columns) in range(32, 65536)


@pytest.mark.parametrize(
    ("name", "asked", "photometric"),
    [
        ("examples_jpeg2k.dcm", EXPLICIT, "RGB"),  # YBR_RCT is undone by the decoder
        ("SC_ybr_full_422_uncompressed.dcm", JPEG_2000_LOSSLESS, "YBR_FULL"),
        ("examples_ybr_color.dcm", EXPLICIT, "RGB"),
        ("examples_ybr_color.dcm", JPEG_2000_LOSSLESS, "RGB"),
        ("examples_palette.dcm", JPEG_2000_LOSSLESS, "PALETTE COLOR"),
        ("SC_rgb_rle.dcm", EXPLICIT, "RGB"),
        ("MR_small_RLE.dcm", EXPLICIT, "MONOCHROME2"),
    ],
)
def test_photometric_interpretation(service: ServiceClient, name: str, asked: str, photometric: str) -> None:
    """It says what the samples are now, and colours are by pixel."""
    after = transcoded(service, (TEST_FILES / name).read_bytes(), asked)
    assert after.PhotometricInterpretation == photometric
    assert after.get("PlanarConfiguration", 0) == 0


def test_big_endian_values_are_turned_round(service: ServiceClient) -> None:
    """Numbers of every size, also in sequences and look-up tables, are the same in little endian."""
    dataset = read(image(RAMP).content)
    dataset.SimpleFrameList = [1, 70000]  # UL
    dataset.FrameIncrementPointer = 0x00181063  # AT
    dataset.ReferencePixelX0 = -70000  # SL
    dataset.RealWorldValueSlope = 2.5  # FD
    dataset.RecommendedDisplayFrameRateInFloat = 1.5  # FL
    dataset.VOILUTSequence = [Dataset()]
    dataset.VOILUTSequence[0].LUTDescriptor = [2, 0, 16]
    dataset.VOILUTSequence[0].add_new(0x00283006, "OW", b"\x01\x02\x03\x04")
    dataset.PixelData = RAMP.astype(">u2").tobytes()
    expected = attributes(dataset)
    buffer = io.BytesIO()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(BIG_ENDIAN)
    pydicom.dcmwrite(buffer, dataset, implicit_vr=False, little_endian=False)
    after = transcoded(service, buffer.getvalue(), EXPLICIT)
    assert after.VOILUTSequence[0][0x00283006].value == b"\x02\x01\x04\x03"
    assert after.VOILUTSequence[0].LUTDescriptor == [2, 0, 16]
    del after.VOILUTSequence
    expected.pop("00283010")
    assert attributes(after) == expected
    assert (after.pixel_array == RAMP).all()


@pytest.mark.parametrize(
    ("syntax", "fragments"),
    [
        (RLE, [b"1234"]),
        (RLE, [struct.pack("<16L", 2, 64, 64, *[0] * 13)]),
        (JPEG_2000, [b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0\0\0\0free"]),
        (JPEG_LOSSLESS, [b"\xff\xd8\xff\xd9"]),
        (JPEG_LOSSLESS, []),
        (EXPLICIT, [b"1234"]),
        (IMPLICIT, [b"1234"]),
    ],
)
def test_broken_pixel_data(service: ServiceClient, syntax: str, fragments: list[bytes]) -> None:
    """Pixel data that cannot be decoded is 406 before the answer has begun."""
    response = service.store(compressed(image(RAMP), syntax, *fragments))
    if response.status_code == 409:  # not even stored
        return
    (found,) = response.json()["00081199"]["Value"]
    path = found["00081190"]["Value"][0].removeprefix(f"{service.root}/v2")
    asked = JPEG_2000_LOSSLESS if syntax == EXPLICIT else EXPLICIT
    assert instance_in(service, path, asked).status_code == 406
    assert service.get(f"{path}/frames/1", JP2).status_code == 406
