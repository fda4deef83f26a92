"""What is told of one study: will it go, when, by which rule, from which dates, in words and in JSON (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

from purge_study.ledger.row import Row
from purge_study.policy.model import Policy
from purge_study.policy.policy import Judgement, State
from purge_study.policy.words import doubt_in_words, in_words
from purge_study.records.restored import RESTORED
from shared.settings import PurgeMode

# What tonight's run does with a study, if nothing keeps it from deleting anything: code → in words.
TONIGHT: Final[Mapping[str, str]] = {
    "kept": "Tonight it stays.",
    "reported": "Tonight it is only reported: PURGE_MODE is report.",
    "deleted_if_approved": "Tonight it goes if it is in a plan that somebody has approved: PURGE_MODE is approve.",
    "deleted": "Tonight it goes, unless a brake or an obstacle keeps the run from it: PURGE_MODE is delete.",
}
_OF_MODE: Final = {
    PurgeMode.REPORT: "reported",
    PurgeMode.APPROVE: "deleted_if_approved",
    PurgeMode.DELETE: "deleted",
}


def tell_living(
    row: Row, judgement: Judgement, held_by: Sequence[str], policy: Policy, mode: PurgeMode
) -> dict[str, Any]:
    """Return what is told of a study that is there.

    Args:
        row: of the ledger, as it has been read.
        judgement: of today.
        held_by: names of the holds on it.
        policy: by which it was judged.
        mode: what tonight's run does with what is due.
    """
    tonight = _OF_MODE[mode] if judgement.state is State.DUE and not held_by else "kept"
    goes = judgement.state in (State.DUE, State.KEPT) and not held_by
    until = judgement.keep_until
    return {
        "partition": row.key.partition,
        "state": judgement.state.value,
        "will_go": goes,
        "keep_until": _day(until),
        "goes_from": _day(until + timedelta(days=1)) if until and goes else None,
        "rule": judgement.rule,
        "dates": {anchor: day.isoformat() for anchor, day in judgement.dates.items()},
        "doubts": [{**vars(doubt), "words": doubt_in_words(doubt)} for doubt in judgement.doubts],
        "held_by": list(held_by),
        "tonight": tonight,
        "received": row.received.isoformat() if row.received else None,
        "instances": row.reading.instances if row.reading else None,
        "words": " ".join([_sentence(in_words(policy, judgement)), *_holds(held_by), TONIGHT[tonight]]),
    }


def tell_unread(row: Row) -> dict[str, Any]:
    """Return what is told of a study that was stored or put back, and that the ledger has not read since."""
    return {
        "partition": row.key.partition,
        "state": "unread",
        "will_go": False,
        "tonight": "kept",
        "received": row.received.isoformat() if row.received else None,
        "words": "It was stored or put back, and has not been read since: retention's next run does, and it stays.",
    }


def tell_purged(partition: str, tombstone: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is told of a study that retention has deleted, by its tombstone."""
    until = tombstone.get("restorable_until")
    restorable = f"It can be restored until {until}." if until else "No copy of it was kept."
    return {
        "partition": partition,
        "state": "purged",
        "deleted_at": tombstone.get("deleted_at"),
        "ending": tombstone.get("ending"),
        "rule": tombstone.get("rule"),
        "dates": tombstone.get("dates", {}),
        "keep_until": tombstone.get("keep_until"),
        "instances": tombstone.get("instances"),
        "approved_by": tombstone.get("approved_by"),
        "plan_id": tombstone.get("plan_id"),
        "deletion_id": tombstone.get("deletion_id"),
        "restorable_until": until,
        "words": f'Retention deleted it on {tombstone.get("deleted_at")}, by the rule "{tombstone.get("rule")}". '
        f"{restorable}",
    }


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."


def _holds(held_by: Sequence[str]) -> list[str]:
    if not held_by:
        return []
    named = ", ".join("that it was restored" if name == RESTORED else f'"{name}"' for name in held_by)
    return [f"It is held, and stays whatever the date: {named}."]


def _day(day: date | None) -> str | None:
    return day.isoformat() if day else None
