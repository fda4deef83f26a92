"""By whose leave studies go, and the brakes, on the whole local stack."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from local.stack import Stack
from shared.settings import RETENTION_RECORDS, RETENTION_STATE
from tests.conftest import APPROVAL_KEY
from tests.kit.nights import Night, Nights

STORED = datetime(2030, 1, 1, 12, tzinfo=UTC)
DUE = datetime(2038, 1, 2, 3, tzinfo=UTC)
POLICY = """
[policy]
time_zone = "Europe/Paris"

[[rule]]
name = "everything"
keep_years = 8

[brakes]
max_share = {max_share}
"""


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nights]:
    """Four studies that are due, ten more eight days later, and nobody's leave yet."""
    settings = {"PURGE_MODE": "approve", "FEED_LAG_SECONDS": "0", "APPROVAL_KEY": APPROVAL_KEY}
    with Stack(tmp_path_factory.mktemp("modes"), auth=True, poll_seconds=0.25, settings=settings) as stack:
        nights = Nights(stack)
        nights.write("policy.toml", POLICY.format(max_share=0.3))
        for day, number in ((STORED, 4), (STORED + timedelta(days=8), 10)):
            nights.store_on(day)
            for patient in range(number):
                nights.store(PatientID=f"{day:%d}-{patient}")
        nights.set_time(DUE)
        yield nights


def approve(nights: Nights, night: Night, **changes: object) -> httpx.Response:
    """Approve a night's plan, as somebody who has read it would."""
    plan = night.event["plan"]
    summary = json.loads(nights.records(f"plans/{plan}.json"))
    body = {"approver": "Dr. A", "hash": summary["hash"], "count": summary["to_delete"], **changes}
    url = f"{nights.stack.app_url}/retention/plans/{plan}/approve"
    headers = {"x-functions-key": nights.stack.function_key, "x-approval-key": APPROVAL_KEY}
    return httpx.post(url, json=body, headers=headers, timeout=30, trust_env=False)


def test_the_key_of_approvals_replays_nothing(nights: Nights) -> None:
    """Where it alone is set nobody may replay files, by whatever header; the answer says which setting is missing."""
    url, keys = f"{nights.stack.app_url}/quarantine/replay", {"x-functions-key": nights.stack.function_key}
    for header in ("x-approval-key", "x-replay-key"):
        answer = httpx.post(url, json={"all": True}, headers={**keys, header: APPROVAL_KEY}, trust_env=False)
        assert (answer.status_code, answer.json()["code"]) == (403, "no-replay-key")
        assert "REPLAY_KEY is not set" in answer.json()["title"]


@contextmanager
def changed_approval(nights: Nights, night: Night) -> Iterator[None]:
    """Have the approval of a night's plan be for one study fewer meanwhile."""
    name = f"approvals/{night.event['plan']}.json"
    blob, written = nights.box.storage.get_blob_client(RETENTION_RECORDS, name), nights.records(name)
    approval = json.loads(written)
    blob.upload_blob(json.dumps(approval | {"count": approval["count"] - 1}), overwrite=True)
    yield
    blob.upload_blob(written, overwrite=True)


def remember_nights(nights: Nights, number: int, deleted: int) -> None:
    """Have the memory say that a few studies were deleted on each of some nights before."""
    name = "memory/nights.json"
    memory = json.loads(nights.state(name))
    first = DUE.date() - timedelta(days=number)
    memory["nights"] = [
        {
            "day": str(first + timedelta(days=night)),
            "plan_id": f"2037120{night}T030000Z-00000000",
            "ended": "accepted",
            "newly_due": deleted,
            "planned": deleted,
            "deleted": deleted,
        }
        for night in range(number)
    ] + memory["nights"]
    blob = nights.box.storage.get_blob_client(RETENTION_STATE, name)
    blob.upload_blob(json.dumps(memory), overwrite=True)


def test_by_whose_leave_and_how_many(nights: Nights) -> None:
    """Approved studies go, unless they have changed since; too many at once go by nobody's leave."""
    assert nights.night().event["reason"] == "first_run"
    plan = nights.night()
    assert (plan.event["due"], plan.event["deleted"], plan.refusals) == (4, 0, ())
    assert approve(nights, plan, hash="0" * 64).status_code == 409
    assert approve(nights, plan, count=5).status_code == 409
    assert approve(nights, plan).status_code == 200
    with changed_approval(nights, plan):
        ignored = nights.night()
    assert (ignored.told, ignored.event["deleted"]) == ((("approval_ignored", "count-differs"),), 0)
    changed = plan.due[0]
    [metadata] = nights.box.get(f"/studies/{changed}/metadata").json()
    nights.store(StudyInstanceUID=changed, PatientID=metadata["00100020"]["Value"][0])
    assert nights.night().event["deleted"] == 3
    assert changed in nights.studies()
    assert {tombstone["approved_by"] for tombstone in nights.tombstones().values()} == {"Dr. A"}


def test_more_than_the_share(nights: Nights) -> None:
    """Ten of eleven studies fall due at once: nothing goes, approved or not, until the policy allows for it."""
    nights.set_time(DUE + timedelta(days=8), settings={"PURGE_MODE": "delete"})
    tripped = nights.night()
    assert (tripped.refusals, tripped.event["deleted"]) == (("over_max_share",), 0)
    assert approve(nights, tripped).status_code == 200
    assert nights.night().refusals == ("over_max_share",)
    nights.write("policy.toml", POLICY.format(max_share=1))
    assert nights.night().event["reason"] == "policy_changed"


def test_more_than_usual(nights: Nights) -> None:
    """Ten in a night after five nights of one each: they go once somebody has approved the plan."""
    remember_nights(nights, 5, deleted=1)
    tripped = nights.next_night()
    assert (tripped.refusals, tripped.event["deleted"]) == (("over_max_times_usual",), 0)
    assert approve(nights, tripped).status_code == 200
    assert nights.night().event["deleted"] == 10
