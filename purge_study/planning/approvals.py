"""Plans that somebody has approved: `approvals/<plan id>.json` in `retention-records`."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from azure.storage.blob.aio import BlobClient

from purge_study.records.writing import OtherRecord, write_record
from shared.clients import Clients
from shared.events import event
from shared.settings import RETENTION_RECORDS
from shared.small_blobs import Whole, in_json, read_whole

from .plan import PLANS, Version, made_at, read_lines
from .withdrawals import Withdrawal, is_withdrawn, write_withdrawal

APPROVALS: Final = "approvals/"
# Of two of the app's instances: the one that was asked to approve, and the one that purges.
_CLOCKS_DIFFER = timedelta(minutes=5)
# An approval is written when it is given. Further apart, its time was changed, or it was copied.
_WRITTEN_WITHIN = timedelta(days=1)


class NotApprovable(Exception):
    """A plan cannot be approved, or not like this.

    Args:
        code: why: `no-such-plan`, `hash-differs`, `count-differs`, `plan-too-old`, `already-approved`,
            `plan-withdrawn`; of an approval that is there also `plan-differs` (it names another plan) and
            `time-differs` (storage has it as written at another time).
        first: the approval that there is already, if it can be read.
    """

    def __init__(self, code: str, first: Approval | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.first = first


@dataclass(frozen=True)
class Approval:
    """That somebody agrees to the deletion of the studies of a plan that are not held.

    Args:
        plan_id: of the plan.
        plan_hash: of the same.
        count: of those studies.
        approver: who.
        approved_at: when.
    """

    plan_id: str
    plan_hash: str
    count: int
    approver: str
    approved_at: datetime


@dataclass(frozen=True)
class Approved:
    """An approval with what it is for.

    Args:
        approval: who and when.
        policy_hash: of the policy that the plan was made by.
        before_delete: what the plan says is done before a deletion.
        versions: the studies, as they were in the plan: one that has changed since is not approved.
    """

    approval: Approval
    policy_hash: str
    before_delete: str
    versions: frozenset[Version]


async def approve(clients: Clients, plan_id: str, plan_hash: str, count: int, approver: str, now: datetime) -> Approval:
    """Record that somebody approves a plan, once.

    Args:
        clients: of the process.
        plan_id: of the plan.
        plan_hash: of the plan, as the approver typed it.
        count: of the studies that are to be deleted, as the approver typed it.
        approver: who it is.
        now: when.

    Raises:
        NotApprovable: what was typed is not the plan's, or it is older than APPROVAL_VALID_DAYS, approved already, or
            withdrawn.
        AzureError: storage failed.
    """
    _check_typed((await _read_plan(clients, plan_id)).content, plan_hash, count)
    if await is_withdrawn(clients, plan_id):
        raise NotApprovable("plan-withdrawn")
    if _is_past(clients, made_at(plan_id), now):
        raise NotApprovable("plan-too-old")
    approval = Approval(plan_id, plan_hash, count, approver, now)
    await _write_once(clients, approval)
    return approval


async def withdraw(clients: Clients, plan_id: str, withdrawn_by: str, now: datetime) -> Withdrawal:
    """Withdraw a plan for good, whether or not it is approved; harmless when repeated.

    Args:
        clients: of the process.
        plan_id: of the plan.
        withdrawn_by: who withdraws it.
        now: when.

    Returns:
        The first withdrawal of the plan.

    Raises:
        NotApprovable: there is no such plan.
        UnreadableRecord: the plan is withdrawn, but its record cannot be read.
        AzureError: storage failed.
    """
    await _read_plan(clients, plan_id)
    return await write_withdrawal(clients, Withdrawal(plan_id, withdrawn_by, now))


async def find_approved(clients: Clients, now: datetime) -> list[Approved]:
    """Return the approvals that are valid still, by APPROVAL_VALID_DAYS, and not withdrawn, the oldest first.

    One that cannot be read, is for another plan than its name says, or was written at another time than it says, or
    whose plan is not as it was approved, is left out, and the event `approval_ignored` says so: nothing is deleted by
    it.

    Raises:
        AzureError: storage failed.
    """
    found = [await _find(clients, plan_id, now) async for plan_id in _plans_with_approvals(clients, now)]
    return [approved for approved in found if approved is not None]


async def find_approval(clients: Clients, plan_id: str) -> Approval | None:
    """Return the approval of a plan, valid or not any more; None where there is none.

    Raises:
        ValueError: it cannot be understood.
        AzureError: storage failed.
    """
    written = await read_whole(_blob(clients, APPROVALS, f"{plan_id}.json"))
    return None if written is None else _from_json(written.content)


def _check_typed(plan: bytes, plan_hash: str, count: int) -> None:
    if hashlib.sha256(plan).hexdigest() != plan_hash:
        raise NotApprovable("hash-differs")
    if read_lines(plan)[0]["to_delete"] != count:
        raise NotApprovable("count-differs")


async def _read_plan(clients: Clients, plan_id: str) -> Whole:
    plan = await read_whole(_blob(clients, PLANS, f"{plan_id}.jsonl")) if made_at(plan_id) else None
    if plan is None:
        raise NotApprovable("no-such-plan")
    return plan


def _is_past(clients: Clients, when: datetime | None, now: datetime) -> bool:
    """Say whether a time is longer ago than an approval lasts; one that is yet to come cannot be told, so it is."""
    valid = timedelta(days=clients.settings.approval_valid_days)
    return when is None or not -_CLOCKS_DIFFER <= now - when <= valid


async def _write_once(clients: Clients, approval: Approval) -> None:
    document = {**vars(approval), "approved_at": approval.approved_at.isoformat()}
    try:
        await write_record(clients, f"{APPROVALS}{approval.plan_id}.json", in_json(document))
    except OtherRecord:
        raise await _approved_already(clients, approval.plan_id) from None


async def _approved_already(clients: Clients, plan_id: str) -> NotApprovable:
    try:
        first = await find_approval(clients, plan_id)
    except ValueError:
        first = None
    return NotApprovable("already-approved", first)


async def _plans_with_approvals(clients: Clients, now: datetime) -> AsyncIterator[str]:
    """Yield the plans that have an approval and are not so old that it cannot be valid."""
    oldest = now - 2 * timedelta(days=clients.settings.approval_valid_days) - _CLOCKS_DIFFER
    async for name in clients.container(RETENTION_RECORDS).list_blob_names(name_starts_with=APPROVALS):
        plan_id = name.removeprefix(APPROVALS).removesuffix(".json")
        if (made := made_at(plan_id)) is not None and made >= oldest:
            yield plan_id


async def _find(clients: Clients, plan_id: str, now: datetime) -> Approved | None:
    try:
        written = await read_whole(_blob(clients, APPROVALS, f"{plan_id}.json"))
        if written is None:
            return None
        approval = _from_json(written.content)
        if approval.plan_id != plan_id:
            raise NotApprovable("plan-differs")
        if _is_past(clients, approval.approved_at, now) or await is_withdrawn(clients, plan_id):
            return None
        plan = await _read_plan(clients, plan_id)
        if _is_past(clients, _written_at(approval, written, plan), now):
            return None
        return _approved(approval, plan.content)
    except (ValueError, NotApprovable) as error:
        reason = error.code if isinstance(error, NotApprovable) else "invalid"
        event("approval_ignored", level=logging.WARNING, reason=reason)
        return None


def _written_at(approval: Approval, written: Whole, plan: Whole) -> datetime | None:
    """Return when an approval was written, by storage: as long after its plan as storage has it, in the app's time.

    Raises:
        NotApprovable: that is another time than the approval says.
    """
    made = made_at(approval.plan_id)
    at = made and made + (written.last_modified - plan.last_modified)
    if at is None or abs(approval.approved_at - at) > _WRITTEN_WITHIN:
        raise NotApprovable("time-differs")
    return at


def _approved(approval: Approval, plan: bytes) -> Approved:
    _check_typed(plan, approval.plan_hash, approval.count)
    head, items = read_lines(plan)
    versions = frozenset(item.version for item in items if not item.held_by)
    return Approved(approval, head["policy_hash"], head["before_delete"], versions)


def _from_json(content: bytes) -> Approval:
    try:
        read = json.loads(content)
        return Approval(**{**read, "approved_at": datetime.fromisoformat(read["approved_at"]).astimezone(UTC)})
    except (KeyError, TypeError) as error:
        raise ValueError("no approval") from error


def _blob(clients: Clients, folder: str, name: str) -> BlobClient:
    return clients.container(RETENTION_RECORDS).get_blob_client(folder + name)
