"""Running functions: time limit, one line of log each, and a calm end."""

import asyncio
import time
import uuid
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from local.functions_host.functions import Function, TypedValue
from local.functions_host.output import say
from local.functions_host.tracing import continued

OUT_OF_TIME = "functionTimeout exceeded"


class InvocationFailed(Exception):
    """A function raised. `where` is the exception's class and place; its text stays unsaid."""

    def __init__(self, where: str) -> None:
        super().__init__(where)
        self.where = where


class HostStopping(Exception):
    """The host takes no more work."""


@dataclass(frozen=True)
class Invocation:
    """One call of a function: what its trigger's parameter gets, and the trigger's metadata.

    `data` is a TypedValue, or, in streaming mode under the SDK worker, the live request itself. `traceparent` is the
    host's own span of it.
    """

    function: Function
    data: Any
    metadata: Mapping[str, TypedValue] = field(default_factory=dict)
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    traceparent: str = field(default_factory=lambda: continued(None))


class Invokes(Protocol):
    """The part of a worker that calls functions."""

    async def invoke(self, invocation: Invocation) -> Any:
        """Call the function and return what it returned.

        Raises:
            InvocationFailed: the function raised.
        """


class Invoker:
    """Calls functions through a worker and reports each call on one line."""

    def __init__(self, worker: Invokes, timeout_seconds: float | None) -> None:
        self._worker = worker
        self.timeout_seconds = timeout_seconds
        self._running: set[asyncio.Task[Any]] = set()
        self._stopping = False

    async def run(self, invocation: Invocation) -> Any:
        """Run an invocation to its end and return the function's result.

        The call goes on if the caller is cancelled: in Azure, too, a client that hangs up does not
        stop a function that has not answered yet.

        Raises:
            InvocationFailed: the function raised or ran out of time.
            HostStopping: the host is shutting down.
        """
        return await asyncio.shield(self.start(invocation))

    def start(self, invocation: Invocation) -> "asyncio.Task[Any]":
        """Start an invocation in a task of its own.

        Raises:
            HostStopping: the host is shutting down.
        """
        if self._stopping:
            raise HostStopping
        return self._track(self._run_and_report(invocation))

    def _track(self, coroutine: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        task = asyncio.get_running_loop().create_task(coroutine)
        self._running.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: "asyncio.Task[Any]") -> None:
        self._running.discard(task)
        # Mark the exception as seen: a caller that was cancelled never fetches it, and asyncio
        # would print its text.
        if not task.cancelled():
            task.exception()

    async def _run_and_report(self, invocation: Invocation) -> Any:
        started = time.perf_counter()
        outcome, where = "succeeded", ""
        try:
            return await self._run_in_time(invocation)
        except InvocationFailed as failure:
            outcome, where = "failed", failure.where
            raise
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        finally:
            seconds = time.perf_counter() - started
            fields = [invocation.function.name, outcome, f"{seconds:.3f} s", invocation.id, where]
            say(*(part for part in fields if part))

    async def _run_in_time(self, invocation: Invocation) -> Any:
        try:
            async with asyncio.timeout(self.timeout_seconds) as limit:
                return await self._worker.invoke(invocation)
        except TimeoutError:
            if not limit.expired():
                raise
            raise InvocationFailed(OUT_OF_TIME) from None

    async def drain(self, grace_seconds: float) -> None:
        """Take no more work, let running functions finish for a while, then cancel the rest."""
        self._stopping = True
        running = set(self._running)
        if not running:
            return
        _, late = await asyncio.wait(running, timeout=grace_seconds)
        for task in late:
            task.cancel()
        # A function may refuse to be cancelled; the process ends all the same.
        if late:
            await asyncio.wait(late, timeout=1)
