"""A blob lands in the inbox of the whole local stack, and comes to its verdict."""

from __future__ import annotations

import hashlib
import json
from io import BytesIO
from pathlib import Path

import pydicom
import pytest

from local import samples
from local.stack import Stack
from tests.kit.drop_box import DropBox, Instance, make_instance, wait_for
from tests.kit.stack_service import Service

TUTORIAL = Path(__file__).parents[3] / "shared" / "data" / "tutorial"


@pytest.fixture
def box(stack: Stack) -> DropBox:
    return DropBox(stack)


def is_gone(box: DropBox, name: str) -> bool | None:
    return True if box.blob("dicom-inbox", name) is None else None


def test_an_instance_is_stored_and_its_receipt_says_so(box: DropBox) -> None:
    """The receipt names the version, the hash and the UIDs; the file stays where it is and comes back unchanged."""
    instance = make_instance()
    etag = box.drop("ward/first.dcm", instance.content)
    receipt = box.receipt("ward/first.dcm", etag)
    assert receipt["verdict"] == "stored"
    assert receipt["state"] == "final"
    assert receipt["sha256"] == hashlib.sha256(instance.content).hexdigest()
    assert receipt["size_bytes"] == len(instance.content)
    assert receipt["sop_instance_uid"] == instance.sop
    assert box.blob("dicom-inbox", "ward/first.dcm") == instance.content
    assert box.get(instance.path, headers={"Accept": "application/dicom"}).content == instance.content


def test_a_suffix_in_capitals_is_one_of_ours(box: DropBox) -> None:
    """Scanners write `.DCM`."""
    assert box.settle("CAPITALS.DCM", make_instance().content)["verdict"] == "stored"


def test_a_name_that_is_none_of_ours_is_ignored(box: DropBox) -> None:
    """It is left where it is, and its receipt says why."""
    receipt = box.settle("readme.txt", b"not for us")
    assert (receipt["verdict"], receipt["reason"]) == ("ignored", "name")
    assert box.blob("dicom-inbox", "readme.txt") == b"not for us"


@pytest.mark.parametrize(
    "name", ["ünïcode/Ärzte 7.dcm", "a b#c%20d&e+f?g.dcm", "deep/er/and/deeper.dcm", "dots..in.the.name.dcm"]
)
def test_awkward_names_are_nothing_special(box: DropBox, name: str) -> None:
    """Names of blobs come through storage, queue, trigger and receipt unharmed."""
    assert box.settle(name, make_instance().content)["verdict"] == "stored"


def test_an_invalid_attribute_is_a_warning_that_names_its_tag_only(box: DropBox) -> None:
    """The service stores it and drops the attribute from its index; the receipt has the tag, not the value."""
    content = make_instance(StudyDate="20200102").content.replace(b"20200102", b"CANARY.9")
    receipt = box.settle("warned.dcm", content)
    assert (receipt["verdict"], receipt["attributes"]) == ("stored_with_warnings", ["00080020"])
    assert "CANARY.9" not in json.dumps(receipt)


def test_the_same_bytes_again_are_a_duplicate(box: DropBox) -> None:
    """Whether under another name or the same one; the earlier receipt is kept inside the newer one."""
    instance = make_instance()
    assert box.settle("original.dcm", instance.content)["verdict"] == "stored"
    assert box.settle("copy.dcm", instance.content)["verdict"] == "duplicate"
    again = box.settle("original.dcm", instance.content)
    assert again["verdict"] == "duplicate"
    assert [earlier["verdict"] for earlier in again["earlier"]] == ["stored"]


def test_the_same_event_again_and_again_changes_nothing(box: DropBox) -> None:
    """Not even five at once, and not after the study was deleted: it does not come back, and the receipt stays."""
    instance = make_instance()
    etag = box.drop("repeated.dcm", instance.content)
    receipt = box.receipt("repeated.dcm", etag)
    Service(box.stack).delete(f"/studies/{instance.study}")
    runs = invocations(box)
    box.repeat_event("repeated.dcm", etag, times=5)
    wait_for(lambda: True if invocations(box) >= runs + 5 else None, "the events did not arrive")
    assert box.get(instance.path).status_code == 404
    assert box.receipt("repeated.dcm", etag) == receipt


def test_the_same_event_five_times_at_once(box: DropBox) -> None:
    """Of a blob that has no verdict yet: one instance, one receipt, whoever comes first."""
    instance = make_instance(Rows=1024, Columns=1024, PixelData=bytes(1024 * 1024))
    etag = box.drop("at once.dcm", instance.content)
    box.repeat_event("at once.dcm", etag, times=5)
    assert box.receipt("at once.dcm", etag)["verdict"] in ("stored", "duplicate")
    assert len(box.get(f"/instances?SOPInstanceUID={instance.sop}").json()) == 1


def invocations(box: DropBox) -> int:
    """Count how often the function has ended well."""
    return box.log().count("store_on_upload  succeeded")


def test_another_preamble_is_no_difference(box: DropBox) -> None:
    """The 128 bytes in front are no part of the instance, and the service may blank them."""
    instance = make_instance()
    box.settle("blank preamble.dcm", instance.content)
    assert box.settle("preamble.dcm", b"x" * 128 + instance.content[128:])["verdict"] == "duplicate"


def test_other_bytes_under_the_same_uids_go_to_quarantine(box: DropBox) -> None:
    """What is stored stays as it is; the newcomer lies in quarantine with its reason, and leaves the inbox."""
    instance = make_instance()
    box.settle("first sender.dcm", instance.content)
    other = samples.with_other_pixels(instance.content)
    receipt = box.settle("second sender.dcm", other)
    assert (receipt["verdict"], receipt["reason"]) == ("conflict", "other_bytes")
    wait_for(lambda: is_gone(box, "second sender.dcm"), "it is still in the inbox")
    assert box.blob("dicom-quarantine", "second sender.dcm") == other
    reason = json.loads(box.blob("dicom-quarantine-reasons", "second sender.dcm.json") or b"{}")
    assert reason["reason"] == "other_bytes"
    assert reason["advice"]
    assert box.get(instance.path, headers={"Accept": "application/dicom"}).content == instance.content


WHOLE = make_instance().content
REJECTED = {
    "empty.dcm": (b"", "empty"),
    "text.dcm": (b"Dear colleague", "not_dicom"),
    "cut in its pixels.dcm": (WHOLE[:-10], "unfinished"),
    "cut in its header.dcm": (WHOLE[:300], "unfinished"),
    "no UIDs.dcm": (samples.pydicom_file("no_meta_group_length.dcm"), "uids_missing"),
    "no transfer syntax.dcm": (WHOLE.replace(b"\x02\x00\x10\x00UI", b"\x02\x00\x11\x00UI"), "unreadable"),
    "no transfer syntax, no UIDs.dcm": (samples.pydicom_file("meta_missing_tsyntax.dcm"), "uids_missing"),
    "no PatientID.dcm": (
        samples.pydicom_file("examples_jpeg2k.dcm").replace(b"\x10\x00\x20\x00LO", b"\x10\x00\x21\x00LO"),
        "refused",
    ),
}


@pytest.mark.parametrize("name", REJECTED)
def test_a_bad_file_goes_to_quarantine_with_its_reason(box: DropBox, name: str) -> None:
    """Each with a code and advice, and unchanged."""
    content, reason = REJECTED[name]
    receipt = box.settle(name, content)
    assert (receipt["verdict"], receipt["reason"]) == ("rejected", reason)
    assert receipt["sha256"] == hashlib.sha256(content).hexdigest()
    wait_for(lambda: is_gone(box, name), "it is still in the inbox")
    assert box.blob("dicom-quarantine", name) == content


def test_two_bad_versions_of_one_name_lie_side_by_side(box: DropBox) -> None:
    """A second file of the same name does not replace the first one in quarantine."""
    box.settle("again.dcm", b"first")
    wait_for(lambda: is_gone(box, "again.dcm"), "it is still in the inbox")
    receipt = box.settle("again.dcm", b"second")
    wait_for(lambda: is_gone(box, "again.dcm"), "it is still in the inbox")
    assert box.blob("dicom-quarantine", "again.dcm") == b"first"
    assert box.blob("dicom-quarantine", f"again.dcm~{receipt['etag']}") == b"second"


def test_a_quarantine_that_is_not_there_is_no_reason_to_forget_the_file(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """The file stays in the inbox until the container is back, and then goes there."""
    with Stack(tmp_path_factory.mktemp("no quarantine"), auth=True, poll_seconds=0.25) as stack:
        box = DropBox(stack)
        box.storage.delete_container("dicom-quarantine")
        assert box.settle("text.dcm", b"no DICOM")["verdict"] == "rejected"
        [failure, *_] = wait_for(lambda: box.events("disposal_failed") or None, "nothing failed")
        assert failure["error"] == "ResourceNotFoundError"
        assert box.blob("dicom-inbox", "text.dcm") == b"no DICOM"
        assert not box.events("blob_gone")
        box.storage.create_container("dicom-quarantine")
        wait_for(lambda: box.blob("dicom-quarantine", "text.dcm"), "it did not go to quarantine")
        wait_for(lambda: is_gone(box, "text.dcm"), "it is still in the inbox")


def test_the_datasets_uid_is_the_one_that_is_confirmed(box: DropBox) -> None:
    """File Meta's copy differs in real files."""
    receipt = box.settle("rtplan.dcm", samples.pydicom_file("rtplan.dcm"))
    assert receipt["verdict"] in ("stored_with_warnings", "duplicate")
    assert receipt["sop_instance_uid"].startswith("1.2.777.777.")  # File Meta says 1.2.999.999


def test_a_header_that_we_cannot_follow_is_left_to_the_service(box: DropBox) -> None:
    """A dataset in implicit VR that says it is explicit; the service tells its UIDs. The second one is the same."""
    content = samples.pydicom_file("SC_rgb_jpeg.dcm")
    first = box.settle("odd.dcm", content)
    with pytest.warns(UserWarning, match="found implicit VR"):
        instance = pydicom.dcmread(BytesIO(content))
    assert (first["verdict"], first["sop_instance_uid"]) == ("stored_with_warnings", instance.SOPInstanceUID)
    assert box.settle("odd again.dcm", content)["verdict"] == "duplicate"


def test_a_file_larger_than_every_buffer_passes_whole(box: DropBox) -> None:
    """20 MiB of pixels, streamed in several ranges."""
    rows = 4096
    instance: Instance = make_instance(Rows=rows, Columns=rows, PixelData=bytes(range(256)) * (rows * rows // 256))
    receipt = box.settle("large.dcm", instance.content)
    assert receipt["sha256"] == hashlib.sha256(instance.content).hexdigest()
    assert box.get(instance.path, headers={"Accept": "application/dicom"}).content == instance.content


@pytest.mark.skipif(not TUTORIAL.is_dir(), reason="Microsoft's tutorial files are not beside this checkout")
@pytest.mark.parametrize("name", ["red-triangle.dcm", "green-square.dcm", "blue-circle.dcm"])
def test_the_tutorials_own_files_pass(box: DropBox, name: str) -> None:
    """Microsoft's three files are stored and come back byte for byte."""
    content = (TUTORIAL / name).read_bytes()
    receipt = box.settle(f"tutorial/{name}", content)
    assert receipt["verdict"] in ("stored", "duplicate")
    path = "/studies/{study_instance_uid}/series/{series_instance_uid}/instances/{sop_instance_uid}"
    back = box.get(path.format(**receipt), headers={"Accept": "application/dicom"})
    assert back.content == content
