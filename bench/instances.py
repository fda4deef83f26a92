"""DICOM instances of a size, each with a UID of its own; for either Python, with pydicom."""

from __future__ import annotations

import itertools
from io import BytesIO
from typing import Final, Self

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, generate_uid

_STUDY: Final = generate_uid()
_SERIES: Final = generate_uid()
_UID_LENGTH: Final = 64


def instance_of(size_bytes: int, sop_instance_uid: str | None = None) -> Dataset:
    """Return an instance with so many bytes of pixels; all of one process are of one series."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = UID(sop_instance_uid or generate_uid())
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = _STUDY, _SERIES
    dataset.PatientID = "BENCH"
    dataset.PixelData = bytes(size_bytes)
    dataset["PixelData"].VR = "OW"
    return dataset


class Files:
    """Files of instances that differ in their UIDs alone: an iterator that only puts the UID in its places.

    Args:
        size_bytes: of the pixels of each.
    """

    def __init__(self, size_bytes: int) -> None:
        self._numbers = itertools.count()
        self._series = f"{_SERIES[: _UID_LENGTH - 14]}.1"
        uid, file = self._uid(), BytesIO()
        instance_of(size_bytes, uid).save_as(file, enforce_file_format=True)
        self._parts = file.getvalue().split(uid.encode())

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        return self._uid().encode().join(self._parts)

    def _uid(self) -> str:
        # Of one length, for that stands in the file before it.
        return self._series + f"{next(self._numbers):0{_UID_LENGTH - len(self._series)}}"
