"""A plan: the studies that are due on a day, each with the rule and the dates that say so (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from purge_study.ledger.row import StudyKey


@dataclass(frozen=True)
class Item:
    """A study that is due.

    Args:
        key: which study.
        rule: whose date it is.
        dates: from which dates, by anchor.
        keep_until: its last day, passed.
        instances: how many it has.
        received: when its newest instance was received.
        etag: of its metadata as they were judged.
        modalities: of its instances.
        held_by: hold lists that hold it; then it stays.
        failures: how many runs in a row could not delete it.
    """

    key: StudyKey
    rule: str
    dates: Mapping[str, date]
    keep_until: date
    instances: int
    received: datetime
    etag: str | None
    modalities: tuple[str, ...] = ()
    held_by: tuple[str, ...] = ()
    failures: int = 0


@dataclass(frozen=True)
class Plan:
    """What is due on a day, the longest overdue first.

    Args:
        day: in the policy's time zone.
        policy_hash: of the policy.
        hashes: of the policy and each of its lists, by blob.
        before_delete: what is done before a deletion, as the settings say.
        studies: how many studies there are in all.
        items: what is due, held studies among them.
        unmatched_holds: lines of hold lists that hold nothing, as `<list>, line <n>`.
        listed: how many studies are kept because something is unknown, by the doubt's code.
        months: what goes when: month, `2026-03` → modality → how many studies.
    """

    day: date
    policy_hash: str
    hashes: Mapping[str, str]
    before_delete: str
    studies: int
    items: tuple[Item, ...]
    unmatched_holds: tuple[str, ...] = ()
    listed: Mapping[str, int] = field(default_factory=dict)
    months: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def hash(self) -> str:
        """SHA-256 of `to_jsonl`: equal inputs, equal hash."""
        raise NotImplementedError

    def to_jsonl(self) -> bytes:
        """Return it as JSON lines: first what holds for all, then a line for each study."""
        raise NotImplementedError
