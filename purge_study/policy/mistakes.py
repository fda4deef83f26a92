"""Mistakes that no table shows by itself, found in the file's content whatever else is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .model import ANCHORS, PERIODS

# What judgements call dates; a list of the same name could be taken for them.
RESERVED = frozenset({*ANCHORS, "birth_date", "minimum_age"})
_KINDS = ("rule", "hold", "anchor")


def mistakes(content: dict[str, Any]) -> Iterator[str]:
    """Yield each mistake, with its place."""
    anchors = {name for _, anchor in _tables(content, "anchor") if isinstance(name := anchor.get("name"), str)}
    for kind in _KINDS:
        yield from _same_names(content, kind)
    for place, anchor in _tables(content, "anchor"):
        if isinstance(name := anchor.get("name"), str) and name in RESERVED:
            yield f"{place}, name: dates of another kind are called so"
    for place, rule in _tables(content, "rule"):
        yield from (f"{place}{mistake}" for mistake in (*_of_period(rule), *_of_anchors(rule, anchors)))


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
                yield f"{place}, name: another {kind} has it"
            seen.add(name)


def _of_period(rule: dict[str, Any]) -> Iterator[str]:
    periods = [period for period in PERIODS if period in rule]
    if len(periods) != 1:
        yield f": it needs one of {', '.join(PERIODS)}, and only one"
    if "keep_years" not in rule:
        yield from (f", {key}: it goes with keep_years" for key in ("from", "from_if_known") if key in rule)
    if "keep_forever" in rule and "round_to" in rule:
        yield ", round_to: it goes with keep_years or keep_until_age"


def _of_anchors(rule: dict[str, Any], anchors: set[str]) -> Iterator[str]:
    for key, known in (("from", {*ANCHORS, *anchors}), ("from_if_known", anchors)):
        names = rule.get(key)
        for number, name in enumerate(names if isinstance(names, list) else [], start=1):
            if isinstance(name, str) and name not in known:
                yield f", {key} {number}: no [[anchor]] table has this name"
