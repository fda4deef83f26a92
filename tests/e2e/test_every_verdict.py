"""Each row of the verdicts' table, on the whole local stack, with what becomes of the file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from local.samples import with_other_pixels
from local.stack import Stack
from shared.purged import pointer_name
from tests.kit.drop_box import DropBox, make_instance, wait_for
from tests.kit.stack_service import Service

SOURCES = """
[[source]]
name = "archiving"
prefix = "archive/"
after_store = "archive"

[[source]]
name = "deleting"
prefix = "delete/"
after_store = "delete"

[[source]]
name = "replacing"
prefix = "replace/"
on_conflict = "replace"

[[source]]
name = "settling"
prefix = "settle/"
settle_after_seconds = 86400
"""
MAX_BYTES = 100_000


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DropBox]:
    """A stack with sources of different habits, small files only, little patience, and no right to delete instances."""
    folder = tmp_path_factory.mktemp("verdicts")
    sources = folder / "sources.toml"
    sources.write_text(SOURCES)
    settings = {
        "SOURCES_PATH": str(sources),
        "MAX_INSTANCE_BYTES": str(MAX_BYTES),
        "GIVE_UP_AFTER_DAYS": "0.00003",  # less than three seconds
    }
    with Stack(folder, auth=True, poll_seconds=0.25, role="ingest", settings=settings) as stack:
        yield DropBox(stack)


def outcome(receipt: dict[str, object]) -> tuple[object, object]:
    return receipt["verdict"], receipt["reason"]


def leaves_for(box: DropBox, container: str, name: str, content: bytes) -> None:
    """See that a file goes from the inbox to a container, unchanged."""
    wait_for(lambda: True if box.blob("dicom-inbox", name) is None else None, f"{name} is still in the inbox")
    assert box.blob(container, name) == content


def test_stored(box: DropBox) -> None:
    """Kept in the inbox, archived or deleted, as its source has it; the line in the log names the source."""
    for name in ("keep.dcm", "archive/a.dcm", "delete/d.dcm"):
        content = make_instance().content
        assert outcome(box.settle(name, content)) == ("stored", None)
        if name.startswith("archive"):
            leaves_for(box, "dicom-archive", name, content)
        if name.startswith("delete"):
            wait_for(lambda name=name: True if box.blob("dicom-inbox", name) is None else None, name)  # type: ignore[misc]
            assert box.blob("dicom-archive", name) is None
    assert box.blob("dicom-inbox", "keep.dcm") is not None
    sources = {event.get("source") for event in box.events("blob_decided")}
    assert {"archiving", "deleting"} <= sources


def test_stored_with_warnings(box: DropBox) -> None:
    """With the tag that the service warned of, and advice."""
    content = make_instance(StudyDate="20200102").content.replace(b"20200102", b"notadate")
    receipt = box.settle("warned.dcm", content)
    assert outcome(receipt) == ("stored_with_warnings", None)
    assert receipt["attributes"] == ["00080020"]
    assert "/metadata" in receipt["advice"]


def test_duplicate_and_conflict(box: DropBox) -> None:
    """The same bytes, and other ones."""
    instance = make_instance()
    box.settle("first.dcm", instance.content)
    assert outcome(box.settle("second.dcm", instance.content)) == ("duplicate", None)
    other = with_other_pixels(instance.content)
    assert outcome(box.settle("other.dcm", other)) == ("conflict", "other_bytes")
    leaves_for(box, "dicom-quarantine", "other.dcm", other)


def test_replaced(box: DropBox) -> None:
    """By a file that came some seconds after what is there was stored; there is a copy of the old bytes."""
    old = make_instance()
    box.settle("replace/old.dcm", old.content)
    stored_at = storage_time(box)
    wait_for(lambda: storage_time(box) > stored_at + timedelta(seconds=3) or None, "time stands still")
    uids = {"StudyInstanceUID": old.study, "SeriesInstanceUID": old.series, "SOPInstanceUID": old.sop}
    theirs = make_instance(**uids, PatientID="P2").content
    assert outcome(box.settle("replace/theirs.dcm", theirs)) == ("conflict", "other_patient")
    leaves_for(box, "dicom-quarantine", "replace/theirs.dcm", theirs)
    new = with_other_pixels(old.content)
    etag = box.drop("replace/new.dcm", new)
    receipt = box.receipt("replace/new.dcm", etag)
    assert outcome(receipt) == ("replaced", None)
    name, sha256 = receipt["replaced"]["kept_as"], hashlib.sha256(old.content).hexdigest()
    assert name.startswith(f"Microsoft.Default/{old.study}/{old.series}/{old.sop}/")
    assert receipt["replaced"] == {"kept_as": name, "size_bytes": len(old.content), "sha256": sha256}
    assert box.blob("dicom-replaced", name) == old.content
    about = json.loads(box.blob("dicom-replaced", name.replace(".dcm", ".json")) or b"{}")
    assert about["replaced_by"] == {"blob": "replace/new.dcm", "etag": etag}
    assert box.get(old.path, headers={"Accept": "application/dicom"}).content == new


def storage_time(box: DropBox) -> datetime:
    """Return the storage account's clock, by which files come."""
    written = box.storage.get_blob_client("dicom-control", "clock").upload_blob(b"", overwrite=True)
    when: datetime = written["last_modified"]
    return when


REJECTED = {
    "no_dicom.dcm": (b"a letter", "not_dicom"),
    "empty.dcm": (b"", "empty"),
    "unfinished.dcm": (make_instance().content[:-10], "unfinished"),
    "no_uid.dcm": (make_instance(StudyInstanceUID=None).content, "uids_missing"),
    "refused.dcm": (make_instance(PatientID="1\0 2").content, "refused"),
    "too_large.dcm": (make_instance(Rows=512, Columns=512, PixelData=bytes(512 * 512)).content, "too_large"),
    "study.zip": (b"PK\x03\x04", "archive"),
    "packed.dcm": (b"PK\x03\x04 and so on", "archive"),
}


@pytest.mark.parametrize("name", REJECTED)
def test_rejected(box: DropBox, name: str) -> None:
    """Into quarantine, with advice."""
    content, reason = REJECTED[name]
    receipt = box.settle(name, content)
    assert outcome(receipt) == ("rejected", reason)
    assert receipt["advice"]
    leaves_for(box, "dicom-quarantine", name, content)
    written = json.loads(box.blob("dicom-quarantine-reasons", f"{name}.json") or b"{}")
    assert written["advice"] == receipt["advice"]


def test_what_retention_deleted_is_rejected(box: DropBox) -> None:
    """An instance of a study that is purged does not come back by being dropped again."""
    instance = make_instance()
    pointer = box.storage.get_blob_client("retention-state", pointer_name(None, instance.study))
    pointer.upload_blob(b"{}")
    assert outcome(box.settle("purged.dcm", instance.content)) == ("rejected", "purged")
    assert box.get(instance.path).status_code == 404


IGNORED = {
    "readme.txt": "name",
    "scan.dcm.part": "temporary",
    "scan.dcm.filepart": "temporary",
    ".hidden.dcm": "temporary",
    "folder/": "folder",
    "LICENSE": "no_dicom_content",
}


@pytest.mark.parametrize("name", IGNORED)
def test_ignored(box: DropBox, name: str) -> None:
    """Left where it is, with a receipt."""
    content = b"" if IGNORED[name] == "folder" else b"something"
    assert outcome(box.settle(name, content)) == ("ignored", IGNORED[name])
    assert box.blob("dicom-inbox", name) == content


def test_gave_up(box: DropBox) -> None:
    """A file that fails by itself, while others pass, goes to quarantine when its time is over."""
    instance = make_instance()
    fault = {"kind": "store", "fault": "stuck_creation", "requests": 1}
    Service(box.stack).inject(**fault)
    receipt = box.settle("stuck.dcm", instance.content)
    assert outcome(receipt) == ("gave_up", "kept_failing")
    assert (receipt["failure"], receipt["service_code"]) == ("being_stored", 45071)
    assert receipt["attempts"] >= 2
    leaves_for(box, "dicom-quarantine", "stuck.dcm", instance.content)
    assert outcome(box.settle("others pass.dcm", make_instance().content)) == ("stored", None)


def test_deferred(box: DropBox) -> None:
    """A file that may still be written to waits, and says until when."""
    box.drop("settle/growing.dcm", make_instance().content[:-10])
    receipt = box.waiting("settle/growing.dcm")
    assert (receipt["reason"], receipt["verdict"]) == ("unsettled", None)
    assert receipt["due_at"] > receipt["uploaded_at"]
    etag = box.drop("settle/growing.dcm", make_instance().content)
    assert box.receipt("settle/growing.dcm", etag)["verdict"] == "stored"
