"""The probe's instance, and the UIDs that are kept for it."""

from __future__ import annotations

import hashlib
from io import BytesIO

import pytest
from pydicom import dcmread
from pydicom.uid import UID

from shared.part10 import PREFIX_BYTES, read_header
from shared.probe_uids import ROOT, is_of_probe
from store_on_upload.probing.instance import CONTENT, SERIES_INSTANCE_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID

ABSENT = ("StudyDate", "StudyTime", "AccessionNumber", "PatientBirthDate")


def test_the_bytes_are_always_the_same() -> None:
    """By them a probe is known, also one that an older app has dropped: with others, give the study another arc."""
    assert hashlib.sha256(CONTENT).hexdigest() == "2ce29cba5eaaa8076c7f0d0547af996512a25a6aa3bd81977fbf8838c5de5251"
    assert len(CONTENT) < PREFIX_BYTES


async def test_it_is_dicom_as_others_read_it() -> None:
    """A Part 10 file under UIDs of the root, without anything by which searches are done but its class."""

    async def fetch(offset: int, length: int) -> bytes:
        return CONTENT[offset : offset + length]

    read = dcmread(BytesIO(CONTENT))
    uids = [read.StudyInstanceUID, read.SeriesInstanceUID, read.SOPInstanceUID]
    assert uids == [STUDY_INSTANCE_UID, SERIES_INSTANCE_UID, SOP_INSTANCE_UID]
    assert read.file_meta.MediaStorageSOPInstanceUID == SOP_INSTANCE_UID
    assert read.file_meta.MediaStorageSOPClassUID == read.SOPClassUID
    assert all(UID(uid).is_valid and is_of_probe(uid) for uid in uids)
    assert not any(keyword in read for keyword in ABSENT)
    header = await read_header(CONTENT, len(CONTENT), fetch)
    assert [header.study_instance_uid, header.series_instance_uid, header.sop_instance_uid] == uids


@pytest.mark.parametrize(
    ("uid", "is_it"),
    [
        (ROOT, True),
        (f"{ROOT}.1", True),
        (f"{ROOT}.99.1", True),
        (f"{ROOT}1", False),
        (ROOT[:-1], False),
        ("1.2.3", False),
        (f"1.{ROOT}", False),
        (None, False),
    ],
)
def test_which_uids_are_of_the_root(uid: str | None, is_it: bool) -> None:
    """What is below it, and nothing that merely begins with the same digits."""
    assert is_of_probe(uid) == is_it
