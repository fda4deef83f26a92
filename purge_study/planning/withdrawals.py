"""Plans that an approver has withdrawn: `withdrawals/<plan id>.json` in `retention-records`.

A withdrawal is final: the container may be immutable, and a plan that was withdrawn is never approved again. Deletions
ask only whether the record exists, so that one that cannot be read withdraws the plan as well.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from azure.storage.blob.aio import BlobClient

from purge_study.records.restored import UnreadableRecord
from purge_study.records.writing import OtherRecord, write_record
from shared.clients import Clients
from shared.events import event
from shared.settings import RETENTION_RECORDS
from shared.small_blobs import in_json, read_whole

WITHDRAWALS: Final = "withdrawals/"


@dataclass(frozen=True)
class Withdrawal:
    """A withdrawal of a plan.

    Args:
        plan_id: of the plan.
        withdrawn_by: who withdrew it.
        withdrawn_at: when.
    """

    plan_id: str
    withdrawn_by: str
    withdrawn_at: datetime


async def write_withdrawal(clients: Clients, withdrawal: Withdrawal) -> Withdrawal:
    """Record a withdrawal, and return the first one of the plan; the caller has checked that the plan exists.

    Raises:
        UnreadableRecord: the plan is withdrawn, but its record cannot be read.
        AzureError: storage failed.
    """
    document = {**vars(withdrawal), "withdrawn_at": withdrawal.withdrawn_at.isoformat()}
    first = withdrawal
    try:
        await write_record(clients, _name(withdrawal.plan_id), in_json(document))
    except OtherRecord:
        first = await _read(clients, withdrawal.plan_id)
    event("plan_withdrawn", plan=withdrawal.plan_id)
    return first


async def is_withdrawn(clients: Clients, plan_id: str) -> bool:
    """Say whether a plan was withdrawn.

    Raises:
        AzureError: storage failed.
    """
    return await _blob(clients, plan_id).exists()


async def _read(clients: Clients, plan_id: str) -> Withdrawal:
    written = await read_whole(_blob(clients, plan_id))
    try:
        read = json.loads(written.content if written else b"")
        return Withdrawal(**{**read, "withdrawn_at": datetime.fromisoformat(read["withdrawn_at"]).astimezone(UTC)})
    except (KeyError, TypeError, ValueError):
        raise UnreadableRecord from None


def _blob(clients: Clients, plan_id: str) -> BlobClient:
    return clients.container(RETENTION_RECORDS).get_blob_client(_name(plan_id))


def _name(plan_id: str) -> str:
    return f"{WITHDRAWALS}{plan_id}.json"
