"""A preview in a few lines (pure)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from purge_study.planning.decision import Decision
from purge_study.planning.plan import Item
from purge_study.planning.wording import DOUBTS, number, stops, waits


def lines_of(decision: Decision, zone: str, unmatched_rules: Iterable[str]) -> Iterator[str]:
    """Yield what a person wants to know first; the page has the rest."""
    plan = decision.plan
    share = f", {plan.count / plan.studies:.1%} of all" if plan.studies else ""
    yield f"{plan.day} in {zone}: {number(plan.studies)} studies."
    yield f"To be deleted: {number(plan.count)}{share}."
    yield from _by_rule(plan.to_delete)
    held = Counter(name for item in plan.items for name in item.held_by)
    yield from (f"  held by {name}: {number(count)}" for name, count in sorted(held.items()))
    yield from _listed(decision)
    yield from (f"  rule {rule} matches no study" for rule in unmatched_rules)
    yield from (f"  a hold that holds nothing: {line}" for line in plan.unmatched_holds)
    yield from (f"  a date that matches no study: {line}" for line in plan.unmatched_dates)
    yield "What the app would say to this on its first night:"
    yield from (f"  {reason.code}: {reason.what} {reason.how}" for reason in (*stops(decision), *waits(decision)))


def _by_rule(items: Iterable[Item]) -> Iterator[str]:
    counted = Counter((item.rule, "+".join(item.modalities) or "no modality") for item in items)
    yield from (f"  {number(count):>9}  {rule}, {modality}" for (rule, modality), count in sorted(counted.items()))


def _listed(decision: Decision) -> Iterator[str]:
    for code, count in sorted(decision.plan.listed.items()):
        yield f"  kept: {number(count)}. {DOUBTS.get(code, code)}."
