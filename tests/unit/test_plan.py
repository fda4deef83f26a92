"""A plan: what it holds, how it is written and read, and its hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from typing import TypeVar

import pytest

from purge_study.planning.plan import Plan, PlanError, in_order, made_at, plan_id, read_lines
from tests.kit.plans import MADE_AT, item, jsonl, plan, read_back

V = TypeVar("V")
RICH = plan(
    [
        item(1, held_by=("litigation",), failures=4),
        item(2, rule="Ältere\u2028Studien", etag=None, dates={"last seen": date(2015, 1, 3)}),
    ],
    before_delete="none",
    unmatched_holds=("holds/a.csv, line 3",),
    unmatched_dates=("anchors/seen.csv, line 4",),
    listed={"undated": 3, "no_rule": 1},
    months={"2026-04": {"MR": 1, "CT\\SR": 2}, "earlier": {"": 5}},
)


def test_a_plan_is_read_back_as_it_was() -> None:
    """All that a plan holds is in its lines, whatever a rule is called."""
    assert read_back(jsonl(RICH)) == RICH


def test_the_hash_is_that_of_the_file() -> None:
    """Whoever has the file can check the hash with the tools of their machine."""
    assert RICH.hash == hashlib.sha256(jsonl(RICH)).hexdigest()


def test_the_head() -> None:
    """The first line says what is done before a deletion before all else, then what is to be deleted."""
    head = json.loads(jsonl(RICH).splitlines()[0])
    assert next(iter(head)) == "before_delete"
    assert (head["before_delete"], head["to_delete"], head["held"], head["day"]) == ("none", 1, 1, "2026-03-05")


def test_equal_inputs_have_equal_hashes() -> None:
    """Neither the order of counts and dates, nor the zone in which an instant is given, makes another plan."""
    there = timezone(timedelta(hours=5))
    items = [replace(one, received=one.received.astimezone(there), dates=_turned(one.dates)) for one in RICH.items]
    months = {month: _turned(counts) for month, counts in _turned(RICH.months).items()}
    assert replace(RICH, items=tuple(items), months=months, listed=_turned(RICH.listed)).hash == RICH.hash


@pytest.mark.parametrize(
    "other",
    [
        replace(RICH, before_delete="vault"),
        replace(RICH, policy_hash="0" * 64),
        replace(RICH, studies=1001),
        replace(RICH, items=RICH.items[:1]),
        replace(RICH, items=(RICH.items[0], replace(RICH.items[1], instances=99))),
        replace(RICH, items=(replace(RICH.items[0], held_by=()), RICH.items[1])),
    ],
    ids=["before_delete", "policy", "studies", "fewer", "changed", "released"],
)
def test_another_plan_has_another_hash(other: Plan) -> None:
    """What somebody approves is all that the plan says."""
    assert other.hash != RICH.hash


def test_the_order() -> None:
    """The longest overdue comes first; where two are, partition and UID decide, not chance."""
    items = [item(number) for number in (5, 401, 2, 3, 1, 801)]
    assert [one.keep_until for one in in_order(items)] == sorted(one.keep_until for one in items)
    assert in_order(items) == in_order(reversed(items))


@pytest.mark.parametrize("lines", [slice(0, 0), slice(0, 2), slice(1, None), slice(0, 1)])
def test_a_part_of_a_plan_is_none(lines: slice) -> None:
    """A file that was cut short, or has lost its head, is not taken for a smaller plan."""
    cut = b"".join(jsonl(RICH).splitlines(keepends=True)[lines])
    with pytest.raises(PlanError):
        read_lines(cut)


@pytest.mark.parametrize(
    "content", [b"", b"null\n", b"[]\n", b"{}\n", b"{", b'{"to_delete":1,"held":0}\n{}\n', b"\xff\n"]
)
def test_something_else_is_no_plan(content: bytes) -> None:
    """Whatever is read in a plan's place ends in one error."""
    with pytest.raises(PlanError):
        list(read_lines(content)[1])


def test_the_id_tells_when_it_was_made() -> None:
    """It is the time in UTC, to the second, and the beginning of the hash; later plans sort after earlier ones."""
    name = plan_id(RICH, MADE_AT.astimezone(timezone(timedelta(hours=-3))))
    assert name == f"20260305T030002Z-{RICH.hash[:8]}"
    assert made_at(name) == MADE_AT
    assert plan_id(RICH, MADE_AT + timedelta(days=30)) > name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "20260305T030002Z",
        "20260305T030002Z-0f1e2d3",
        "20269905T030002Z-0f1e2d3c",
        "../20260305T030002Z-0f1e2d3c",
        "20260305T030002Z-0f1e2d3c\n",
        "\u0662\u0660\u0662\u06600305T030002Z-0f1e2d3c",
        "20260305T030002Z-0F1E2D3C",
    ],
)
def test_what_is_no_id(text: str) -> None:
    """What a caller makes up names no blob."""
    assert made_at(text) is None


def test_times_are_told_in_utc() -> None:
    """The newest instance's time is an instant."""
    line = json.loads(jsonl(plan([item(1, received=datetime(2016, 3, 6, 0, 30, tzinfo=UTC))])).splitlines()[1])
    assert line["received"] == "2016-03-06T00:30:00+00:00"


def _turned(mapping: Mapping[str, V]) -> dict[str, V]:
    return dict(reversed(list(mapping.items())))
