"""The caller's connection: work ends when the caller hangs up."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive

T = TypeVar("T")


async def while_connected(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Do some work as long as somebody waits for it, and end it, with all that it holds, when nobody does.

    Args:
        receive: tells what comes from the caller (ASGI).
        work: is cancelled, and has ended, before this returns.

    Raises:
        ClientDisconnect: the caller hung up.
        Exception: whatever the work raises.
    """
    working = asyncio.ensure_future(work)
    listening = asyncio.ensure_future(_hang_up(receive))
    try:
        await asyncio.wait((working, listening), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientDisconnect
    finally:
        await _end(listening)
        await _end(working)


async def _hang_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _end(task: asyncio.Future[Any]) -> None:
    task.cancel()
    # `wait` raises nothing of the task's, and is not cancelled with it.
    await asyncio.wait((task,))
    if not task.cancelled():
        task.exception()  # seen: what it raised while it was cancelled is nobody's concern
