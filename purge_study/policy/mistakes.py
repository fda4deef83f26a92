"""Mistakes of a policy that no entry shows by itself, in sentences.

No sentence has a value of the file in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any, Final

from .dates import add_days, add_years
from .impossible import impossible
from .model import ANCHORS, PERIODS, Condition, Policy

# What judgements call dates; a list of the same name could be taken for them.
RESERVED = frozenset({*ANCHORS, "birth_date", "minimum_age"})
_KINDS = ("rule", "hold", "anchor")
# A rule may be written ahead for a law to come; a day beyond these years is a typing error.
_YEARS_AHEAD: Final = 10


def future_days(policy: Policy, today: date) -> list[str]:
    """Return the mistakes that depend on the day: the policy names days that lie too far in the future."""
    first, tomorrow = policy.policy.received_counts_from, add_days(today, 1) or date.max
    found = []
    if first and first > tomorrow:
        found.append(
            "policy, received_counts_from: it lies in the future, and until then no reception would count: write the "
            "day on which the migration ended"
        )
    latest = add_years(today, _YEARS_AHEAD) or date.max
    for number, rule in enumerate(policy.rule, start=1):
        found += _too_far_ahead(f"rule {number}, when", rule.when, latest)
    return found


def _too_far_ahead(place: str, condition: Condition | None, latest: date, *, is_wanted: bool = True) -> Iterator[str]:
    if condition is None:
        return
    days = {"study_date_from": condition.study_date_from}
    if not is_wanted:  # under `not`, a day before which a study must be is one from which it must be
        days["study_date_before"] = condition.study_date_before
    for key, day in days.items():
        if day and day > latest:
            yield f"{place}, {key}: it is more than {_YEARS_AHEAD} years ahead: write an earlier day"
    for key, parts in (("all", condition.all_), ("any", condition.any_)):
        for number, part in enumerate(parts or (), start=1):
            yield from _too_far_ahead(f"{place}, {key} {number}", part, latest, is_wanted=is_wanted)
    yield from _too_far_ahead(f"{place}, not", condition.not_, latest, is_wanted=not is_wanted)


def mistakes(content: dict[str, Any]) -> Iterator[str]:
    """Yield the mistakes that no entry shows by itself, each with its place, whatever else is wrong."""
    anchors = {name for _, anchor in _tables(content, "anchor") if isinstance(name := anchor.get("name"), str)}
    for kind in _KINDS:
        yield from _same_names(content, kind)
    for place, anchor in _tables(content, "anchor"):
        if isinstance(name := anchor.get("name"), str) and name in RESERVED:
            yield f"{place}, name: dates of another kind are called so: write another name"
    for place, rule in _tables(content, "rule"):
        yield from (f"{place}{mistake}" for mistake in (*_of_period(rule), *_of_anchors(rule, anchors)))
        yield from (f"{place}, when{reason}" for reason in impossible(rule.get("when")))


def _tables(content: dict[str, Any], kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    entries = content.get(kind)
    for number, entry in enumerate(entries if isinstance(entries, list) else [], start=1):
        if isinstance(entry, dict):
            yield f"{kind} {number}", entry


def _same_names(content: dict[str, Any], kind: str) -> Iterator[str]:
    seen: set[str] = set()
    for place, entry in _tables(content, kind):
        if isinstance(name := entry.get("name"), str):
            if name in seen:
                yield f"{place}, name: another {kind} has it: write another name"
            seen.add(name)


def _of_period(rule: dict[str, Any]) -> Iterator[str]:
    periods = [period for period in PERIODS if period in rule]
    if len(periods) != 1:
        yield f": it has no period, or several: write one of {', '.join(PERIODS)}, and only one"
    if "keep_years" not in rule:
        yield from (
            f", {key}: it goes with keep_years alone: leave it out" for key in ("from", "from_if_known") if key in rule
        )
    if "keep_forever" in rule and "round_to" in rule:
        yield ", round_to: it goes with keep_years or keep_until_age: leave it out"


def _of_anchors(rule: dict[str, Any], anchors: set[str]) -> Iterator[str]:
    for key, known in (("from", {*ANCHORS, *anchors}), ("from_if_known", anchors)):
        names = rule.get(key)
        for number, name in enumerate(names if isinstance(names, list) else [], start=1):
            if isinstance(name, str) and name not in known:
                yield f", {key} {number}: no [[anchor]] table has this name: write such a table, or one of its names"
