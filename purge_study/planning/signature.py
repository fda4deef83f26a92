"""A plan as a table for a signature: CSV that spreadsheets open, and in which nothing is a formula (pure)."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from io import StringIO
from typing import Final

from .plan import Item, Plan
from .wording import before_delete

_COLUMNS: Final = (
    "number",
    "study_instance_uid",
    "partition",
    "rule",
    "counted_from",
    "last_day_kept",
    "instances",
    "modalities",
    "newest_instance_received",
    "stays_held_by",
)
# What spreadsheets take for the beginning of a formula. Where a comma is the decimal sign, they have cells end at `;`,
# and then take no notice of quotation marks that were begun before it.
_BEGINNING: Final = re.compile("(^|[;\t\r\n])(\\s*)(?=[=+\\-@\uff1d\uff0b\uff0d\uff20])")


def to_csv(plan: Plan, plan_id: str) -> Iterator[bytes]:
    """Yield a plan as CSV (RFC 4180) in UTF-8 with a byte order mark: a head with its hashes, then a line a study."""
    yield "\ufeff".encode()
    for row in (*_head(plan, plan_id), _COLUMNS):
        yield _line(row)
    for number, item in enumerate(plan.items, 1):
        yield _line(_row(number, item))


def _head(plan: Plan, plan_id: str) -> Iterable[tuple[object, ...]]:
    return (
        ("Before a deletion", before_delete(plan)),
        ("Retention plan", plan_id),
        ("Day", plan.day.isoformat()),
        ("Studies to be deleted", plan.count),
        ("Studies that a hold list keeps", plan.groups["held"]),
        ("Studies in all", plan.studies),
        ("Policy (SHA-256)", plan.policy_hash),
        ("Plan (SHA-256)", plan.hash),
        (),
        (f"I agree to the deletion of these studies, {plan.count} in number, but for those that are held.",),
        ("Name", ""),
        ("Date", ""),
        ("Signature", ""),
        (),
    )


def _row(number: int, item: Item) -> tuple[object, ...]:
    return (
        number,
        item.key.uid,
        item.key.partition,
        item.rule,
        "; ".join(f"{anchor} {day.isoformat()}" for anchor, day in sorted(item.dates.items())),
        item.keep_until.isoformat(),
        item.instances,
        " ".join(item.modalities),
        f"{item.received:%Y-%m-%d %H:%M} UTC",
        "; ".join(item.held_by),
    )


def _line(row: Iterable[object]) -> bytes:
    line = StringIO(newline="")
    csv.writer(line).writerow(map(_cell, row))
    return line.getvalue().encode("utf-8", "replace")


def _cell(value: object) -> str:
    return _BEGINNING.sub(r"\1'\2", str(value))
