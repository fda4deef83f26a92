"""Calls that run ahead of whoever takes their results."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from functools import partial

import pytest

from query_api.searching.ahead import in_order, side_by_side


class Calls:
    """Calls that end when they are let; what is under way is known."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.cancelled: list[int] = []
        self.third = asyncio.Event()
        self.let = [asyncio.Event() for _ in range(5)]

    async def call(self, number: int) -> int:
        """Return the number once that is let."""
        self.begun.append(number)
        if len(self.begun) == 3:
            self.third.set()
        try:
            await self.let[number].wait()
        except asyncio.CancelledError:
            self.cancelled.append(number)
            raise
        return number

    def let_all(self) -> None:
        """Let all calls end."""
        for event in self.let:
            event.set()


async def test_results_come_in_order_whoever_is_faster() -> None:
    """And no more calls are under way than may be."""
    calls = Calls()
    async with aclosing(in_order((partial(calls.call, n) for n in range(5)), at_once=3)) as results:
        first = asyncio.ensure_future(anext(results))
        for event in reversed(calls.let[1:]):
            event.set()
        await calls.third.wait()
        assert calls.begun == [0, 1, 2]
        assert not first.done()
        calls.let_all()
        assert [await first, *[result async for result in results]] == [0, 1, 2, 3, 4]
    assert calls.cancelled == []


async def test_what_nobody_takes_is_cancelled() -> None:
    """Once it is closed, nothing is under way."""
    calls = Calls()
    calls.let[0].set()
    async with aclosing(in_order((partial(calls.call, n) for n in range(5)), at_once=3)) as results:
        assert await anext(results) == 0
    assert (calls.begun, calls.cancelled) == ([0, 1, 2], [1, 2])


async def test_a_failure_comes_in_its_turn_and_ends_all() -> None:
    """What was asked for after it is cancelled."""
    calls = Calls()
    calls.let[0].set()

    async def fail() -> int:
        raise EOFError

    three: list[Callable[[], Coroutine[None, None, int]]] = [partial(calls.call, 0), fail, partial(calls.call, 1)]
    async with aclosing(in_order(three, at_once=3)) as results:
        assert await anext(results) == 0
        with pytest.raises(EOFError):
            await anext(results)
    assert calls.cancelled == [1]


async def test_nothing_to_call() -> None:
    """It ends at once."""
    nothing: list[Callable[[], Coroutine[None, None, int]]] = []
    assert [result async for result in in_order(nothing, at_once=2)] == []


async def test_side_by_side() -> None:
    """All are under way at once, and their results are in the order of the calls."""
    calls = Calls()
    waiting = asyncio.create_task(side_by_side([partial(calls.call, number) for number in (1, 2)]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert calls.begun == [1, 2]
    calls.let_all()
    assert await waiting == [1, 2]


async def test_side_by_side_ends_with_the_first_that_fails() -> None:
    """Nobody waits for the others."""

    async def fail() -> int:
        raise RuntimeError

    calls = Calls()
    failing: list[Callable[[], Coroutine[None, None, int]]] = [fail, partial(calls.call, 1)]
    with pytest.raises(RuntimeError):
        await side_by_side(failing)
    assert calls.cancelled == [1]
