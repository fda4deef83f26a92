"""pydicom's own files under new names, so that a service that has them already is left alone."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import pydicom
from pydicom.uid import UID

from tests.kit.files import TEST_FILES, Instance


@dataclass
class File(Instance):
    """One of pydicom's test files with the UIDs replaced; all else is as it was."""

    name: str = ""

    @property
    def content(self) -> bytes:
        """Return the file."""
        dataset = pydicom.dcmread(TEST_FILES / self.name)
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = self.study, self.series
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(self.sop)
        written = BytesIO()
        dataset.save_as(written, enforce_file_format=True)
        return written.getvalue()
