"""Readiness is asked for once, however many want to know."""

from __future__ import annotations

import asyncio

import pytest

from query_api import health
from query_api.health import Readiness


class CountedReadiness(Readiness):
    """Takes its time to find out, and counts how often it does."""

    def __init__(self, *, ready: bool) -> None:
        super().__init__()
        self.ready = ready
        self.asked = 0

    async def _ask(self) -> bool:
        self.asked += 1
        await asyncio.sleep(0.05)
        return self.ready


@pytest.mark.parametrize("ready", [True, False])
async def test_callers_at_the_same_moment_share_one_answer(ready: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where finding out takes as long as the answer is kept: an outage must not make a queue of them."""
    monkeypatch.setattr(health, "_KEPT_SECONDS", 0.05)
    readiness = CountedReadiness(ready=ready)
    assert await asyncio.gather(*(readiness.is_ready() for _ in range(5))) == [ready] * 5
    assert readiness.asked == 1


async def test_the_answer_is_forgotten_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that is back is found to be back."""
    monkeypatch.setattr(health, "_KEPT_SECONDS", 0.01)
    readiness = CountedReadiness(ready=False)
    assert not await readiness.is_ready()
    readiness.ready = True
    await asyncio.sleep(0.05)
    assert await readiness.is_ready()
