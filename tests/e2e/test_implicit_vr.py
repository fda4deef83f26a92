"""A DICOM service that refuses implicit VR, on the whole local stack: files are transcoded, their originals kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

import pytest

from local.stack import Stack
from tests.kit.drop_box import DropBox, make_instance, wait_for
from tests.kit.files import IMPLICIT, TEST_FILES, Sample
from tests.kit.implicit_vr import read_file


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DropBox]:
    settings = {"AFTER_STORE": "delete"}
    options = ["--implicit-vr", "reject"]
    folder = tmp_path_factory.mktemp("implicit")
    with Stack(folder, auth=True, poll_seconds=0.25, settings=settings, dicom_options=options) as stack:
        yield DropBox(stack)


def wait_until_gone(box: DropBox, name: str) -> None:
    wait_for(lambda: box.blob("dicom-inbox", name) is None or None, f"{name} is still in the inbox")


def test_stored_after_transcoding(box: DropBox) -> None:
    """Every value keeps its bytes; the receipt says what was done; the original is archived, though others are deleted.

    The same file again, under its name or another one, is a duplicate of what was made of it.
    """
    content = (TEST_FILES / "MR_small_implicit.dcm").read_bytes()
    receipt = box.settle("implicit.dcm", content)
    assert (receipt["verdict"], receipt["reason"], receipt["changes"]) == ("stored", None, ["explicit_vr"])
    path = "/studies/{study_instance_uid}/series/{series_instance_uid}/instances/{sop_instance_uid}".format(**receipt)
    stored = box.get(path, headers={"Accept": "application/dicom"}).content
    assert read_file(stored) == read_file(content)
    assert (receipt["sent_bytes"], receipt["sent_sha256"]) == (len(stored), hashlib.sha256(stored).hexdigest())
    assert (receipt["size_bytes"], receipt["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    for name in ("implicit.dcm", "again.dcm"):
        wait_until_gone(box, name)
        assert box.blob("dicom-archive", name) == (content if name == "implicit.dcm" else None)
        repeated = box.settle(name, content)
        assert (repeated["verdict"], repeated["changes"]) == ("duplicate", ["explicit_vr"])
        wait_until_gone(box, name)
        assert box.blob("dicom-archive", name) == content


def test_one_that_explicit_vr_cannot_carry(box: DropBox) -> None:
    """A value over 64 KiB whose VR has two bytes for its length."""
    content = Sample(transfer_syntax=IMPLICIT, elements={0x00204000: ("LT", b"x" * 65_536)}).content
    receipt = box.settle("too long.dcm", content)
    assert (receipt["verdict"], receipt["reason"]) == ("rejected", "too_long_for_explicit_vr")
    assert (receipt["changes"], receipt["sent_sha256"]) == ([], None)
    assert receipt["sha256"] == hashlib.sha256(content).hexdigest()
    wait_until_gone(box, "too long.dcm")
    assert box.blob("dicom-quarantine", "too long.dcm") == content
    reason = json.loads(box.blob("dicom-quarantine-reasons", "too long.dcm.json") or b"{}")
    assert "64 KiB" in reason["advice"]


def test_others_go_as_they_are(box: DropBox) -> None:
    """What is in explicit VR is neither changed nor archived."""
    content = make_instance().content
    receipt = box.settle("explicit.dcm", content)
    assert (receipt["verdict"], receipt["changes"]) == ("stored", [])
    assert receipt["sent_sha256"] == hashlib.sha256(content).hexdigest()
    wait_until_gone(box, "explicit.dcm")
    assert box.blob("dicom-archive", "explicit.dcm") is None
