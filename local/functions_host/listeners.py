"""The loops that wait for work: polled for ever, through outages, until told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from azure.core.exceptions import ResourceNotFoundError

from local.functions_host.output import say
from local.functions_host.queue_pump import QueuePump

# After its invocations have ended, settling a message takes one or two short calls.
_SETTLE_SECONDS = 2.0


class Listeners:
    """All loops of a host."""

    def __init__(self) -> None:
        self._loops: list[asyncio.Task[None]] = []
        self._pumps: list[QueuePump] = []

    def poll(self, name: str, step: Callable[[], Awaitable[None]], rest: Callable[[], Awaitable[None]]) -> None:
        """Run `step` again and again, with `rest` in between."""
        self._loops.append(asyncio.create_task(_poll(name, step, rest)))

    def pump(self, name: str, pump: QueuePump) -> None:
        """Drain a queue."""
        self._pumps.append(pump)
        self.poll(name, pump.drain, pump.rest)

    async def stop(self) -> None:
        """Take no more work."""
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)

    async def finish(self) -> None:
        """Let the messages that were taken be settled."""
        finishing = asyncio.gather(*(pump.finish() for pump in self._pumps))
        await asyncio.wait([finishing], timeout=_SETTLE_SECONDS)


async def _poll(name: str, step: Callable[[], Awaitable[None]], rest: Callable[[], Awaitable[None]]) -> None:
    failing = False
    while True:
        try:
            await step()
            failing = False
        except ResourceNotFoundError:
            pass  # a container or queue that may come yet
        except Exception as error:
            if not failing:  # one line an outage
                say(name, "listener failed", type(error).__name__)
            failing = True
        await rest()
