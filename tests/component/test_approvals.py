"""Plans that somebody approves, on a real account: once, as they are, for some days."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from purge_study.planning.approvals import (
    APPROVALS,
    Approval,
    NotApprovable,
    approve,
    find_approval,
    find_approved,
    withdraw,
)
from purge_study.planning.plan import PLANS, plan_id
from purge_study.planning.withdrawals import WITHDRAWALS, Withdrawal
from purge_study.records.restored import UnreadableRecord
from shared.clients import Clients
from shared.settings import RETENTION_RECORDS
from tests.kit.plans import MADE_AT, item, jsonl, plan
from tests.kit.runs import clear

NOW = MADE_AT + timedelta(hours=6)
OF = plan([item(1), item(2, held_by=("litigation",)), item(3)], before_delete="none")
NAME = plan_id(OF, MADE_AT)


@pytest.fixture(autouse=True)
async def written(clients: Clients) -> None:
    """One plan, which nobody has approved, stands in storage."""
    for folder in (PLANS, APPROVALS, WITHDRAWALS):
        await clear(clients.container(RETENTION_RECORDS), folder)
    await write(clients, f"{PLANS}{NAME}.jsonl", jsonl(OF))


async def write(clients: Clients, name: str, content: bytes) -> None:
    await clients.container(RETENTION_RECORDS).get_blob_client(name).upload_blob(content, overwrite=True)


async def approved(clients: Clients, now: datetime = NOW, **typed: Any) -> Approval:
    given = {"plan_id": NAME, "plan_hash": OF.hash, "count": 2, "approver": "Dr. Ada Example", "now": now, **typed}
    return await approve(clients, **given)


async def test_an_approval(clients: Clients) -> None:
    """It is kept with who and when, and found with the studies that it is for: not those that are held."""
    approval = await approved(clients)
    assert await find_approval(clients, NAME) == approval
    (found,) = await find_approved(clients, NOW)
    assert found.approval == approval == Approval(NAME, OF.hash, 2, "Dr. Ada Example", NOW)
    assert found.versions == {OF.items[0].version, OF.items[2].version}
    assert (found.policy_hash, found.before_delete) == (OF.policy_hash, "none")


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ({"plan_id": "20260305T030002Z-00000000"}, "no-such-plan"),
        ({"plan_id": "../approvals/x"}, "no-such-plan"),
        ({"plan_id": ""}, "no-such-plan"),
        ({"plan_hash": "00" * 32}, "hash-differs"),
        ({"plan_hash": OF.hash[:8]}, "hash-differs"),
        ({"plan_hash": ""}, "hash-differs"),
        ({"count": 3}, "count-differs"),
        ({"count": 0}, "count-differs"),
        ({"now": MADE_AT + timedelta(days=7, seconds=1)}, "plan-too-old"),
        ({"now": MADE_AT - timedelta(days=1)}, "plan-too-old"),
    ],
)
async def test_what_is_not_the_plan(clients: Clients, typed: dict[str, Any], code: str) -> None:
    with pytest.raises(NotApprovable) as refused:
        await approved(clients, **typed)
    assert refused.value.code == code
    assert await find_approved(clients, NOW) == []


async def test_a_second_approval(clients: Clients) -> None:
    """The first one stands; whoever comes second is told who approved, and when."""
    first = await approved(clients)
    with pytest.raises(NotApprovable) as refused:
        await approved(clients, approver="Somebody Else", now=NOW + timedelta(hours=1))
    assert (refused.value.code, refused.value.first) == ("already-approved", first)
    assert await find_approval(clients, NAME) == first


async def test_a_withdrawal(clients: Clients, caplog: pytest.LogCaptureFixture) -> None:
    """A withdrawn plan is not found any more and cannot be approved, and a second withdrawal returns the first one."""
    await approved(clients)
    first = await withdraw(clients, NAME, "C. Archivist", NOW)
    assert first == Withdrawal(NAME, "C. Archivist", NOW)
    assert await withdraw(clients, NAME, "Somebody Else", NOW + timedelta(hours=1)) == first
    caplog.clear()
    assert await find_approved(clients, NOW) == []
    assert caplog.messages == []
    with pytest.raises(NotApprovable) as refused:
        await approved(clients)
    assert refused.value.code == "plan-withdrawn"


async def test_withdrawn_before_it_is_approved(clients: Clients) -> None:
    await withdraw(clients, NAME, "C. Archivist", NOW)
    with pytest.raises(NotApprovable) as refused:
        await approved(clients)
    assert refused.value.code == "plan-withdrawn"
    assert await find_approval(clients, NAME) is None


async def test_a_withdrawal_that_cannot_be_read(clients: Clients) -> None:
    await approved(clients)
    await write(clients, f"{WITHDRAWALS}{NAME}.json", b"")
    assert await find_approved(clients, NOW) == []
    with pytest.raises(UnreadableRecord):
        await withdraw(clients, NAME, "C. Archivist", NOW)


async def test_a_withdrawal_of_no_plan(clients: Clients) -> None:
    with pytest.raises(NotApprovable) as refused:
        await withdraw(clients, "20260305T030002Z-00000000", "C. Archivist", NOW)
    assert refused.value.code == "no-such-plan"


@pytest.mark.parametrize(
    ("after", "is_valid"),
    [
        (timedelta(0), True),
        (timedelta(minutes=-4), True),
        (timedelta(days=7), True),
        (timedelta(days=7, seconds=1), False),
        (timedelta(days=-1), False),
        (timedelta(days=3650), False),
    ],
)
async def test_how_long_it_is_valid(clients: Clients, after: timedelta, is_valid: bool) -> None:
    await approved(clients, now=MADE_AT)
    assert len(await find_approved(clients, MADE_AT + after)) == is_valid


async def test_an_approval_whose_time_was_put_off(clients: Clients) -> None:
    await approved(clients, now=MADE_AT + timedelta(hours=20))
    assert len(await find_approved(clients, MADE_AT + timedelta(days=6, hours=23))) == 1
    assert await find_approved(clients, MADE_AT + timedelta(days=7, minutes=5)) == []


@pytest.mark.parametrize(
    "content",
    [jsonl(OF) + b"\n", jsonl(OF).replace(b'"instances":4', b'"instances":5'), b"", jsonl(plan(2))],
    ids=["longer", "changed", "empty", "another"],
)
async def test_a_plan_that_was_changed(clients: Clients, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    await approved(clients)
    await write(clients, f"{PLANS}{NAME}.jsonl", content)
    caplog.clear()
    assert await find_approved(clients, NOW) == []
    assert [json.loads(message) for message in caplog.messages] == [
        {"event": "approval_ignored", "reason": "hash-differs"}
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (None, "invalid"),
        ({"count": 1}, "count-differs"),
        ({"plan_hash": "00" * 32}, "hash-differs"),
        ({"plan_id": "20260305T030002Z-00000000"}, "plan-differs"),
        ({"plan_id": f"{NAME} "}, "plan-differs"),
        ({"approved_at": (MADE_AT + timedelta(days=1, minutes=1)).isoformat()}, "time-differs"),
        ({"approved_at": (MADE_AT - timedelta(days=1, minutes=1)).isoformat()}, "time-differs"),
        ({"approved_at": "yesterday"}, "invalid"),
        ({"approved_at": 5}, "invalid"),
        ({"more": "than expected"}, "invalid"),
    ],
)
async def test_an_approval_that_was_changed(
    clients: Clients, changes: dict[str, Any] | None, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    await approved(clients)
    document = {**vars(await approved_of(clients)), "approved_at": NOW.isoformat(), **(changes or {})}
    await write(clients, f"{APPROVALS}{NAME}.json", json.dumps(document).encode() if changes else b"[]")
    caplog.clear()
    assert await find_approved(clients, MADE_AT + timedelta(days=1, minutes=1)) == []
    assert [json.loads(message)["reason"] for message in caplog.messages] == [reason]


@pytest.mark.parametrize("age", [timedelta(0), timedelta(days=100)], ids=["new", "old"])
async def test_an_approval_under_the_name_of_another_plan(
    clients: Clients, age: timedelta, caplog: pytest.LogCaptureFixture
) -> None:
    await approved(clients)
    now = NOW + age
    document = {**vars(await approved_of(clients)), "approved_at": now.isoformat()}
    await clear(clients.container(RETENTION_RECORDS), APPROVALS)
    await write(clients, f"{APPROVALS}{plan_id(plan(2), now)}.json", json.dumps(document).encode())
    caplog.clear()
    assert await find_approved(clients, now) == []
    assert [json.loads(message)["reason"] for message in caplog.messages] == ["plan-differs"]


async def test_other_blobs_are_no_approvals(clients: Clients) -> None:
    await approved(clients)
    for name in ("readme.txt", "20260305.json", "20269999T999999Z-00000000.json"):
        await write(clients, APPROVALS + name, b"?")
    assert [found.approval.plan_id for found in await find_approved(clients, NOW)] == [NAME]


async def approved_of(clients: Clients) -> Approval:
    approval = await find_approval(clients, NAME)
    assert approval is not None
    return approval


async def test_a_plan_that_nobody_approved(clients: Clients) -> None:
    assert await find_approval(clients, NAME) is None
    assert await find_approved(clients, NOW) == []
