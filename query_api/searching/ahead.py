"""Calls that run ahead of whoever takes their results."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
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


async def while_any(calls: Iterable[Callable[[], Coroutine[Any, Any, T]]]) -> AsyncGenerator[T]:
    """Yield what calls return as long as they return something; each is made when the result before it is there.

    When it is closed, the one under way is cancelled.

    Raises:
        Exception: what a call raises, in its turn.
    """
    under_way: list[asyncio.Task[T]] = []
    last: list[T] = []
    try:
        for call in calls:
            under_way.append(asyncio.create_task(call()))
            if last:
                yield last.pop()
            if not (result := await under_way[0]):
                return
            under_way.clear()
            last.append(result)
        if last:
            yield last.pop()
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


async def _next(under_way: deque[asyncio.Task[T]]) -> T:
    result = await under_way[0]
    under_way.popleft()
    return result
