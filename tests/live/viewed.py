"""What clients and viewers look at: pydicom's own files in many transfer syntaxes, under fresh UIDs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydicom import Dataset, FileDataset, dcmread
from pydicom.encaps import generate_frames
from pydicom.uid import generate_uid

from local import samples
from local.stack import Stack
from tests.kit.drop_box import DropBox

PATIENT = {"PatientName": "Synthetic^Ada", "PatientID": "SYN-0815"}
STUDY = {"AccessionNumber": "ACC-SYN-1", "StudyDescription": "Chest, synthetic", "StudyDate": "20240215"}
_SLICES = 5
# Several frames, no rendered image, a palette, and each way in which pixels are encoded.
_OTHERS = (
    *("rtdose.dcm", "test-SR.dcm", "examples_palette.dcm", "examples_rgb_color.dcm"),
    *("SC_ybr_full_422_uncompressed.dcm", "MR_small_bigendian.dcm", "image_dfl.dcm", "examples_ybr_color.dcm"),
    *("SC_rgb_jpeg_gdcm.dcm", "MR_small_jpeg_ls_lossless.dcm", "MR_small_jp2klossless.dcm", "693_J2KI.dcm"),
    *("examples_jpeg2k.dcm", "MR_small_RLE.dcm", "SC_rgb_rle_2frame.dcm"),
)
_LEVELS = ("study_instance_uid", "series_instance_uid", "sop_instance_uid")


@dataclass(frozen=True)
class RealFile:
    """A Part 10 file and its dataset."""

    content: bytes
    dataset: FileDataset

    @property
    def names(self) -> tuple[str, str, str]:
        """The UIDs of study, series and instance."""
        return self.dataset.StudyInstanceUID, self.dataset.SeriesInstanceUID, self.dataset.SOPInstanceUID

    def uids(self, levels: int = 3) -> dict[str, Any]:
        """Return so many of them by the names of our client's parameters."""
        return dict(zip(_LEVELS[:levels], map(str, self.names), strict=False))

    @property
    def options(self) -> dict[str, str]:
        """The UIDs by the names of the options of npm's dicomweb-client."""
        return dict(zip(("studyInstanceUID", "seriesInstanceUID", "sopInstanceUID"), self.names, strict=True))

    @property
    def path(self) -> str:
        """The instance's path below the base address."""
        return "/studies/{}/series/{}/instances/{}".format(*self.names)

    @cached_property
    def frames(self) -> list[bytes]:
        """Its frames as they are stored."""
        count, pixel_data = int(self.dataset.get("NumberOfFrames", 1)), self.dataset.PixelData
        if self.dataset.file_meta.TransferSyntaxUID.is_encapsulated:
            return list(generate_frames(pixel_data, number_of_frames=count))
        size = len(pixel_data) // count
        return [pixel_data[start : start + size] for start in range(0, size * count, size)]


@dataclass(frozen=True)
class Viewed:
    """A CT of several slices, in their order, and other files, each alone in its study, by pydicom's names."""

    ct: list[RealFile]
    others: dict[str, RealFile]

    @property
    def studies(self) -> set[str]:
        """The UIDs of the patient's studies."""
        return {file.names[0] for file in [self.ct[0], *self.others.values()]}

    @property
    def slices(self) -> set[str]:
        """The UIDs of the CT's instances."""
        return {file.names[2] for file in self.ct}


def real_file(name: str, **attributes: Any) -> RealFile:
    """Return one of pydicom's files with fresh UIDs and the given attributes."""
    dataset = dcmread(BytesIO(samples.pydicom_file(name)))
    fresh = {name: generate_uid() for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")}
    for keyword, value in {**fresh, **attributes}.items():
        setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    file = BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return RealFile(file.getvalue(), dcmread(BytesIO(file.getvalue())))


def siblings(name: str, count: int, **attributes: Any) -> list[RealFile]:
    """Return several instances of one series."""
    uids = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid()}
    return [real_file(name, **uids, **attributes) for _ in range(count)]


def without_bulk_data(dataset: Dataset) -> set[str]:
    """Return the keywords of a dataset's elements, but those that metadata may leave out."""
    return {element.keyword for element in dataset if element.keyword and not element.VR.startswith("O")}


def picture(content: bytes, kind: str) -> npt.NDArray[np.float64]:
    """Return the pixels of an image that is of this kind, `JPEG` or `PNG`."""
    with Image.open(BytesIO(content)) as image:
        assert image.format == kind
        return np.asarray(image).astype(float)


def drop(stack: Stack) -> Viewed:
    """Drop everything into the inbox of a stack and return it once the app has stored it."""
    uids = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid()}
    ct = dcmread(BytesIO(samples.pydicom_file("CT_small.dcm")))
    begins = [7 * number * 2 * ct.Columns for number in range(1, _SLICES + 1)]  # each slice begins some rows later
    pixels = [ct.PixelData[begin:] + ct.PixelData[:begin] for begin in begins]
    slices = [
        real_file("CT_small.dcm", **PATIENT, **STUDY, **uids, InstanceNumber=number, PixelData=data)
        for number, data in enumerate(pixels, 1)
    ]
    viewed = Viewed(slices, {name: real_file(name, **PATIENT) for name in _OTHERS})
    box = DropBox(stack)
    contents = {f"live/{number}": file.content for number, file in enumerate([*viewed.ct, *viewed.others.values()])}
    etags = {name: box.drop(name, content) for name, content in contents.items()}
    for name, etag in etags.items():
        receipt = box.receipt(name, etag)
        assert receipt["verdict"] in ("stored", "stored_with_warnings"), receipt
    return viewed
