"""Plans of retention for tests, of studies of nobody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from purge_study.ledger.row import Reading, Row, StudyKey
from purge_study.planning.decision import Circumstances, Decision
from purge_study.planning.night_memory import Accepted, Memory, Night
from purge_study.planning.plan import Item, Plan, read_lines
from purge_study.policy.facts import Values
from purge_study.policy.model import Brakes
from purge_study.policy.policy import Doubt, Judgement, State
from shared.settings import PurgeMode

DAY = date(2026, 3, 5)
POLICY_HASH = "5e" * 32
MADE_AT = datetime(2026, 3, 5, 3, 0, 2, tzinfo=UTC)


def item(number: int, **changes: Any) -> Item:
    last_day = date(2025, 1, 1) + timedelta(days=number % 400)
    study_date = last_day.replace(year=last_day.year - 10)
    made = Item(
        key=StudyKey("Microsoft.Default", f"1.2.826.0.1.3680043.8.498.{number:030}"),
        rule="everything else",
        dates={"study_date": study_date, "received": study_date, "patient_last_study": study_date},
        keep_until=last_day,
        instances=3 + number % 5,
        received=datetime(study_date.year, study_date.month, study_date.day, 9, 30, tzinfo=UTC),
        etag=f"{number:08x}",
        modalities=("CT",),
    )
    return replace(made, **changes)


def plan(items: Sequence[Item] | int = 3, **changes: Any) -> Plan:
    made = Plan(
        day=DAY,
        policy_hash=POLICY_HASH,
        hashes={"policy.toml": POLICY_HASH, "holds/litigation.csv": "1a" * 32},
        before_delete="vault",
        studies=1000,
        items=tuple(map(item, range(items))) if isinstance(items, int) else tuple(items),
    )
    return replace(made, **changes)


def jsonl(of: Plan) -> bytes:
    return b"".join(of.lines())


def read_back(content: bytes) -> Plan:
    head, items = read_lines(content)
    del head["to_delete"], head["held"], head["kept"]
    lines = {name: tuple(head[name]) for name in ("unmatched_holds", "unmatched_dates")}
    return Plan(**{**head, **lines, "day": date.fromisoformat(head["day"]), "items": tuple(items)})


def night(days_ago: int, deleted: int | None, ended: str = "accepted", planned: int | None = None) -> Night:
    day = DAY - timedelta(days=days_ago)
    count = planned if planned is not None else deleted or 0
    return Night(day, f"{day:%Y%m%d}T030000Z-{days_ago:08x}", ended, count, count, deleted)


def memory(
    *nights: Night, known: Sequence[Item] = (), policy_hash: str = POLICY_HASH, plan_hash: str = "ac" * 32
) -> Memory:
    keys = frozenset(item.key for item in known)
    return Memory(nights, Accepted("20260304T030000Z-acacacac", plan_hash, policy_hash, keys))


def decision(of: Plan, mode: PurgeMode = PurgeMode.DELETE, **met: Any) -> Decision:
    return Decision(of, Circumstances(**{"mode": mode, "brakes": Brakes(), "memory": memory(), **met}))


def doubtful_row(number: int, *doubts: Doubt) -> Row:
    return row(number, Judgement(State.UNKNOWN, doubts=doubts))


def row(number: int, judgement: Judgement | None) -> Row:
    like = item(number)
    attributes = {"Modality": Values(frozenset(like.modalities), True)}
    return Row(like.key, like.received, Reading(attributes, None, frozenset(), like.instances, like.etag), judgement)
