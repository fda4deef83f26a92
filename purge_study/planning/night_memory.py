"""What is remembered of the nights before: `memory/nights.json` in `retention-state`.

The studies of the last accepted plan are read from that plan itself, whose hash is remembered: there is nothing else
to keep in step with it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final

from azure.storage.blob.aio import BlobClient

from purge_study.ledger.row import StudyKey
from shared.clients import Clients
from shared.settings import RETENTION_RECORDS, RETENTION_STATE
from shared.small_blobs import read_whole, upload_json

from .plan import PLANS, PlanError, read_lines

NIGHTS: Final = "memory/nights.json"
_MOST_NIGHTS = 400


@dataclass(frozen=True)
class Night:
    """A run that made a plan.

    Args:
        day: of the plan.
        plan_id: of the same.
        ended: what became of the plan: `accepted`; `tripped` a brake; `hindered`, by what kept anything from going.
        newly_due: how many studies had fallen due since the last accepted plan.
        planned: how many were to be deleted.
        deleted: how many were; None while it is not known: the run is under way, or was killed.
    """

    day: date
    plan_id: str
    ended: str
    newly_due: int
    planned: int
    deleted: int | None


@dataclass(frozen=True)
class Accepted:
    """The last plan that tripped no brake, or that reported a first run or a changed policy.

    Args:
        plan_id: its id.
        plan_hash: its hash.
        policy_hash: of the policy that it was made by.
        keys: the studies that were to be deleted by it, some night.
    """

    plan_id: str
    plan_hash: str
    policy_hash: str
    keys: frozenset[StudyKey] = frozenset()


@dataclass(frozen=True)
class Memory:
    """What the brakes compare a night with.

    Args:
        nights: runs, the oldest first; those of a day gone by that ended alike are one.
        accepted: None before the first accepted plan.
        is_readable: False where it cannot be understood: nothing is deleted then, and it is left for people to see.
    """

    nights: tuple[Night, ...] = ()
    accepted: Accepted | None = None
    is_readable: bool = True

    def with_night(self, night: Night, accepted: Accepted | None) -> Memory:
        """Return it with a run, in place of what it had of the same plan; an accepted plan takes the last one's."""
        others = _joined((other for other in self.nights if other.plan_id != night.plan_id), night.day)
        return replace(self, nights=(*others, night)[-_MOST_NIGHTS:], accepted=accepted or self.accepted)


def _joined(nights: Iterable[Night], today: date) -> Iterator[Night]:
    """Join the runs of each other day that ended alike: else a timer of every five minutes forgets what is usual."""
    runs: dict[tuple[date, str, str], Night] = {}
    for night in nights:
        key = (night.day, night.ended, night.plan_id if night.day == today else "")
        runs[key] = _both(runs[key], night) if key in runs else night
    return iter(runs.values())


def _both(one: Night, other: Night) -> Night:
    known = [run.deleted for run in (one, other) if run.deleted is not None]
    return replace(other, planned=one.planned + other.planned, deleted=sum(known) if known else None)


async def recall_nights(clients: Clients) -> Memory:
    """Read what is remembered; nothing where there is nothing yet.

    Raises:
        AzureError: storage failed.
    """
    written = await read_whole(_nights(clients))
    if written is None:
        return Memory()
    try:
        return await _understood(clients, json.loads(written.content))
    except (ValueError, KeyError, TypeError, AttributeError):  # PlanError among them
        return Memory(is_readable=False)


async def remember_nights(clients: Clients, memory: Memory) -> None:
    """Write it down; one that could not be read is left as it is.

    Raises:
        AzureError: storage failed.
    """
    if memory.is_readable:
        await upload_json(_nights(clients), _document(memory))


def _nights(clients: Clients) -> BlobClient:
    return clients.container(RETENTION_STATE).get_blob_client(NIGHTS)


async def _understood(clients: Clients, document: dict[str, Any]) -> Memory:
    nights = tuple(Night(**{**night, "day": date.fromisoformat(night["day"])}) for night in document["nights"])
    accepted = document["accepted"]
    return Memory(nights, await _with_keys(clients, Accepted(**accepted)) if accepted else None)


async def _with_keys(clients: Clients, accepted: Accepted) -> Accepted:
    name = f"{PLANS}{accepted.plan_id}.jsonl"
    plan = await read_whole(clients.container(RETENTION_RECORDS).get_blob_client(name))
    if plan is None or hashlib.sha256(plan.content).hexdigest() != accepted.plan_hash:
        raise PlanError("not the plan that was accepted")
    _, items = read_lines(plan.content)
    return replace(accepted, keys=frozenset(item.key for item in items if not item.held_by))


def _document(memory: Memory) -> dict[str, Any]:
    accepted = memory.accepted
    return {
        "accepted": accepted
        and {"plan_id": accepted.plan_id, "plan_hash": accepted.plan_hash, "policy_hash": accepted.policy_hash},
        "nights": [{**vars(night), "day": night.day.isoformat()} for night in memory.nights],
    }
