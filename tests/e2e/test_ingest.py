"""Files that are dropped into the inbox of the whole local stack come to their verdicts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pydicom
import pytest

from local.samples import pydicom_file, with_other_pixels
from local.stack import Stack
from query_api.routes import ROUTES
from shared.purged import pointer_name
from store_on_upload.probing.instance import SERIES_INSTANCE_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID
from tests.conftest import APPROVAL_KEY, REPLAY_KEY
from tests.kit.drop_box import SOURCES, DropBox, make_instance, probe_files, wait_for
from tests.kit.stack_service import Service

TUTORIAL = Path(__file__).parents[3] / "shared" / "data" / "tutorial"
# Read from the package's folder: its listing function would download more.
FOLDER = Path(pydicom.__file__).parent / "data" / "test_files"
FILES = {str(path.relative_to(FOLDER)): path for path in sorted(FOLDER.rglob("*")) if path.is_file()}
CANARY = "CANARY^Jane"
WHOLE = make_instance().content
MAX_BYTES = 17_000_000
ROWS = 4096  # as many columns, a byte each: larger than every buffer
PROBE = {"study": STUDY_INSTANCE_UID, "series": SERIES_INSTANCE_UID, "instance": SOP_INSTANCE_UID, "frames": "1"}
AS_IT_IS = {"Accept": 'application/dicom; transfer-syntax="*"'}

# Verdict and reason of the files that pydicom is tested with. All others are stored. Of several with the same UIDs the
# first one is stored.
REAL: dict[tuple[str, str | None], str] = {
    ("stored_with_warnings", None): """
        SC_jpeg_no_color_transform.dcm SC_jpeg_no_color_transform_2.dcm SC_rgb_jpeg.dcm badVR.dcm image_dfl.dcm
        reportsi.dcm rtplan.dcm rtstruct.dcm test-SR.dcm""",
    ("duplicate", None): "SC_rgb_jpeg_app14_dcmd.dcm",
    ("conflict", "other_bytes"): """
        JPEG2000.dcm JPGExtended.dcm MR_small_RLE.dcm MR_small_bigendian.dcm MR_small_expb.dcm MR_small_implicit.dcm
        MR_small_jp2klossless.dcm MR_small_jpeg_ls_lossless.dcm MR_small_padded.dcm SC_rgb_jpeg_dcmd.dcm SC_rgb_rle.dcm
        SC_rgb_rle_16bit.dcm SC_rgb_rle_16bit_2frame.dcm SC_rgb_rle_2frame.dcm SC_rgb_rle_32bit.dcm
        SC_rgb_rle_32bit_2frame.dcm SC_rgb_small_odd_big_endian.dcm SC_ybr_full_422_uncompressed.dcm
        liver_expb_1frame.dcm reportsi_with_empty_number_tags.dcm rtdose.dcm rtdose_1frame.dcm rtdose_expb.dcm
        rtdose_expb_1frame.dcm rtdose_rle.dcm rtdose_rle_1frame.dcm""",
    ("rejected", "refused"): """
        ExplVR_BigEnd.dcm ExplVR_BigEndNoMeta.dcm ExplVR_LitEndNoMeta.dcm GDCMJ2K_TextGBR.dcm""",
    ("rejected", "uids_missing"): """
        JPEGLSNearLossless_08.dcm JPEGLSNearLossless_16.dcm SC_rgb_jls_lossy_line.dcm SC_rgb_jls_lossy_sample.dcm
        UN_sequence.dcm empty_charset_LEI.dcm meta_missing_tsyntax.dcm nested_priv_SQ.dcm no_meta_group_length.dcm
        priv_SQ.dcm""",
    ("rejected", "unfinished"): "MR_truncated.dcm rtplan_truncated.dcm",
    ("rejected", "not_dicom"): "no_meta.dcm",
    ("rejected", "archive"): "zipMR.gz",
    ("ignored", "name"): """
        README.txt crayons.icc dicomdirtests/README.txt rtplan.dump rtstruct.dump test1.json test_PN.json""",
    ("ignored", "no_dicom_content"): "dicomdirtests/TINY_ALPHA/README",
    ("ignored", "dicomdir"): """
        dicomdirtests/DICOMDIR dicomdirtests/DICOMDIR-bigEnd dicomdirtests/DICOMDIR-empty.dcm
        dicomdirtests/DICOMDIR-implicit dicomdirtests/DICOMDIR-nooffset dicomdirtests/DICOMDIR-nopatient
        dicomdirtests/DICOMDIR-reordered dicomdirtests/TINY_ALPHA/DICOMDIR""",
}
EXPECTED: dict[str, tuple[str, str | None]] = dict.fromkeys(FILES, ("stored", None)) | {
    name: outcome for outcome, names in REAL.items() for name in names.split()
}
# Name, content, reason: these go to quarantine.
REJECTED = {
    "empty.dcm": (b"", "empty"),
    "text.dcm": (b"Dear colleague", "not_dicom"),
    "cut in its pixels.dcm": (WHOLE[:-10], "unfinished"),
    "cut in its header.dcm": (WHOLE[:300], "unfinished"),
    "no study.dcm": (make_instance(StudyInstanceUID=None).content, "uids_missing"),
    "no transfer syntax.dcm": (WHOLE.replace(b"\x02\x00\x10\x00UI", b"\x02\x00\x11\x00UI"), "unreadable"),
    "a zero in its PatientID.dcm": (make_instance(PatientID="1\0 2").content, "refused"),
    "no PatientID.dcm": (
        pydicom_file("examples_jpeg2k.dcm").replace(b"\x10\x00\x20\x00LO", b"\x10\x00\x21\x00LO"),
        "refused",
    ),
    "too large.dcm": (make_instance(Rows=ROWS, Columns=4160, PixelData=bytes(ROWS * 4160)).content, "too_large"),
    "study.zip": (b"PK\x03\x04", "archive"),
    "packed.dcm": (b"PK\x03\x04 and so on", "archive"),
}
IGNORED = {
    "readme.txt": "name",
    "scan.dcm.part": "temporary",
    "scan.dcm.filepart": "temporary",
    ".hidden.dcm": "temporary",
    "folder/": "folder",
    "LICENSE": "no_dicom_content",
}


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DropBox]:
    """Sources of different habits, little patience, and no right to delete instances."""
    folder = tmp_path_factory.mktemp("ingest")
    sources = folder / "sources.toml"
    sources.write_text(SOURCES)
    settings = {
        "SOURCES_PATH": str(sources),
        "MAX_INSTANCE_BYTES": str(MAX_BYTES),
        "GIVE_UP_AFTER_DAYS": "0.00003",  # less than three seconds
        "PROBE_SCHEDULE": "0 0 0 1 1 *",
        "REPLAY_KEY": REPLAY_KEY,
        "APPROVAL_KEY": APPROVAL_KEY,
    }
    with Stack(folder, auth=True, poll_seconds=0.25, role="ingest", settings=settings, in_memory=True) as stack:
        yield DropBox(stack)


def outcome(receipt: dict[str, Any]) -> tuple[str, str | None]:
    return receipt["verdict"], receipt["reason"]


def gone(box: DropBox, container: str, name: str) -> None:
    wait_for(lambda: True if box.blob(container, name) is None else None, f"{name} is still in {container}")


def leaves_for(box: DropBox, container: str, name: str, content: bytes) -> None:
    """See that a file goes from the inbox to a container, unchanged."""
    gone(box, "dicom-inbox", name)
    assert box.blob(container, name) == content


@pytest.fixture(scope="module")
def receipts(box: DropBox) -> dict[str, dict[str, Any]]:
    """Drop all of pydicom's files as the tree that they are, and return their receipts."""
    found: dict[str, dict[str, Any]] = {}
    for is_second in (False, True):
        wave = [name for name in FILES if (EXPECTED[name][0] in ("duplicate", "conflict")) is is_second]
        with ThreadPoolExecutor(16) as pool:
            etags = dict(zip(wave, pool.map(lambda name: box.drop(name, FILES[name].read_bytes()), wave), strict=True))
        found |= {name: box.receipt(name, etag) for name, etag in etags.items()}
    return found


def test_real_files(box: DropBox, receipts: dict[str, dict[str, Any]]) -> None:
    """Each comes to its verdict; what is refused lies in quarantine as it came, and what is left alone in the inbox."""
    assert {name: outcome(receipt) for name, receipt in receipts.items()} == EXPECTED
    for name, receipt in receipts.items():
        if receipt["verdict"] in ("rejected", "conflict"):
            leaves_for(box, "dicom-quarantine", name, FILES[name].read_bytes())
        elif not receipt.get("changes"):
            assert box.blob("dicom-inbox", name) == FILES[name].read_bytes()
    # File Meta has another UID than the dataset; the dataset's is the one that counts.
    assert receipts["rtplan.dcm"]["sop_instance_uid"].startswith("1.2.777.777.")
    # A header that the app cannot follow, for it says explicit VR and is implicit: the service tells its UIDs.
    with pytest.warns(UserWarning, match="found implicit VR"):
        assert receipts["SC_rgb_jpeg.dcm"]["sop_instance_uid"] == str(
            pydicom.dcmread(FILES["SC_rgb_jpeg.dcm"]).SOPInstanceUID
        )


def test_a_file_without_preamble_is_completed_and_its_original_kept(
    box: DropBox, receipts: dict[str, dict[str, Any]]
) -> None:
    receipt, content = receipts["rtstruct.dcm"], FILES["rtstruct.dcm"].read_bytes()
    assert receipt["changes"] == ["part10"]
    assert receipt["sent_bytes"] > len(content) + 132  # a preamble, `DICM`, File Meta
    assert wait_for(lambda: box.blob("dicom-archive", "rtstruct.dcm"), "it is not in the archive") == content


@pytest.mark.skipif(not TUTORIAL.is_dir(), reason="Microsoft's tutorial files are not beside this checkout")
@pytest.mark.parametrize("name", ["red-triangle.dcm", "green-square.dcm", "blue-circle.dcm"])
def test_the_tutorials_own_files_pass(box: DropBox, name: str) -> None:
    content = (TUTORIAL / name).read_bytes()
    receipt = box.settle(f"tutorial/{name}", content)
    assert receipt["verdict"] == "stored"
    path = "/studies/{study_instance_uid}/series/{series_instance_uid}/instances/{sop_instance_uid}"
    assert box.get(path.format(**receipt), headers=AS_IT_IS).content == content


@pytest.mark.parametrize(
    "name", ["ward/first.dcm", "CAPITALS.DCM", "ünïcode/Ärzte 7.dcm", "a b#c%20d&e+f?g.dcm", "dots..in.the.name.dcm"]
)
def test_stored(box: DropBox, name: str) -> None:
    """The receipt has the version, the hash and the UIDs; the file stays, and comes back as it was."""
    instance = make_instance()
    receipt = box.settle(name, instance.content)
    assert (
        receipt.items()
        >= {
            "verdict": "stored",
            "state": "final",
            "sha256": hashlib.sha256(instance.content).hexdigest(),
            "size_bytes": len(instance.content),
            "sop_instance_uid": instance.sop,
        }.items()
    )
    assert box.blob("dicom-inbox", name) == instance.content
    assert box.get(instance.path, headers=AS_IT_IS).content == instance.content


def test_larger_than_every_buffer(box: DropBox) -> None:
    instance = make_instance(Rows=ROWS, Columns=ROWS, PixelData=bytes(range(256)) * (ROWS * ROWS // 256))
    assert box.settle("large.dcm", instance.content)["sha256"] == hashlib.sha256(instance.content).hexdigest()
    assert box.get(instance.path, headers=AS_IT_IS).content == instance.content


def test_stored_as_the_source_has_it(box: DropBox) -> None:
    """Archived or deleted; the line in the log names the source."""
    archived, deleted = make_instance().content, make_instance().content
    assert outcome(box.settle("archive/a.dcm", archived)) == ("stored", None)
    assert outcome(box.settle("delete/d.dcm", deleted)) == ("stored", None)
    leaves_for(box, "dicom-archive", "archive/a.dcm", archived)
    gone(box, "dicom-inbox", "delete/d.dcm")
    assert box.blob("dicom-archive", "delete/d.dcm") is None
    assert {"archiving", "deleting"} <= {event.get("source") for event in box.events("blob_decided")}


def test_stored_with_warnings(box: DropBox) -> None:
    """The receipt has the tag that the service warned of, and advice, but not the value."""
    content = make_instance(StudyDate="20200102").content.replace(b"20200102", b"CANARY.9")
    receipt = box.settle("warned.dcm", content)
    assert (*outcome(receipt), receipt["attributes"]) == ("stored_with_warnings", None, ["00080020"])
    assert "/metadata" in receipt["advice"]
    assert "CANARY.9" not in json.dumps(receipt)


def test_the_same_bytes_and_others(box: DropBox) -> None:
    """Another preamble is no difference. What is stored stays; the newcomer lies in quarantine with its reason."""
    instance = make_instance()
    box.settle("first.dcm", instance.content)
    assert outcome(box.settle("second.dcm", instance.content)) == ("duplicate", None)
    assert outcome(box.settle("preamble.dcm", b"x" * 128 + instance.content[128:])) == ("duplicate", None)
    again = box.settle("first.dcm", instance.content)
    assert (again["verdict"], [earlier["verdict"] for earlier in again["earlier"]]) == ("duplicate", ["stored"])
    other = with_other_pixels(instance.content)
    assert outcome(box.settle("other.dcm", other)) == ("conflict", "other_bytes")
    leaves_for(box, "dicom-quarantine", "other.dcm", other)
    reason = json.loads(box.blob("dicom-quarantine-reasons", "other.dcm.json") or b"{}")
    assert (reason["reason"], bool(reason["advice"])) == ("other_bytes", True)
    assert box.get(instance.path, headers=AS_IT_IS).content == instance.content


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
    assert box.get(old.path, headers=AS_IT_IS).content == new


def storage_time(box: DropBox) -> datetime:
    """Return the storage account's clock, by which files come."""
    written = box.storage.get_blob_client("dicom-control", "clock").upload_blob(b"", overwrite=True)
    when: datetime = written["last_modified"]
    return when


@pytest.mark.parametrize("name", REJECTED)
def test_rejected(box: DropBox, name: str) -> None:
    """Into quarantine, with advice."""
    content, reason = REJECTED[name]
    receipt = box.settle(name, content)
    assert outcome(receipt) == ("rejected", reason)
    assert receipt["sha256"] == (None if reason == "too_large" else hashlib.sha256(content).hexdigest())
    leaves_for(box, "dicom-quarantine", name, content)
    written = json.loads(box.blob("dicom-quarantine-reasons", f"{name}.json") or b"{}")
    assert written["advice"] == receipt["advice"]
    assert receipt["advice"]


def test_two_bad_versions_of_one_name_lie_side_by_side(box: DropBox) -> None:
    box.settle("again.dcm", b"first")
    gone(box, "dicom-inbox", "again.dcm")
    etag = box.settle("again.dcm", b"second")["etag"]
    gone(box, "dicom-inbox", "again.dcm")
    assert box.blob("dicom-quarantine", "again.dcm") == b"first"
    assert box.blob("dicom-quarantine", f"again.dcm~{etag}") == b"second"


def test_what_retention_deleted_is_rejected(box: DropBox) -> None:
    """An instance of a study that is purged does not come back by being dropped again."""
    instance = make_instance()
    pointer = box.storage.get_blob_client("retention-state", pointer_name(None, instance.study))
    pointer.upload_blob(b"{}")
    assert outcome(box.settle("purged.dcm", instance.content)) == ("rejected", "purged")
    assert box.get(instance.path).status_code == 404


@pytest.mark.parametrize("name", IGNORED)
def test_ignored(box: DropBox, name: str) -> None:
    """Left where it is, with a receipt."""
    content = b"" if IGNORED[name] == "folder" else b"something"
    assert outcome(box.settle(name, content)) == ("ignored", IGNORED[name])
    assert box.blob("dicom-inbox", name) == content


def test_gave_up(box: DropBox) -> None:
    """A file that fails by itself, while others pass, goes to quarantine when its time is over."""
    instance = make_instance()
    Service(box.stack).inject(kind="store", fault="stuck_creation", requests=1)
    receipt = box.settle("stuck.dcm", instance.content)
    assert (*outcome(receipt), receipt["failure"]) == ("gave_up", "kept_failing", "being_stored")
    assert (receipt["service_code"], receipt["attempts"] >= 2) == (45071, True)
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


def test_the_same_event_again_changes_nothing(box: DropBox) -> None:
    """Not even five at once, first before the file has a verdict, then after its study was deleted."""
    instance = make_instance(Rows=1024, Columns=1024, PixelData=bytes(1024 * 1024))
    runs = invocations(box)
    etag = box.drop("again and again.dcm", instance.content)
    box.repeat_event("again and again.dcm", etag, times=5)
    receipt = box.receipt("again and again.dcm", etag)
    assert receipt["verdict"] in ("stored", "duplicate")
    wait_for(lambda: invocations(box) >= runs + 6 or None, "the events did not arrive")
    assert len(box.get(f"/instances?SOPInstanceUID={instance.sop}").json()) == 1
    receipt = box.receipt("again and again.dcm", etag)
    Service(box.stack).delete(f"/studies/{instance.study}")
    box.repeat_event("again and again.dcm", etag, times=5)
    wait_for(lambda: invocations(box) >= runs + 11 or None, "the events did not arrive again")
    assert box.get(instance.path).status_code == 404
    assert box.receipt("again and again.dcm", etag) == receipt


def invocations(box: DropBox) -> int:
    """Count how often the function has ended well."""
    return box.log().count("store_on_upload  succeeded")


def test_quarantine_that_is_not_there(box: DropBox) -> None:
    """The file stays in the inbox until the container is back, and then goes there."""
    content = b"a letter"
    box.storage.get_container_client("dicom-quarantine").delete_container()
    assert box.settle("no quarantine.dcm", content)["verdict"] == "rejected"
    [failure, *_] = wait_for(lambda: box.events("disposal_failed") or None, "nothing failed")
    assert failure["error"] == "ResourceNotFoundError"
    assert box.blob("dicom-inbox", "no quarantine.dcm") == content
    assert not box.events("blob_gone")
    box.storage.create_container("dicom-quarantine")
    leaves_for(box, "dicom-quarantine", "no quarantine.dcm", content)


def test_the_probe_is_hidden_and_goes(box: DropBox) -> None:
    """It is stored like any file; no lookup finds it; then the service has it no more."""
    real = make_instance()
    assert box.settle("real.dcm", real.content)["verdict"] == "stored"
    box.stack.fire("probe_route")
    [said] = wait_for(lambda: box.events("probe") or None, "nothing was said of the probe")
    box.stack.set_service_clock(-3600)  # it stays for as long as this takes
    assert (said["complete"], said.get("reason")) == (True, None)
    wait_for(lambda: None if probe_files(box) else True, "something is left of the probe")
    assert Service(box.stack).has_study(STUDY_INSTANCE_UID)
    for route in ROUTES:
        answer = box.get("/" + route.path.format(**PROBE)) if "{partition}" not in route.path else None
        if answer and route.transaction == "retrieve":
            assert (answer.status_code, answer.json()["code"]) == (404, "not-found"), route.name
        elif answer and route.transaction == "search":
            assert STUDY_INSTANCE_UID not in answer.text, route.name
            assert ("{study}" in route.path) is (answer.json() == []), route.name
    assert STUDY_INSTANCE_UID not in box.get("/changes?limit=1000").text
    box.stack.set_service_clock(3600)
    wait_for(lambda: None if Service(box.stack).has_study(STUDY_INSTANCE_UID) else True, "the probe has not expired")
    assert box.get(real.path, headers=AS_IT_IS).content == real.content
    box.stack.set_service_clock(0)


def problem(response: httpx.Response) -> tuple[int, str]:
    """Return status and code of a problem, which is not kept anywhere, and has nothing of the caller's in it."""
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    assert "CANARY" not in response.text
    return response.status_code, response.json()["code"]


def test_receipts_over_http(box: DropBox) -> None:
    """As they are written, whatever the name is made of; of each version; and none without a key."""
    name = f"receipts/ward 7 & 8/ü+%2B #1? {CANARY}.dcm"
    assert problem(box.get("/receipts", params={"name": name})) == (404, "no-receipt")
    first, second = (box.settle(name, make_instance().content)["etag"] for _ in range(2))
    response = box.get("/receipts", params={"name": name})
    assert (response.status_code, response.headers["cache-control"]) == (200, "no-store")
    assert response.json() == json.loads(box.blob("dicom-receipts", name) or b"")
    for etag in (first, second):
        response = box.get("/receipts", params={"name": name, "etag": etag})
        assert (response.json()["etag"], "earlier" in response.json()) == (etag, False)
    assert problem(box.get(f"/receipts?name={CANARY}&other=1")) == (400, "invalid-parameter")
    url = f"{box.stack.app_url}/receipts"
    in_query = {"name": name, "code": box.stack.function_key}
    assert httpx.get(url, params=in_query, trust_env=False).status_code == 200
    assert httpx.get(url, params={"name": name}, trust_env=False).status_code == 401


def test_replay_over_http(box: DropBox) -> None:
    """By both keys; nothing happens unless it is said so; then the file has its new verdict and leaves quarantine."""
    instance, name = make_instance(), f"replay/{CANARY} ü.dcm"
    box.settle("stands in its way.dcm", instance.content)
    assert box.settle(name, with_other_pixels(instance.content))["verdict"] == "conflict"
    gone(box, "dicom-inbox", name)
    Service(box.stack).delete(f"/studies/{instance.study}")
    for key in (None, "", "wrong", REPLAY_KEY + "x", APPROVAL_KEY, "ü"):
        assert problem(box.replay({"all": True, "dry_run": False}, replay_key=key)) == (403, "wrong-replay-key")
    assert box.replay({"all": True}, key="wrong").status_code == 401
    assert problem(box.replay({"name": CANARY, "other": 1})) == (400, "invalid-body")
    assert problem(box.replay({"name": CANARY, "dry_run": False})) == (404, "not-in-quarantine")
    assert box.replay({"name": name}).json() == {"dry_run": True, "found": 1, "sent": 0, "continuation": None}
    assert box.get("/receipts", params={"name": name}).json()["verdict"] == "conflict"
    assert box.replay({"name": name, "dry_run": False}).json()["sent"] == 1
    gone(box, "dicom-quarantine", name)
    gone(box, "dicom-quarantine-reasons", f"{name}.json")
    receipt = box.get("/receipts", params={"name": name}).json()
    assert (receipt["verdict"], [one["verdict"] for one in receipt["superseded"]]) == ("stored", ["conflict"])


def test_each_request_is_a_line_of_the_log(box: DropBox) -> None:
    """What was asked and how it went, and nothing of whom or what it was about."""
    box.get("/receipts", params={"name": f"{CANARY}.dcm"})
    box.replay({"all": True}, replay_key="wrong")
    last = wait_for(lambda: box.events("request")[-2:] or None, "no line")
    assert [(line["transaction"], line["status"], line["error"]) for line in last] == [
        ("look up receipt", 404, "Refused: no-receipt"),
        ("replay quarantine", 403, "Refused: wrong-replay-key"),
    ]
    assert "CANARY" not in box.log()
