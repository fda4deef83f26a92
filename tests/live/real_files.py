"""pydicom's own files in many transfer syntaxes, each time under UIDs that no other test uses."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import Any

from pydicom import Dataset, FileDataset, dcmread
from pydicom.encaps import generate_frames
from pydicom.uid import generate_uid

from local import samples
from tests.component.dicomweb.client_under_test import InstanceUIDs, SeriesUIDs, StudyUIDs

NATIVE = (
    "CT_small.dcm",
    "rtdose.dcm",  # implicit VR, 15 frames
    "SC_rgb_jpeg_dcmd.dcm",  # implicit VR, colour
)
UNLIKE_THEIR_FRAMES = (
    "MR_small_bigendian.dcm",
    "image_dfl.dcm",  # deflated
)
ENCAPSULATED = (
    "SC_rgb_small_odd_jpeg.dcm",  # JPEG baseline
    "examples_ybr_color.dcm",  # JPEG baseline, 30 frames
    "JPEG-lossy.dcm",  # JPEG extended
    "SC_rgb_jpeg_gdcm.dcm",  # JPEG lossless
    "MR_small_jpeg_ls_lossless.dcm",
    "MR_small_jp2klossless.dcm",
    "693_J2KI.dcm",  # JPEG 2000, lossy
    "SC_rgb_rle_2frame.dcm",
)
NAMES = (*NATIVE, *UNLIKE_THEIR_FRAMES, *ENCAPSULATED)


@dataclass(frozen=True)
class RealFile:
    """A Part 10 file and what is in it."""

    content: bytes
    dataset: FileDataset

    @property
    def uids(self) -> InstanceUIDs:
        """Its UIDs by the names of our client's parameters."""
        return {**self.series_uids, "sop_instance_uid": str(self.dataset.SOPInstanceUID)}

    @property
    def series_uids(self) -> SeriesUIDs:
        """Those of its series."""
        return {**self.study_uids, "series_instance_uid": str(self.dataset.SeriesInstanceUID)}

    @property
    def study_uids(self) -> StudyUIDs:
        """That of its study."""
        return {"study_instance_uid": str(self.dataset.StudyInstanceUID)}

    @property
    def frames(self) -> list[bytes]:
        """Its frames as they are stored."""
        count, pixel_data = int(self.dataset.get("NumberOfFrames", 1)), self.dataset.PixelData
        if self.dataset.file_meta.TransferSyntaxUID.is_encapsulated:
            return list(generate_frames(pixel_data, number_of_frames=count))
        size = len(pixel_data) // count
        return [pixel_data[start : start + size] for start in range(0, size * count, size)]


def names_of(file: RealFile) -> tuple[str, str, str]:
    """Return the UIDs of study, series and instance."""
    return file.dataset.StudyInstanceUID, file.dataset.SeriesInstanceUID, file.dataset.SOPInstanceUID


def options_of(file: RealFile) -> dict[str, str]:
    """Return the UIDs by the names of the options of npm's dicomweb-client."""
    return dict(zip(("studyInstanceUID", "seriesInstanceUID", "sopInstanceUID"), names_of(file), strict=True))


def real_file(name: str, **attributes: Any) -> RealFile:
    """Return one of pydicom's files with fresh UIDs and the given attributes."""
    dataset = dcmread(BytesIO(samples.pydicom_file(name)))
    fresh = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid(), "SOPInstanceUID": generate_uid()}
    for keyword, value in {**fresh, **attributes}.items():
        setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    file = BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return RealFile(file.getvalue(), dcmread(BytesIO(file.getvalue())))


def siblings(name: str, count: int, **attributes: str) -> list[RealFile]:
    """Return several instances of one series."""
    first = real_file(name, **attributes)
    shared = {keyword: str(first.dataset[keyword].value) for keyword in ("StudyInstanceUID", "SeriesInstanceUID")}
    return [first, *(real_file(name, **{**attributes, **shared}) for _ in range(count - 1))]


def without_bulk_data(dataset: Dataset) -> set[str]:
    """Return the keywords of a dataset's elements, but those that metadata may leave out."""
    return {element.keyword for element in dataset if element.keyword and not element.VR.startswith("O")}
