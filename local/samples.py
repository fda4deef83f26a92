"""Real DICOM files to try things on: the three instances of Microsoft's DICOMweb tutorial, drawn, and pydicom's own."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

# The UIDs of the tutorial: one study, two series.
_ROOT = "1.2.826.0.1.3680043.8.498."
TUTORIAL_STUDY = _ROOT + "13230779778012324449356534479549187420"
_SERIES_OF_ANGLES = _ROOT + "45787841905473114233124723359129632652"
_SERIES_OF_CIRCLES = _ROOT + "77033797676425927098669402985243398207"

_ROWS, _COLUMNS = 979, 985
_GREY = (195, 195, 195)

Pixels = npt.NDArray[np.uint8]


def red_triangle() -> bytes:
    """Return the tutorial's `red-triangle.dcm`: a red triangle on grey, 979 x 985 RGB, a Part 10 file."""
    row, column = _grid()
    inside = (np.abs(column - _COLUMNS / 2) < (row - 150) * 0.55) & (row > 150) & (row < 830)
    sop_instance_uid = _ROOT + "47359123102728459884412887463296905395"
    return _part10("Red Triangle", _draw(inside, (237, 28, 36)), _SERIES_OF_ANGLES, 1, sop_instance_uid, 1)


def green_square() -> bytes:
    """Return the tutorial's `green-square.dcm`."""
    row, column = _grid()
    inside = (np.abs(column - _COLUMNS / 2) < 300) & (np.abs(row - _ROWS / 2) < 300)
    sop_instance_uid = _ROOT + "12714725698140337137334606354172323212"
    return _part10("Green Square", _draw(inside, (34, 177, 76)), _SERIES_OF_ANGLES, 1, sop_instance_uid, 2)


def blue_circle() -> bytes:
    """Return the tutorial's `blue-circle.dcm`."""
    row, column = _grid()
    inside = np.hypot(column - _COLUMNS / 2, row - _ROWS / 2) < 320
    sop_instance_uid = _ROOT + "13273713909719068980354078852867170114"
    return _part10("Blue Circle", _draw(inside, (63, 72, 204)), _SERIES_OF_CIRCLES, 2, sop_instance_uid, 1)


def tutorial() -> dict[str, bytes]:
    """Return the tutorial's three files by name."""
    return {
        "red-triangle.dcm": red_triangle(),
        "green-square.dcm": green_square(),
        "blue-circle.dcm": blue_circle(),
    }


def pydicom_folder() -> Path:
    """Return the folder of pydicom's own test files (its function for finding them tries to download more)."""
    return Path(pydicom.__file__).parent / "data" / "test_files"


def pydicom_file(name: str) -> bytes:
    """Return one of pydicom's own test files."""
    return (pydicom_folder() / name).read_bytes()


def with_other_pixels(part10: bytes) -> bytes:
    """Return a native instance under the same UIDs with its last pixel changed."""
    return part10[:-1] + bytes([part10[-1] ^ 0xFF])


def _grid() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    row, column = np.mgrid[0:_ROWS, 0:_COLUMNS]
    return row.astype(np.float64), column.astype(np.float64)


def _draw(inside: npt.NDArray[np.bool_], color: tuple[int, int, int]) -> Pixels:
    pixels = np.full((_ROWS, _COLUMNS, 3), _GREY, dtype=np.uint8)
    pixels[inside] = color
    return pixels


def _part10(
    shape: str, pixels: Pixels, series_instance_uid: str, series: int, sop_instance_uid: str, instance: int
) -> bytes:
    meta = _file_meta(UID(sop_instance_uid))
    dataset = FileDataset("", _attributes(shape), file_meta=meta, preamble=bytes(128))
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.SeriesInstanceUID = series_instance_uid
    dataset.SeriesNumber = series
    dataset.InstanceNumber = instance
    dataset.add_new("PixelData", "OB", pixels.tobytes() + bytes(pixels.size % 2))
    file = BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def _file_meta(sop_instance_uid: UID) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = sop_instance_uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return meta


def _attributes(shape: str) -> Dataset:
    """Return what the tutorial's files say of their invented patient."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.StudyDate = "20200922"
    dataset.StudyTime = "120000"
    dataset.AccessionNumber = ""
    dataset.Modality = "OT"
    dataset.ConversionType = "SYN"
    dataset.ReferringPhysicianName = "Doctor Doc"
    dataset.PatientName = "Anony Mous"
    dataset.PatientID = "ID1"
    dataset.PatientBirthDate = ""
    dataset.PatientSex = "F"
    dataset.PatientAge = "024Y"
    dataset.StudyInstanceUID = TUTORIAL_STUDY
    dataset.StudyID = "1"
    dataset.ImageComments = f"Fake DICOM - {shape}"
    dataset.SamplesPerPixel = 3
    dataset.PhotometricInterpretation = "RGB"
    dataset.PlanarConfiguration = 0
    dataset.Rows = _ROWS
    dataset.Columns = _COLUMNS
    dataset.PixelSpacing = [1, 1]
    dataset.BitsAllocated = 8
    dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PixelRepresentation = 0
    return dataset
