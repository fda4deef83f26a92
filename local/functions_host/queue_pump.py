"""Takes messages from a queue and has them handled: locked, retried, and set aside after too many tries."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient

from local.functions_host.invocations import HostStopping
from local.functions_host.output import say

# The queue service gives at most this many at once.
_LARGEST_BATCH = 32
# As Azure's: it looks again so soon after a message, and each time it finds none it waits longer.
_SHORTEST_POLL_SECONDS = 0.1
# Renewing at a third of the lock leaves room for one renewal that fails.
_RENEWALS_PER_LOCK = 3


class Unreadable(Exception):
    """The message can never be handled; it goes to the poison queue without being tried again."""


@dataclass(frozen=True)
class PumpSettings:
    """How a queue is drained."""

    parallelism: int
    batch_size: int
    max_dequeue_count: int
    retry_after_seconds: float
    lock_seconds: float
    poll_seconds: float  # of an idle queue


class QueuePump:
    """Drains one queue.

    Args:
        queue: where the messages are.
        handle: gets a message and returns whether it succeeded; raises Unreadable.
        poison: sets a message aside; None if there is nowhere to: a message that fails stays hidden until its lock
            runs out, for ever, as in Azure.
    """

    def __init__(
        self,
        queue: QueueClient,
        settings: PumpSettings,
        handle: Callable[[QueueMessage], Awaitable[bool]],
        poison: Callable[[QueueMessage], Awaitable[None]] | None,
    ) -> None:
        self._queue = queue
        self._settings = settings
        self._handle = handle
        self._poison = poison
        self._running: set[asyncio.Task[None]] = set()
        self._receiving: asyncio.Task[bool] | None = None
        self._wake = asyncio.Event()
        self._next_poll_seconds = settings.poll_seconds

    def wake(self) -> None:
        """Look at the queue now rather than at the next poll."""
        self._wake.set()

    async def step(self) -> None:
        """Take messages until there are none; they are handled in tasks of their own.

        Raises:
            AzureError: storage failed.
        """
        while await self._take():
            pass

    async def finish(self) -> None:
        """Wait until every message taken is dealt with."""
        if self._receiving is not None:
            await asyncio.wait({self._receiving})
        if self._running:
            await asyncio.wait(self._running)

    async def _take(self) -> bool:
        # As in Azure: a batch at a time, once there is room for all of it, and not a request for each message.
        if len(self._running) > self._settings.parallelism - self._settings.batch_size:
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
            return True
        # Cleared before looking: a wake-up during the look counts for the next one.
        self._wake.clear()
        # Shielded: messages that were on their way when the host stops would stay hidden.
        self._receiving = asyncio.create_task(self._receive())
        return await asyncio.shield(self._receiving)

    async def _receive(self) -> bool:
        count = min(self._settings.batch_size, _LARGEST_BATCH)
        messages = self._queue.receive_messages(
            messages_per_page=count,
            max_messages=count,
            visibility_timeout=round(self._settings.lock_seconds),
        )
        received = False
        async for message in messages:
            task = asyncio.create_task(self._process(message))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            received = True
        if received:
            self._next_poll_seconds = _SHORTEST_POLL_SECONDS
        return received

    async def rest(self) -> None:
        """Wait for the next poll or a wake-up."""
        seconds = min(self._next_poll_seconds, self._settings.poll_seconds)
        self._next_poll_seconds = 2 * seconds
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), seconds)

    async def _process(self, message: QueueMessage) -> None:
        try:
            async with _Lock(self._queue, message, self._settings.lock_seconds):
                outcome = await self._try(message)
            await outcome(message)
        except AzureError as error:
            # The message shows up again when its lock runs out.
            say("queue", "not settled", type(error).__name__)

    async def _try(self, message: QueueMessage) -> Callable[[QueueMessage], Awaitable[None]]:
        """Handle a message and return what is to become of it."""
        count = message.dequeue_count or 1
        if self._poison and count > self._settings.max_dequeue_count:
            return self._set_aside
        try:
            succeeded = await self._handle(message)
        except Unreadable:
            return self._set_aside
        except (asyncio.CancelledError, HostStopping):
            return self._release_now
        except AzureError:
            raise  # storage is away: the lock runs out while it comes back
        except Exception as error:
            say("queue", "message not handled", type(error).__name__)
            succeeded = False
        if succeeded:
            return self._delete
        last = self._poison is None or count >= self._settings.max_dequeue_count
        return self._set_aside if last else self._release

    async def _delete(self, message: QueueMessage) -> None:
        with contextlib.suppress(ResourceNotFoundError):  # another host was faster
            await self._queue.delete_message(message)

    async def _release(self, message: QueueMessage) -> None:
        await self._queue.update_message(message, visibility_timeout=round(self._settings.retry_after_seconds))
        self.wake()

    async def _release_now(self, message: QueueMessage) -> None:
        await self._queue.update_message(message, visibility_timeout=0)

    async def _set_aside(self, message: QueueMessage) -> None:
        if self._poison is not None:
            await self._poison(message)
            await self._delete(message)


class _Lock:
    """Keeps a message hidden while it is handled.

    A message of a host that was killed comes back when its lock runs out. The renewal is never
    cancelled half-way: it would change the pop receipt without our knowing.
    """

    def __init__(self, queue: QueueClient, message: QueueMessage, seconds: float) -> None:
        self._queue = queue
        self._message = message
        self._seconds = seconds
        self._done = asyncio.Event()

    async def __aenter__(self) -> None:
        self._renewing = asyncio.create_task(self._renew())

    async def __aexit__(self, *exception: object) -> None:
        self._done.set()
        await self._renewing

    async def _renew(self) -> None:
        while not await self._is_done_within(self._seconds / _RENEWALS_PER_LOCK):
            try:
                renewed = await self._queue.update_message(self._message, visibility_timeout=round(self._seconds))
            except AzureError as error:
                say("queue", "lock not renewed", type(error).__name__)
            else:
                self._message.pop_receipt = renewed.pop_receipt

    async def _is_done_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._done.wait(), seconds)
        except TimeoutError:
            return False
        return True
