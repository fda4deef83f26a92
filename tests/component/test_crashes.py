"""The app is killed at each request that it sends, started again, and the event delivered again, as hosts do."""

from __future__ import annotations

import signal
from itertools import count

import pytest

from tests.kit.drops import Drop, World
from tests.kit.gateway import Fault, Moment, Step
from tests.kit.walks import WALKS, Walk


@pytest.mark.parametrize("name", WALKS)
def test_killed_at_each_request(world: World, name: str) -> None:
    """Before a request, and in the middle of its body; what follows an answer is what precedes the next request."""
    walk = WALKS[name]
    killed: list[Drop] = []
    for number in count(1):
        drop = Drop(world, f"{name}/{number}.dcm", walk.make())
        killed.append(drop)
        step = kill_at(walk, drop, Fault(number, Moment.BEFORE))
        walk.check_killed(drop)
        if step is None:
            break
        if step.body_bytes:
            drop = Drop(world, f"{name}/in {number}.dcm", walk.make())
            killed.append(drop)
            assert kill_at(walk, drop, Fault(number, Moment.DURING))
            walk.check_killed(drop)
    assert len(killed) > 4
    world.let_claims_end()
    world.bring_to_an_end(walk.settings, *(drop.work for drop in killed))
    for drop in killed:
        walk.check(drop)


def kill_at(walk: Walk, drop: Drop, fault: Fault) -> Step | None:
    """Return the request at which the run was killed; None if it came to its end without so many."""
    world = drop.world
    drop.work = walk.prepare(drop)
    exit_code = world.run_and_kill(walk.settings, drop.work, fault)
    world.is_up()
    if len(world.gateway.steps) < fault.at:
        assert exit_code == 0
        return None
    assert exit_code == -signal.SIGKILL
    return world.gateway.steps[-1]
