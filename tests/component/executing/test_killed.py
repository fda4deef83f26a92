"""A run is killed at each request that it sends; the next one brings to an end what it has begun."""

from __future__ import annotations

import signal
from itertools import count

import pytest

from purge_study.executing.warrant import Warrant
from tests.kit.deletions import Deletions, Victim, bring_to_an_end
from tests.kit.gateway import Fault, Moment, Step

pytestmark = pytest.mark.anyio


async def test_killed_at_each_request(deletions: Deletions) -> None:
    warrant = await deletions.warrant()
    first_write, _ = await deletions.steps(warrant)
    killed: list[Victim] = []

    async def kill(fault: Fault) -> Step | None:
        killed.append(await deletions.due(warrant=warrant))
        step = _kill(deletions, fault, warrant, killed[-1])
        killed[-1].check_meanwhile()
        return step

    assert await kill(Fault(1, Moment.BEFORE))
    for number in count(first_write):
        step = await kill(Fault(number, Moment.BEFORE))
        if step is None:
            break
        for moment in (Moment.DURING, Moment.AFTER) if step.method != "GET" else ():
            assert await kill(Fault(number, moment))
    assert len(killed) > 30
    assert any(victim.is_there for victim in killed)
    assert any(victim.intent for victim in killed)
    await bring_to_an_end(deletions, warrant, killed)


@pytest.mark.parametrize("moment", [Moment.BEFORE, Moment.AFTER])
async def test_dead_while_resolving(deletions: Deletions, moment: Moment) -> None:
    """A run that dies while it resolves what another left, a study there or gone, leaves it to the next one."""
    warrant = await deletions.warrant()
    _, deletion = await deletions.steps(warrant)
    for number in count(1):
        victim = await _left(deletions, warrant, deletion, moment)
        is_over = await deletions.die_resolving(number)
        victim.check_meanwhile()
        await bring_to_an_end(deletions, warrant, [victim])
        if is_over:
            break
    assert number > 5


def _kill(deletions: Deletions, fault: Fault, warrant: Warrant, *victims: Victim) -> Step | None:
    exit_code = deletions.run_and_kill(warrant, fault, *victims)
    deletions.let_lease_end()
    steps = deletions.gateway.steps
    if exit_code == 0:
        assert len(steps) < fault.at or fault.moment is not Moment.BEFORE
        return None if len(steps) < fault.at else steps[-1]
    assert exit_code == -signal.SIGKILL
    return steps[-1]


async def _left(deletions: Deletions, warrant: Warrant, at: int, moment: Moment) -> Victim:
    victim = await deletions.due(warrant=warrant)
    await deletions.die(victim, warrant, at, moment)
    assert victim.is_there == (moment is Moment.BEFORE)
    assert victim.intent
    return victim
