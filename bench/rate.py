"""How often something can be done in a second, so many at once; with the standard library alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from bench.programs import take_turns


async def rate(do: Callable[[], Awaitable[object]], at_once: int, seconds: float) -> float:
    """Do it again and again, so many at once, until the time is over; return how often a second it was done."""
    until = time.perf_counter() + seconds
    count = 0

    async def one_after_the_other() -> None:
        nonlocal count
        while time.perf_counter() < until:
            await do()
            count += 1

    started = time.perf_counter()
    await asyncio.gather(*[one_after_the_other() for _ in range(at_once)])
    return count / (time.perf_counter() - started)


async def take_turns_at(do: Callable[[], Awaitable[object]]) -> None:
    """Be a side that does something: each round says how much at once, and for how many seconds."""

    async def measure(at_once: int, seconds: float) -> float:
        return await rate(do, at_once, seconds)

    await take_turns(measure)
