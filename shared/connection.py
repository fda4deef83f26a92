"""The caller's connection: work ends when the caller hangs up."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar, cast

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
    # The work has no task of its own: with one, and waiting for either, this would take twice as long.
    working = cast("asyncio.Task[Any]", asyncio.current_task())
    cancelled_before = working.cancelling()
    listening = asyncio.create_task(_cancel_at_hang_up(receive, working, cancelled_before))
    try:
        return await work
    except BaseException:
        if _has_cancelled(listening) and working.uncancel() <= cancelled_before:
            raise ClientDisconnect from None
        raise
    finally:
        listening.cancel()
        # `wait` raises nothing of the task's. Two must not listen at the same time.
        await asyncio.wait((listening,))


async def _cancel_at_hang_up(receive: Receive, working: asyncio.Task[Any], cancelled_before: int) -> bool:
    """Return whether the task was cancelled: one that is ending for another reason is left to it."""
    with suppress(Exception):  # whoever cannot be heard is gone
        while (await receive())["type"] != "http.disconnect":
            pass
    return working.cancelling() == cancelled_before and working.cancel()


def _has_cancelled(listening: asyncio.Task[bool]) -> bool:
    return listening.done() and not listening.cancelled() and listening.result()
