"""A plan: the studies that are due on a day, each with the rule and the dates that say so (pure)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property
from sys import intern
from typing import Any, Final

from purge_study.ledger.row import StudyKey

PLANS: Final = "plans/"
EARLIER: Final = "earlier"
MONTHS_SHOWN: Final = 12
_PLAN_ID: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}")


class PlanError(ValueError):
    """What was read is no plan, or not a whole one."""


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

    @property
    def version(self) -> Version:
        """What must be the same on another night for an approval to count."""
        return self.key, self.instances, self.received, self.keep_until


Version = tuple[StudyKey, int, datetime, date]


@dataclass(frozen=True)
class Plan:
    """What is due on a day, the longest overdue first.

    The mode is no part of it: it says what is done with a plan, and may change between a plan and its approval. What
    is done before a deletion is: whoever approved deletions with copies did not approve any without.

    Args:
        day: in the policy's time zone.
        policy_hash: of the policy.
        hashes: of the policy and each of its lists, by blob.
        before_delete: what is done before a deletion, as the settings say.
        studies: how many studies there are in all.
        items: what is due, held studies among them.
        unmatched_holds: lines of hold lists that hold nothing, as `<list>, line <n>`.
        unmatched_dates: lines of date lists whose patient has no study, the first of each list, and how many more.
        listed: how many studies are kept because something is unknown, by the doubt's code; a study with several
            counts for each.
        in_doubt: how many studies these are; each counts once.
        months: how many studies have their last day when: twelve months from that of `day`, as `2026-03`, and what
            is before them as `earlier` → modality → how many; holds left out of account.
    """

    day: date
    policy_hash: str
    hashes: Mapping[str, str]
    before_delete: str
    studies: int
    items: tuple[Item, ...]
    unmatched_holds: tuple[str, ...] = ()
    unmatched_dates: tuple[str, ...] = ()
    listed: Mapping[str, int] = field(default_factory=dict)
    months: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    in_doubt: int = 0

    @cached_property
    def to_delete(self) -> tuple[Item, ...]:
        """What is due and not held: what whoever approves this plan agrees to."""
        return tuple(item for item in self.items if not item.held_by)

    @property
    def count(self) -> int:
        """How many studies an approval is for."""
        return len(self.to_delete)

    @property
    def groups(self) -> dict[str, int]:
        """How many studies are in each group; each study is in exactly one.

        `to_delete` is due; `held` would be, but for a hold; `in_doubt` is kept because something is unknown; `kept` is
        kept by the policy.
        """
        held = len(self.items) - self.count
        kept = self.studies - len(self.items) - self.in_doubt
        return {"to_delete": self.count, "held": held, "in_doubt": self.in_doubt, "kept": kept}

    @cached_property
    def hash(self) -> str:
        """SHA-256 of its lines, as `sha256sum` finds it: equal inputs, equal hash."""
        digest = hashlib.sha256()
        for line in self.lines():
            digest.update(line)
        return digest.hexdigest()

    def lines(self) -> Iterator[bytes]:
        """Yield it as JSON lines: first what holds for all, then a line for each study."""
        yield _line(self._head())
        for item in self.items:
            yield _line(_to_json(item))

    def _head(self) -> dict[str, Any]:
        return {
            "before_delete": self.before_delete,
            "day": self.day.isoformat(),
            **self.groups,
            "studies": self.studies,
            "policy_hash": self.policy_hash,
            "hashes": dict(self.hashes),  # the policy first
            "unmatched_holds": list(self.unmatched_holds),
            "unmatched_dates": list(self.unmatched_dates),
            "listed": _sorted(self.listed),
            "months": {month: _sorted(counts) for month, counts in _sorted(self.months).items()},
        }


def plan_id(plan: Plan, made_at: datetime) -> str:
    """Return the name of a plan that was made at a time: `20260305T030002Z-0f1e2d3c`; later ones sort after it."""
    return f"{made_at.astimezone(UTC):%Y%m%dT%H%M%SZ}-{plan.hash[:8]}"


def made_at(plan_id: str) -> datetime | None:
    """Return when a plan was made, by its id; None if that is no plan's."""
    if _PLAN_ID.fullmatch(plan_id) is None:
        return None
    with suppress(ValueError):  # digits that are no date
        return datetime.strptime(plan_id[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return None


def in_order(items: Iterable[Item]) -> tuple[Item, ...]:
    """Return the items of a plan in its order: the longest overdue first."""
    return tuple(sorted(items, key=lambda item: (item.keep_until, item.key)))


def read_lines(content: bytes) -> tuple[dict[str, Any], Iterator[Item]]:
    """Return the first line of a plan, and its items as they are read: for those who need not hold them all.

    Raises:
        PlanError: that is no plan, or it was cut short; the iterator raises it, too.
    """
    lines = content.splitlines()
    try:
        head = json.loads(lines[0])
        count = head["to_delete"] + head["held"]
    except (ValueError, LookupError, TypeError) as error:
        raise PlanError("no plan") from error
    if len(lines) != count + 1:
        raise PlanError("not the whole plan")
    return head, map(_from_json, lines[1:])


def _sorted(mapping: Mapping[str, Any]) -> dict[str, Any]:
    return dict(sorted(mapping.items()))


def _line(document: dict[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _to_json(item: Item) -> dict[str, Any]:
    return {
        "study": item.key.uid,
        "partition": item.key.partition,
        "rule": item.rule,
        "dates": {anchor: day.isoformat() for anchor, day in _sorted(item.dates).items()},
        "keep_until": item.keep_until.isoformat(),
        "instances": item.instances,
        "received": item.received.astimezone(UTC).isoformat(),
        "etag": item.etag,
        "modalities": list(item.modalities),
        "held_by": list(item.held_by),
        "failures": item.failures,
    }


def _from_json(line: bytes) -> Item:
    try:
        read = json.loads(line)
        return Item(
            key=StudyKey(intern(read["partition"]), read["study"]),
            rule=intern(read["rule"]),
            dates={intern(anchor): date.fromisoformat(day) for anchor, day in read["dates"].items()},
            keep_until=date.fromisoformat(read["keep_until"]),
            instances=read["instances"],
            received=datetime.fromisoformat(read["received"]),
            etag=read["etag"],
            modalities=tuple(map(intern, read["modalities"])),
            held_by=tuple(map(intern, read["held_by"])),
            failures=read["failures"],
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PlanError("no item of a plan") from error
