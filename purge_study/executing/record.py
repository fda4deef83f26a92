"""What is recorded of a deletion: before it as its intent, after it as its tombstone (pure)."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypeAlias

from purge_study.ledger.row import StudyKey
from purge_study.planning.plan import Item
from shared.settings import Settings

from .looking import Seen
from .vault import Vaulted
from .warrant import Warrant

Record: TypeAlias = dict[str, Any]
VERSION = 1


class Ending(StrEnum):
    """How it was found that a study is gone."""

    DELETED = "deleted"  # by this deletion
    ALREADY_GONE = "already_gone"  # the service answered 404 to it: somebody else was faster, or its answer was lost
    FOUND_GONE = "found_gone"  # by a later run: this one did not live to see it


def intent_of(
    deletion_id: str,
    item: Item,
    warrant: Warrant,
    settings: Settings,
    seen: Seen,
    vaulted: Vaulted | None,
    at: datetime,
) -> Record:
    """Return what is written down before a study is deleted: all that its tombstone will say."""
    return {
        "version": VERSION,
        "deletion_id": deletion_id,
        "partition": item.key.partition,
        "study_instance_uid": item.key.uid,
        "instances": len(seen.contents.places),
        "series": seen.contents.series,
        "etag": seen.contents.etag,
        "attributes": dict(seen.contents.attributes),
        **_by_what_right(item, warrant, settings),
        **_way_back(settings, seen, vaulted),
        "looked_at": seen.at.isoformat(),
        "intended_at": at.isoformat(),
    }


def tombstone_of(intent: Record, ending: Ending, at: datetime) -> Record:
    """Return a tombstone."""
    return {**intent, "ending": ending.value, "deleted_at": at.isoformat()}


def key_of(record: Record) -> StudyKey:
    """Return which study it is about."""
    return StudyKey(record["partition"], record["study_instance_uid"])


def intended_at(record: Record) -> datetime:
    """Return when the intent was written, which is before the last look."""
    return datetime.fromisoformat(record["intended_at"])


def with_sent_at(intent: Record, at: datetime) -> Record:
    """Return an intent with the time at which the app is about to send the deletion."""
    return {**intent, "sent_at": at.isoformat()}


def sent_at(record: Record) -> datetime | None:
    """Return when the app was about to send the deletion; None if an intent does not say it.

    Such an intent is of a run that was killed during the last look, or of an earlier version of the app.
    """
    return datetime.fromisoformat(record["sent_at"]) if "sent_at" in record else None


def _by_what_right(item: Item, warrant: Warrant, settings: Settings) -> Record:
    return {
        "rule": item.rule,
        "dates": {anchor: day.isoformat() for anchor, day in sorted(item.dates.items())},
        "keep_until": item.keep_until.isoformat(),
        "received": item.received.isoformat(),
        "policy_hash": warrant.rulebook.policy_hash,
        "rulebook_hash": warrant.rulebook.hash,
        "hashes": dict(warrant.rulebook.hashes),
        "plan_id": warrant.plan_id,
        "plan_hash": warrant.plan_hash,
        "mode": settings.purge_mode.value,
        "approved_by": warrant.approved_by,
    }


def _way_back(settings: Settings, seen: Seen, vaulted: Vaulted | None) -> Record:
    until = seen.at + timedelta(days=settings.vault_days)
    return {
        "before_delete": settings.before_delete.value,
        "vault": vaulted
        and {"folder": vaulted.folder, "manifest_sha256": vaulted.manifest_sha256, "bytes": vaulted.bytes},
        "restorable_until": until.isoformat() if vaulted else None,
    }
