"""Work for a caller ends when nobody waits for it any more, and for no other reason."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message

from shared.connection import while_connected


async def stay() -> Message:
    """Be a caller that waits."""
    await asyncio.Event().wait()
    raise AssertionError


async def hang_up() -> Message:
    """Be a caller that goes while the work is under way."""
    await asyncio.sleep(0)
    return {"type": "http.disconnect"}


async def fail() -> Message:
    """Be a connection that cannot be listened to."""
    await asyncio.sleep(0)
    raise OSError


class Work:
    """Goes on until it is ended; then it does something else, and notes that it is over."""

    def __init__(self, at_end: Callable[[], Awaitable[object]]) -> None:
        self._at_end = at_end
        self.has_begun = asyncio.Event()
        self.is_over = False

    async def do(self) -> None:
        """Do it."""
        self.has_begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await self._at_end()
            self.is_over = True


async def stumble() -> None:
    """Fail while giving something back."""
    raise ValueError


async def test_what_work_comes_to_is_handed_on() -> None:
    """A result or an error, and nobody listens any longer."""
    others = asyncio.all_tasks()
    assert await while_connected(stay, asyncio.sleep(0, "result")) == "result"
    with pytest.raises(ValueError):  # noqa: PT011  (it has no text)
        await while_connected(stay, stumble())
    assert asyncio.all_tasks() == others


@pytest.mark.parametrize("receive", [hang_up, fail])
@pytest.mark.parametrize("at_end", [lambda: asyncio.sleep(0.01), stumble])
async def test_work_has_ended_when_a_hang_up_is_told(
    receive: Callable[[], Awaitable[Message]], at_end: Callable[[], Awaitable[object]]
) -> None:
    """However long it takes to give back what it holds, and even if it fails in that; whoever asked goes on."""
    others, work = asyncio.all_tasks(), Work(at_end)
    with pytest.raises(ClientDisconnect):
        await while_connected(receive, work.do())
    assert work.is_over is (at_end is not stumble)
    assert asyncio.all_tasks() == others
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


@pytest.mark.parametrize("goes_as_well", [False, True])
async def test_what_cancels_the_lookup_is_no_hang_up(goes_as_well: bool) -> None:
    """Even where the caller goes at the same time: what the work holds is given back all the same."""
    work = Work(lambda: asyncio.sleep(0.01))
    gone = asyncio.Event()

    async def receive() -> Message:
        await gone.wait()
        return {"type": "http.disconnect"}

    lookup = asyncio.create_task(while_connected(receive, work.do()))
    await work.has_begun.wait()
    lookup.cancel()
    if goes_as_well:
        gone.set()
    with pytest.raises(asyncio.CancelledError):
        await lookup
    assert work.is_over


async def test_a_time_limit_is_told_from_a_hang_up() -> None:
    """The lookup is too slow, and its caller is there to hear it."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await while_connected(stay, Work(lambda: asyncio.sleep(0)).do())
