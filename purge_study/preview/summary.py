"""A preview in a few lines (pure)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from purge_study.planning.decision import Decision
from purge_study.planning.plan import Item, Plan
from purge_study.planning.wording import DOUBTS, GROUPS, number, stops, waits

_BREAKDOWNS: Final = {
    "to_delete": "by rule and modality",
    "held": "by list (a study can be on several)",
    "in_doubt": "by reason (a study can have several)",
}


def lines_of(decision: Decision, zone: str, unmatched_rules: Iterable[str]) -> Iterator[str]:
    """Yield what a person wants to know first; the page has the rest."""
    plan = decision.plan
    yield f"{plan.day} in {zone}: {number(plan.studies)} studies."
    yield from _groups(plan)
    yield from (f"Rule {rule} matches no study." for rule in unmatched_rules)
    yield from (f"A hold that holds nothing: {line}" for line in plan.unmatched_holds)
    yield from (f"A date that matches no study: {line}" for line in plan.unmatched_dates)
    yield "What the app would say to this on its first night:"
    yield from (f"  {reason.code}: {reason.what} {reason.how}" for reason in (*stops(decision), *waits(decision)))


def _groups(plan: Plan) -> Iterator[str]:
    """Yield a line for each group, which add up to all studies, each with its breakdown below it."""
    parts = {
        "to_delete": Counter(map(_rule, plan.to_delete)),
        "held": Counter(name for item in plan.items for name in item.held_by),
        "in_doubt": {DOUBTS.get(code, code): count for code, count in plan.listed.items()},
    }
    for group, count in plan.groups.items():
        share = f", {count / plan.studies:.1%} of all" if group == "to_delete" and plan.studies else ""
        of_these = f" Of these, {_BREAKDOWNS[group]}:" if parts.get(group) else ""
        yield f"{GROUPS[group]}: {number(count)}{share}.{of_these}"
        yield from _breakdown(parts.get(group, {}))


def _breakdown(counts: Mapping[str, int]) -> Iterator[str]:
    yield from (f"  {number(count):>9}  {name}" for name, count in sorted(counts.items()))


def _rule(item: Item) -> str:
    return f"{item.rule}, {'+'.join(item.modalities) or 'no modality'}"
