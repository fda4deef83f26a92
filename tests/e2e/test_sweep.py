"""No event comes: the sweep alone brings each blob to its verdict, on the whole stack."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from local.commands import ROOT, no_proxy
from local.stack import Stack, without_trigger
from tests.kit.drop_box import DropBox, make_instance, wait_for

SOURCES = """
[[source]]
name = "deleting"
prefix = "deleted/"
after_store = "delete"
"""


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DropBox]:
    folder = tmp_path_factory.mktemp("sweep")
    settings = without_trigger(folder, SOURCES)
    with Stack(folder, auth=True, poll_seconds=0.25, settings=settings, clock_ahead_seconds=1000) as stack:
        yield DropBox(stack)


def names_in_inbox(box: DropBox) -> list[str]:
    return list(box.storage.get_container_client("dicom-inbox").list_blob_names())


def test_blobs_whose_events_never_came(box: DropBox) -> None:
    """Each is stored, also one that is deleted then; what is no DICOM is refused; the next sweep finds nothing."""
    instances = [make_instance() for _ in range(3)]
    names = ["kept.dcm", "deleted/1.dcm", "deleted/ü \U0001f600.dcm"]
    etags = {name: box.drop(name, instance.content) for name, instance in zip(names, instances, strict=True)}
    etags["refused.dcm"] = box.drop("refused.dcm", b"no DICOM")
    box.stack.fire("sweep_inbox")
    receipts = {name: box.receipt(name, etag) for name, etag in etags.items()}
    assert {name: receipt["verdict"] for name, receipt in receipts.items()} == {
        **dict.fromkeys(names, "stored"),
        "refused.dcm": "rejected",
    }
    assert [event["door"] for event in box.events("blob_decided")] == ["sweep"] * 4
    wait_for(lambda: True if names_in_inbox(box) == ["kept.dcm"] else None, "a file stays in the inbox")
    for instance in instances:
        assert box.get(instance.path, headers={"Accept": "application/dicom"}).content == instance.content
    seen = len(box.events("sweep"))
    box.stack.fire("sweep_inbox")
    last = wait_for(lambda: box.events("sweep")[seen:] or None, "no second sweep")[-1]
    assert (last["seen"], last["queued"], last["oldest_pending_seconds"], last["complete"]) == (1, 0, 0, True)


def reconcile(box: DropBox, *options: str, **settings: str) -> tuple[int, str, str]:
    """Run the operator's command; return its exit code and output."""
    command = [sys.executable, "-m", "store_on_upload.reconcile", *options]
    environment = {**box.stack.environment(), **no_proxy(), **settings}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stdout, ended.stderr


def test_it_all_adds_up_and_the_command_says_so(box: DropBox) -> None:
    """And says it where it does not; a name is told only to who asks."""
    code, output, errors = reconcile(box, "--json")
    assert (code, json.loads(output)["differences"], errors) == (0, {}, "")
    box.storage.get_blob_client("dicom-quarantine", "just now.dcm").upload_blob(b"a letter")
    assert reconcile(box)[0] == 0
    code, output, _ = reconcile(box, "--grace", "0")
    assert (code, "without_reason" in output) == (1, True)
    box.storage.get_blob_client("dicom-receipts", "DOE^JANE.dcm").upload_blob(b"nonsense")
    code, output, errors = reconcile(box)
    assert (code, errors) == (1, "")
    assert "receipt_invalid" in output
    assert "DOE" not in output
    assert "DOE^JANE.dcm" in reconcile(box, "--names")[1]
    code, output, errors = reconcile(box, DICOM_SERVICE_URL="")
    assert (code, output) == (2, "")
    assert errors.startswith("It cannot be told: ConfigurationError: ")
