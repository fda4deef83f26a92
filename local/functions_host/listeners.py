"""The loops that wait for work: polled for ever, through outages, until told to stop."""

from __future__ import annotations

import asyncio
from typing import Protocol

from azure.core.exceptions import ResourceNotFoundError

from local.functions_host.output import say

# After its invocations have ended, settling a message takes one or two short calls.
_SETTLE_SECONDS = 2.0


class Source(Protocol):
    """A source of work."""

    async def step(self) -> None:
        """Look for work once, or for ever; an exception ends in another try after a rest.

        Raises:
            AzureError: storage failed.
        """

    async def rest(self) -> None:
        """Wait until it is worth looking again."""

    async def finish(self) -> None:
        """Wait until all that was begun is recorded."""


class Listeners:
    """All sources of a host, each polled by a loop of its own."""

    def __init__(self) -> None:
        self._loops: list[asyncio.Task[None]] = []
        self._sources: list[Source] = []

    def add(self, name: str, source: Source) -> None:
        """Begin to poll a source."""
        self._sources.append(source)
        self._loops.append(asyncio.create_task(_poll(name, source)))

    async def stop(self) -> None:
        """Take no more work."""
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)

    async def finish(self) -> None:
        """Let what was begun be recorded, for a short while."""
        finishing = [asyncio.create_task(source.finish()) for source in self._sources]
        if finishing:
            await asyncio.wait(finishing, timeout=_SETTLE_SECONDS)


async def _poll(name: str, source: Source) -> None:
    failing = False
    while True:
        try:
            await source.step()
            failing = False
        except ResourceNotFoundError:
            pass  # a container or queue that may come yet
        except Exception as error:
            if not failing:  # one line an outage
                say(name, "listener failed", type(error).__name__)
            failing = True
        await source.rest()
