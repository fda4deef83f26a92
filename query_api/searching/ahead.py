"""Calls that run ahead of whoever takes their results."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

T = TypeVar("T")


async def in_order(
    calls: Iterable[Callable[[], Coroutine[Any, Any, T]]], at_once: int, at_first: int | None = None
) -> AsyncGenerator[T]:
    """Yield what calls return, in the order of the calls; when it is closed, those under way are cancelled.

    Args:
        calls: made as they are needed; there may be any number.
        at_once: how many may be under way, the one whose result is taken among them.
        at_first: the same until the first result is taken, for whoever takes the others may not come; as many if None.

    Raises:
        Exception: what a call raises, in its turn.
    """
    under_way: deque[asyncio.Task[T]] = deque()
    most = at_first or at_once
    try:
        for call in calls:
            under_way.append(asyncio.create_task(call()))
            if len(under_way) == most:
                yield await _next(under_way)
                most = at_once
        while under_way:
            yield await _next(under_way)
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


async def side_by_side(calls: Sequence[Callable[[], Coroutine[Any, Any, T]]]) -> list[T]:
    """Return what calls return that are made at the same time; if one fails, the others are cancelled.

    Raises:
        Exception: what a call raises, the first in order.
    """
    async with aclosing(in_order(calls, at_once=len(calls))) as results:
        return [result async for result in results]


async def _next(under_way: deque[asyncio.Task[T]]) -> T:
    result = await under_way[0]
    under_way.popleft()
    return result
