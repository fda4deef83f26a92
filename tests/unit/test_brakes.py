"""What a night may come to: the figures of the brakes."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from purge_study.planning.brakes import limits_of
from purge_study.planning.night_memory import Memory, Night
from purge_study.planning.plan import Item
from purge_study.policy.model import Brakes
from tests.kit.plans import DAY, decision, item, memory, night, plan

# Ten nights with 4, 6, 8 and so on; their median is 13.
USUAL = tuple(night(days_ago, 2 + 2 * days_ago) for days_ago in range(10, 0, -1))


@pytest.mark.parametrize(
    ("share", "studies", "limit"),
    [
        (0.02, 0, 1),
        (0.02, 1, 1),
        (0.02, 49, 1),
        (0.02, 50, 1),
        (0.02, 51, 2),
        (0.02, 10_000, 200),
        (0.02, 10_001, 201),
        (0.07, 100, 7),  # in binary, 0.07 times 100 is more than 7
        (0.29, 100, 29),
        (1, 1234, 1234),
        (1e-05, 100_000, 1),
        (1e-05, 100_001, 2),
    ],
)
def test_the_share(share: float, studies: int, limit: int) -> None:
    """It is rounded up to whole studies, and to one at least, and no higher."""
    assert limits_of(Brakes(max_share=share), Memory(), studies, DAY).newly_due == limit


@pytest.mark.parametrize(
    ("nights", "usual"),
    [
        ((), None),
        (USUAL[:4], None),
        ([night(days_ago, 0) for days_ago in range(1, 30)], None),
        ([night(days_ago, None, planned=9) for days_ago in range(1, 30)], None),
        (USUAL[-5:], Fraction(8)),
        (USUAL, Fraction(13)),
        ((*USUAL, *(night(days_ago, 0) for days_ago in range(11, 40))), Fraction(13)),
        ([night(ago, count) for ago, count in enumerate([2] * 7 + [4] * 7 + [1000] * 15, 1)], Fraction(3)),
        ([night(days_ago, count) for days_ago, count in enumerate((1, 2, 3, 4, 5, 6), 1)], Fraction(7, 2)),
        ([night(-1, 50), *(night(days_ago, 3) for days_ago in range(1, 6))], Fraction(3)),
        # Two runs of a day are one night.
        ([*(night(days_ago, 3) for days_ago in range(1, 5)), night(5, 1), night(5, 2)], Fraction(3)),
        ([*(night(days_ago, 3) for days_ago in range(1, 4)), night(4, 1), night(4, 2)], None),
    ],
    ids=[
        "first",
        "four",
        "only zeros",
        "killed",
        "five",
        "ten",
        "zeros between",
        "fourteen",
        "even",
        "future",
        "twice",
        "four days",
    ],
)
def test_the_usual(nights: list[Night], usual: Fraction | None) -> None:
    """It is the median of the last fourteen nights above zero, from five of them on."""
    assert limits_of(Brakes(), Memory(tuple(nights)), 1000, DAY).usual == usual


@pytest.mark.parametrize(
    ("last", "times", "nights", "limit"),
    [
        (night(1, 0), 3, 1, 39),
        (night(3, 0), 3, 3, 117),
        (night(3, 0), 1, 3, 39),
        (night(3, 0), 1.1, 3, 42),  # 42.9
    ],
)
def test_the_limit_above_the_usual(last: Night, times: float, nights: int, limit: int) -> None:
    """It grows with the nights in which no plan was made, whose studies are tonight's too."""
    before = tuple(night(days_ago + 20, 2 + 2 * days_ago) for days_ago in range(1, 11))
    limits = limits_of(Brakes(max_times_usual=times), Memory((*before, last)), 1000, DAY)
    assert (limits.nights, limits.unapproved) == (nights, limit)


@pytest.mark.parametrize(("ended", "nights"), [("hindered", 5), ("tripped", 1), ("accepted", 1)])
def test_a_brake_does_not_wear_off(ended: str, nights: int) -> None:
    """A night that was hindered leaves its studies to the next; one that tripped a brake must not loosen it."""
    since = [night(days_ago, 0, ended) for days_ago in (4, 3, 2, 1)]
    assert limits_of(Brakes(), Memory((night(5, 3), *since)), 1000, DAY).nights == nights


def test_a_plan_of_the_future_is_left_out_of_account() -> None:
    """A clock that was wrong leaves days that are yet to come."""
    limits = limits_of(Brakes(), Memory((night(2, 3), night(-300, 3))), 1000, DAY)
    assert (limits.nights, limits.per_night) == (2, 500)


@pytest.mark.parametrize(
    ("today", "per_night", "unapproved"),
    [
        ((), 500, 39),
        ((night(0, 30),), 470, 9),
        ((night(0, 30), night(0, 460)), 10, 0),
        ((night(0, None, planned=35),), 465, 4),  # killed: it may have deleted all of them
        ((night(0, 600),), 0, 0),
    ],
    ids=["first run", "second", "third", "after a killed one", "policy lowered"],
)
def test_runs_of_a_day_share_its_limits(today: tuple[Night, ...], per_night: int, unapproved: int) -> None:
    """A timer that fires twice does not delete twice as much."""
    limits = limits_of(Brakes(), Memory((*USUAL, *today)), 1000, DAY)
    assert (limits.per_night, limits.unapproved) == (per_night, unapproved)


def documented(heading: str) -> list[list[str]]:
    """Return the rows of the table of docs/retention.md that begins with this heading."""
    text = (Path(__file__).parents[2] / "docs/retention.md").read_text()
    lines = text.partition(f"| {heading} |")[2].splitlines()[2:]
    table = lines[: next(number for number, line in enumerate(lines) if not line.startswith("|"))]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def number(text: str) -> float:
    return float(text.replace(",", ""))


@pytest.mark.parametrize("example", documented("studies in all"))
def test_the_examples_of_the_share(example: list[str]) -> None:
    """The document's examples are what a night comes to."""
    studies, share, allowed, newly_due, tonight = example
    of = plan(items_of(newly_due), studies=int(number(studies)))
    made = decision(of, brakes=Brakes(max_share=number(share)))
    assert made.limits.newly_due == number(allowed)
    assert bool(made.items) == (tonight == "goes")


@pytest.mark.parametrize("example", documented("last nights"))
def test_the_examples_of_the_usual(example: list[str]) -> None:
    """The document's examples are what a night comes to."""
    deleted, since, usual, allowed, tonight, outcome = example
    days_ago = range(int(since), 99)
    nights = [night(ago, int(count)) for ago, count in zip(days_ago, reversed(deleted.split(", ")), strict=False)]
    of = plan(items_of(tonight), studies=10**6)
    made = decision(of, memory=memory(*reversed(nights)))
    assert (made.limits.usual, made.limits.unapproved) == (_or_none(usual), _or_none(allowed))
    assert bool(made.items) == outcome.startswith("goes")


def items_of(count: str) -> list[Item]:
    return [item(one) for one in range(int(number(count)))]


def _or_none(text: str) -> float | None:
    return number(text) if text else None


def test_a_timer_of_every_five_minutes() -> None:
    """However often retention runs, what is usual is known for as many nights."""
    known = memory()
    for days in range(20, 0, -1):
        for run in range(288):
            known = known.with_night(replace(night(days, 1), plan_id=f"{days}-{run}"), None)
    assert known.nights[0].day == night(20, 1).day
    assert limits_of(Brakes(), known, 1000, DAY).usual == 288
