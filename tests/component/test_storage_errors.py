"""Each request that the app sends to the storage account, or to the service, fails: in a passing way, or for good."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from tests.kit.drops import Drop, World
from tests.kit.gateway import Fault, Moment
from tests.kit.walks import WALKS, Walk

_TRIES = 4  # of the storage's client for one request
FAULTS = {
    "an answer is lost": lambda number: Fault(number, Moment.AFTER),
    "503 without effect": lambda number: Fault(number, Moment.BEFORE, 503, times=_TRIES),
    "500 after the effect": lambda number: Fault(number, Moment.AFTER, 500, times=_TRIES),
}
# Those that have every request among them.
NAMES = (
    "read in several pieces",
    "transcoded",
    "in conflict with its earlier version",
    "put off",
    "replayed, stored and kept",
    "replayed, and rejected again",
)


@pytest.mark.parametrize("name", NAMES)
def test_a_failure_of_each_request(world: World, name: str) -> None:
    """Whether it was carried out or not; the run ends well or is run again, and the end is the same."""
    walk = WALKS[name]
    drops = [drop for fault in FAULTS for drop in walk_with(world, walk, f"{name}/{fault}", fault)]
    world.bring_to_an_end(walk.settings, *(drop.work for drop in drops))
    for drop in drops:
        walk.check(drop)


def test_a_failure_of_each_request_of_a_replacement(world: World) -> None:
    """It has many more requests than any other way; what is carried out, and then said to have failed, is the worst."""
    walk, fault = WALKS["replacing"], "500 after the effect"
    drops = list(walk_with(world, walk, f"replacing/{fault}", fault))
    world.let_claims_end()
    world.bring_to_an_end(walk.settings, *(drop.work for drop in drops))
    for drop in drops:
        walk.check(drop)


def walk_with(world: World, walk: Walk, name: str, fault: str) -> Iterator[Drop]:
    """Yield a drop for each request that failed, and one for which none did."""
    for number in count(1):
        drop = Drop(world, f"{name}/{number}.dcm", walk.make())
        drop.work = walk.prepare(drop)
        exit_code = world.run(walk.settings, drop.work, fault=FAULTS[fault](number))
        world.is_up()
        yield drop
        if len(world.gateway.steps) < number:
            assert exit_code == 0
            return
