"""What is dropped in a soak: small instances, some of them again, some with other bytes, some no DICOM (pure)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from random import Random

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from local.samples import with_other_pixels

# What becomes of a stored file depends on where it was dropped.
SOURCES = """
[[source]]
name = "archiving"
prefix = "archive/"
after_store = "archive"

[[source]]
name = "deleting"
prefix = "delete/"
after_store = "delete"
"""
INSTANCES_PER_STUDY = 10
_FOLDERS = ("", "archive/", "delete/")
_ROOT = "1.2.826.0.1.3680043.10.1."

# Kind → share. A copy has the bytes of an earlier file, a rival only its UIDs; both have names of their own.
_SHARES = {"new": 80, "copy": 5, "rival": 4, "no DICOM": 4, "again": 3, "overwritten": 4}


@dataclass(frozen=True)
class Drop:
    """One file that is dropped.

    Args:
        name: of the blob; may be that of an earlier one.
        content: of the file.
        sop_instance_uid: None if it is no DICOM.
    """

    name: str
    content: bytes
    sop_instance_uid: str | None

    @property
    def sha256(self) -> str:
        """The hash of its content."""
        return hashlib.sha256(self.content).hexdigest()


def plan(count: int, random: Random) -> list[Drop]:
    """Return so many drops, in order."""
    drops: list[Drop] = []
    kinds = random.choices(list(_SHARES), list(_SHARES.values()), k=count)
    for number, kind in enumerate(kinds):
        name = f"{random.choice(_FOLDERS)}{number:06}.dcm"
        instances = [drop for drop in drops[-500:] if drop.sop_instance_uid]
        drops.append(_drop("new" if not instances else kind, name, number, random, instances))
    return drops


def _drop(kind: str, name: str, number: int, random: Random, instances: list[Drop]) -> Drop:
    if kind == "no DICOM":
        return Drop(name, f"letter {number}".encode(), None)
    if kind == "new":
        return Drop(name, *small_instance(number))
    earlier = random.choice(instances)
    changed = with_other_pixels(earlier.content)
    match kind:
        case "copy":
            return Drop(name, earlier.content, earlier.sop_instance_uid)
        case "rival":
            return Drop(name, changed, earlier.sop_instance_uid)
        case "again":
            return earlier
    return Drop(earlier.name, changed, earlier.sop_instance_uid)


def small_instance(number: int) -> tuple[bytes, str]:
    """Return a file and its SOP Instance UID; files differ in nothing but their UIDs."""
    uids = uids_of(number)
    content = _template()
    for level, uid in enumerate(uids, 1):
        content = content.replace(_uid(level, 0).encode(), uid.encode())
    return content, uids[-1]


def uids_of(number: int) -> tuple[str, str, str]:
    """Return the UIDs of study, series and instance of a small instance."""
    study = number // INSTANCES_PER_STUDY
    return _uid(1, study), _uid(2, study), _uid(3, number)


def _uid(level: int, number: int) -> str:
    return f"{_ROOT}{level}.{10**12 + number}"  # all of one length


@cache
def _template() -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = UID(_uid(3, 0))
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", Dataset(), file_meta=meta, preamble=bytes(128))
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID = (
        _uid(level, 0) for level in (1, 2, 3)
    )
    dataset.StudyDate, dataset.Modality = "20200102", "OT"
    dataset.PatientID, dataset.PatientName = "ID1", "Anony^Mous"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows = dataset.Columns = 8
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.add_new("PixelData", "OB", bytes(range(64)))
    file = BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()
