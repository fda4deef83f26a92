"""What a file lacks in front of its own bytes."""

from __future__ import annotations

import io
from dataclasses import replace

import pydicom
import pytest
from pydicom import uid

from shared.part10 import Form, Header, Unfit
from store_on_upload.transcoding.completing import IMPLEMENTATION_CLASS_UID, missing_head
from tests.kit.implicit_vr import header

DATASET_ALONE = Header(Form.NO_META, uid.ExplicitVRLittleEndian, 0, "1.2.840.10008.5.1.4.1.1.2", "1.2", "1.3", "1.45")


def test_a_whole_file_lacks_nothing() -> None:
    """It is sent as it is, whatever is known of it."""
    assert missing_head(replace(DATASET_ALONE, form=Form.PART10, sop_class_uid=None)) == b""


def test_file_meta_lacks_its_preamble() -> None:
    """128 zeros and `DICM`; no UID is needed for that."""
    head = missing_head(replace(DATASET_ALONE, form=Form.NO_PREAMBLE, sop_class_uid=None, sop_instance_uid=None))
    assert head == bytes(128) + b"DICM"


@pytest.mark.parametrize("sop_instance_uid", ["1.45", "1.456"])
@pytest.mark.parametrize("transfer_syntax_uid", [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian])
def test_a_dataset_lacks_file_meta_too(sop_instance_uid: str, transfer_syntax_uid: str) -> None:
    """All that PS3.10 requires of it, with UIDs of the dataset, padded to even lengths; its length is right."""
    head = missing_head(
        replace(DATASET_ALONE, sop_instance_uid=sop_instance_uid, transfer_syntax_uid=transfer_syntax_uid)
    )
    meta = pydicom.dcmread(io.BytesIO(head)).file_meta
    assert {each.keyword: each.value for each in meta} == {
        "FileMetaInformationGroupLength": len(head) - 144,
        "FileMetaInformationVersion": b"\0\1",
        "MediaStorageSOPClassUID": "1.2.840.10008.5.1.4.1.1.2",
        "MediaStorageSOPInstanceUID": sop_instance_uid,
        "TransferSyntaxUID": transfer_syntax_uid,
        "ImplementationClassUID": IMPLEMENTATION_CLASS_UID,
    }
    assert len(head) % 2 == 0
    assert header(head, Form.PART10).dataset_at == len(head)


@pytest.mark.parametrize(
    "header_without",
    [replace(DATASET_ALONE, sop_class_uid=None), replace(DATASET_ALONE, sop_instance_uid=None)],
)
def test_file_meta_is_not_made_without_its_uids(header_without: Header) -> None:
    """Nothing is invented for them."""
    with pytest.raises(Unfit, match="uids_missing"):
        missing_head(header_without)


def test_our_uid_is_valid() -> None:
    """The UID of what writes these files fits into its element."""
    assert uid.UID(IMPLEMENTATION_CLASS_UID).is_valid
