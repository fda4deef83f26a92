"""The app is killed in the middle of its work and started again: nothing is lost, nothing is there twice."""

from __future__ import annotations

import json
import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

from local.ports import Ports
from local.samples import with_other_pixels
from local.stack import Stack
from tests.kit.drop_box import DropBox, Instance, make_instance, wait_for

ROWS = 1536
ROUNDS = 2


def large_instance() -> Instance:
    """Return one that takes a while: some MiB of pixels."""
    return make_instance(Rows=ROWS, Columns=ROWS, PixelData=os.urandom(ROWS * ROWS))


def test_sigkill_in_the_middle_of_ingest(tmp_path: Path) -> None:
    """Round after round the app dies with files in flight; in the end each has a good verdict, and comes back whole."""
    ports = Ports().chosen()
    instances = {f"{number}.dcm": large_instance() for number in range(12)}
    etags: dict[str, str] = {}
    for round_number in range(ROUNDS):
        with Stack(tmp_path, ports=ports, auth=True, poll_seconds=0.25, lock_seconds=1) as stack:
            box = DropBox(stack)
            if not etags:
                etags = {name: box.drop(name, instance.content) for name, instance in instances.items()}
            wanted = round_number * 5 + 1
            wait_for(lambda: True if receipts(box, etags) >= wanted else None, "no progress")  # noqa: B023
            os.kill(stack.part("app").pid, signal.SIGKILL)
    with Stack(tmp_path, ports=ports, auth=True, poll_seconds=0.25, lock_seconds=1) as stack:
        box = DropBox(stack)
        for name, instance in instances.items():
            assert box.receipt(name, etags[name])["verdict"] in ("stored", "duplicate")
            assert box.get(instance.path).content == instance.content
            assert len(box.get(f"/instances?SOPInstanceUID={instance.sop}").json()) == 1
        assert box.adds_up().versions == len(instances)


def receipts(box: DropBox, names: dict[str, str]) -> int:
    """Count the receipts that are there."""
    there = set(box.storage.get_container_client("dicom-receipts").list_blob_names())
    return len(there & set(names))


def test_killed_between_the_receipt_and_the_move(tmp_path: Path) -> None:
    """A conflict whose receipt stands, but whose file was not moved, is moved by the next run; the receipt stays."""
    ports = Ports().chosen()
    instance = make_instance()
    other = with_other_pixels(instance.content)
    with Stack(tmp_path, ports=ports, auth=True, poll_seconds=0.25) as stack:
        box = DropBox(stack)
        first = box.settle("first.dcm", instance.content)
        os.kill(stack.part("app").pid, signal.SIGKILL)
        # What such a process leaves behind.
        etag = box.drop("conflict.dcm", other)
        receipt = first | {"blob": "conflict.dcm", "etag": etag, "verdict": "conflict", "reason": "other_bytes"}
        box.storage.get_blob_client("dicom-receipts", "conflict.dcm").upload_blob(json.dumps(receipt))
    with Stack(tmp_path, ports=ports, auth=True, poll_seconds=0.25) as stack:
        box = DropBox(stack)
        wait_for(lambda: True if box.blob("dicom-inbox", "conflict.dcm") is None else None, "it was not moved")
        assert box.blob("dicom-quarantine", "conflict.dcm") == other
        assert box.receipt("conflict.dcm", etag) == receipt


def test_both_clocks_leap(tmp_path: Path) -> None:
    """The app is started again ten years later, and so it is at the DICOM service; it goes on as if nothing were."""
    with Stack(tmp_path, auth=True, poll_seconds=0.25) as stack:
        box = DropBox(stack)
        before, after = make_instance(), make_instance()
        box.settle("before.dcm", before.content)
        stack.set_clock(timedelta(days=3650).total_seconds())
        decided_at = box.settle("after.dcm", after.content)["decided_at"]
        changes = box.get("/changes").json()["changes"]
        assert [change["sop_instance_uid"] for change in changes] == [before.sop, after.sop]
        for time in (decided_at, changes[1]["timestamp"]):
            assert round((datetime.fromisoformat(time) - datetime.now(UTC)) / timedelta(days=1)) == 3650
