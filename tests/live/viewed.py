"""What viewers and clients look at: the studies of an invented patient, dropped into the inbox of a running stack."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

from pydicom import dcmread
from pydicom.uid import generate_uid

from local import samples
from local.stack import Stack
from tests.kit.drop_box import DropBox

from .real_files import RealFile, real_file

PATIENT = {"PatientName": "Synthetic^Ada", "PatientID": "SYN-0815"}
STUDY = {"AccessionNumber": "ACC-SYN-1", "StudyDescription": "Chest, synthetic", "StudyDate": "20240215"}
_SLICES = 5
# Several frames, no picture, a palette, and each way in which pictures are encoded.
_OTHERS = (
    "rtdose.dcm",
    "test-SR.dcm",
    "examples_palette.dcm",
    "examples_rgb_color.dcm",
    "SC_ybr_full_422_uncompressed.dcm",
    "MR_small_bigendian.dcm",
    "image_dfl.dcm",
    "examples_ybr_color.dcm",
    "SC_rgb_jpeg_gdcm.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "MR_small_jp2klossless.dcm",
    "693_J2KI.dcm",
    "examples_jpeg2k.dcm",
    "MR_small_RLE.dcm",
    "SC_rgb_rle_2frame.dcm",
)


@dataclass(frozen=True)
class Viewed:
    """A CT of several slices, in their order, and other files, each alone in its study, by pydicom's names."""

    ct: list[RealFile]
    others: dict[str, RealFile]


def drop(stack: Stack) -> Viewed:
    """Drop everything and return it once the app has stored it."""
    viewed = Viewed(_slices(), {name: real_file(name, **PATIENT) for name in _OTHERS})
    box = DropBox(stack)
    contents = {f"live/{number}": file.content for number, file in enumerate([*viewed.ct, *viewed.others.values()])}
    etags = {name: box.drop(name, content) for name, content in contents.items()}
    for name, etag in etags.items():
        receipt = box.receipt(name, etag)
        assert receipt["verdict"] in ("stored", "stored_with_warnings"), receipt
    return viewed


def _slices() -> list[RealFile]:
    """Return the series; each slice is turned about by some more rows."""
    uids = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid()}
    return [_slice(number, **uids) for number in range(1, _SLICES + 1)]


def _slice(number: int, **uids: str) -> RealFile:
    ct = dcmread(BytesIO(samples.pydicom_file("CT_small.dcm")))
    begin = 7 * number * 2 * ct.Columns
    pixels = ct.PixelData[begin:] + ct.PixelData[:begin]
    return real_file("CT_small.dcm", **PATIENT, **STUDY, **uids, InstanceNumber=number, PixelData=pixels)
