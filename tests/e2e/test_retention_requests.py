"""What is asked of retention over HTTP, through the whole local stack; above all, a study put back from the vault."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from local.stack import Stack
from purge_study.planning.plan import plan_id
from tests.conftest import APPROVAL_KEY, REPLAY_KEY
from tests.kit.drop_box import DropBox, make_instance, wait_for
from tests.kit.plans import jsonl, plan
from tests.kit.purged import Purged
from tests.kit.stack_service import Service

CANARY = "CANARY^Jane"
# Digits only, as a UID must be; no other number in the logs looks like it.
CANARY_UID = "1.2.826.0.1.3680043.8.498.97530864213579"


@pytest.fixture(scope="module")
def box(stack: Stack) -> DropBox:
    return DropBox(stack)


def post(box: DropBox, path: str, body: Any, approval: str | None = APPROVAL_KEY, key: str | None = None) -> Any:
    headers = {"x-functions-key": box.stack.function_key if key is None else key}
    headers |= {} if approval is None else {"x-approval-key": approval}
    url = f"{box.stack.app_url}/retention/{path}"
    return httpx.post(url, json=body, headers=headers, timeout=30, trust_env=False)


def restore(box: DropBox, study: str, **options: Any) -> httpx.Response:
    response: httpx.Response = post(box, f"vault/{study}/restore", {"requested_by": CANARY}, **options)
    return response


def code(response: httpx.Response) -> tuple[int, str]:
    """Return status and code of a problem, which has nothing of the caller's in it."""
    assert response.headers["content-type"] == "application/problem+json"
    assert "CANARY" not in response.text
    assert CANARY_UID not in response.text
    return response.status_code, response.json()["code"]


def leave(box: DropBox, purged: Purged) -> None:
    """Leave behind what a deletion does."""
    for (container, name), content in purged.blobs().items():
        box.storage.get_blob_client(container, name).upload_blob(content)


def purge(box: DropBox, study: str) -> Purged:
    """Have a study stored, and deleted as retention deletes one."""
    instances = [make_instance(StudyInstanceUID=study, PatientName=CANARY) for _ in range(2)]
    for number, instance in enumerate(instances):
        box.settle(f"{CANARY}/{study}/{number}.dcm", instance.content)
    purged = Purged.of(instances)
    leave(box, purged)
    Service(box.stack).delete(f"/studies/{study}")
    return purged


def test_a_study_comes_back(box: DropBox) -> None:
    """Byte for byte, as its receipts tell; its tombstone stays on record, and all adds up."""
    back = purge(box, f"{CANARY_UID}.1")
    response = restore(box, back.key.uid)
    assert (response.status_code, response.json()["sent"]) == (202, 2)
    for instance in back.instances:
        name = f"{response.json()['receipts']}{instance.series}/{instance.sop}.dcm"
        found = wait_for(lambda name=name: _receipt(box, name), "it has no receipt")  # type: ignore[misc]
        assert (found["verdict"], found["restored"]) == ("stored", True)
        stored = box.get(
            f"/studies/{instance.study}/series/{instance.series}/instances/{instance.sop}",
            headers={"accept": 'application/dicom; transfer-syntax="*"'},
        )
        assert stored.content == instance.content
    assert box.blob("retention-state", back.pointer_name) is None
    assert box.blob("retention-records", back.tombstone_name)
    assert not box.adds_up().purged


def _receipt(box: DropBox, name: str) -> dict[str, Any] | None:
    response = box.get("/receipts", params={"name": name})
    return response.json() if response.status_code == 200 else None


def test_a_file_of_a_purged_study_stays_out(box: DropBox) -> None:
    """When it is dropped, and when it is replayed: only a restore lets the study back in."""
    late, name = make_instance(StudyInstanceUID=f"{CANARY_UID}.2", PatientName=CANARY), f"{CANARY}/late.dcm"
    leave(box, Purged.of([late]))
    receipt = box.settle(name, late.content)
    assert receipt["reason"] == "purged"
    wait_for(lambda: True if box.blob("dicom-inbox", name) is None else None, "it is still in the inbox")
    reason = box.storage.get_blob_client("dicom-quarantine-reasons", f"{name}.json")
    before = reason.get_blob_properties().etag
    url, headers = f"{box.stack.app_url}/quarantine/replay", {"x-functions-key": box.stack.function_key}
    body = {"name": name, "dry_run": False}
    httpx.post(url, json=body, headers=headers | {"x-replay-key": REPLAY_KEY}, trust_env=False).raise_for_status()
    wait_for(lambda: True if reason.get_blob_properties().etag != before else None, "it was not looked at again")
    assert box.receipt(name, receipt["etag"])["reason"] == "purged"


def test_a_plan_is_read_and_approved(box: DropBox) -> None:
    """By whoever has both keys, once."""
    made = plan()
    now = datetime.now(UTC).replace(microsecond=0)
    one = plan_id(made, now)
    for suffix, content in (("jsonl", jsonl(made)), ("html", b"<!doctype html><title>Plan</title>")):
        box.storage.get_blob_client("retention-records", f"plans/{one}.{suffix}").upload_blob(content, overwrite=True)
    assert {"id": one, "made_at": now.isoformat()} in box.get("/retention/plans").json()["plans"]
    lines = box.get(f"/retention/plans/{one}.jsonl").content
    assert hashlib.sha256(lines).hexdigest() == made.hash
    page = box.get(f"/retention/plans/{one}", headers={"accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert page.headers["content-type"].startswith("text/html")
    body = {"approver": CANARY, "hash": made.hash, "count": made.count}
    assert code(post(box, f"plans/{one}/approve", body, approval=None)) == (403, "wrong-approval-key")
    for other in ("wrong", REPLAY_KEY):
        assert code(post(box, f"plans/{one}/approve", body, approval=other)) == (403, "wrong-approval-key")
    assert post(box, f"plans/{one}/approve", body, key="wrong").status_code == 401
    approved = post(box, f"plans/{one}/approve", body)
    assert (approved.status_code, approved.json()["approver"]) == (200, CANARY)
    assert post(box, f"plans/{one}/approve", body).json()["code"] == "already-approved"


def test_each_request_is_a_line_of_the_log(box: DropBox) -> None:
    """What was asked and how it went, and nothing else of it: neither who asks, nor of which study."""
    assert box.get("/retention/studies/1", key="wrong").status_code == 401
    assert box.get(f"/retention/studies/{CANARY_UID}?canary=1").status_code in (400, 503)
    assert code(restore(box, f"{CANARY_UID}.9")) == (404, "not-in-vault")
    assert code(post(box, f"plans/{CANARY_UID}/approve", {"approver": CANARY})) == (400, "invalid-body")
    told = [line["transaction"] for line in box.events("request")[-3:]]
    assert told == ["look up retention", "restore study", "approve plan"]
    assert "CANARY" not in box.log()
    assert CANARY_UID not in box.log()
