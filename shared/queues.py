"""The queue that leads back to the handler, and those where messages are set aside.

Messages live for ever: the queue's own default would drop them after a week.
"""

from __future__ import annotations

from dataclasses import replace

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.queue.aio import QueueClient, QueueServiceClient

from shared.arrivals import Arrival, Renamed, write_message
from shared.telemetry.recording import traceparent

ARRIVALS = "dicom-arrivals"
ARRIVALS_POISON = f"{ARRIVALS}-poison"
PARKED = f"{ARRIVALS}-parked"
# The host's own, shared by all blob triggers of the storage account, whichever app's they are.
BLOB_POISON = "webjobs-blobtrigger-poison"
FOREIGN_POISON = f"{BLOB_POISON}-foreign"

_FOR_EVER = -1
# The queue service hides a message for at most a week.
_LONGEST_DELAY_SECONDS = 7 * 24 * 3600


class Queues:
    """The app's queues of the inbox's account; one that is missing is created."""

    def __init__(self, service: QueueServiceClient) -> None:
        self._service = service

    async def send(self, item: Arrival | Renamed, delay_seconds: float = 0) -> None:
        """Have an arrival handled, not before the delay has passed.

        Raises:
            AzureError: storage failed.
        """
        await self._put(ARRIVALS, write_message(item), delay_seconds)

    async def send_back(self, arrival: Arrival, delay_seconds: float) -> None:
        """Have an arrival that is being handled handled again, after the delay, in the same trace.

        Raises:
            AzureError: storage failed.
        """
        await self.send(replace(arrival, traceparent=traceparent() or arrival.traceparent), delay_seconds)

    async def waiting(self, name: str = ARRIVALS) -> int:
        """Return about how many messages a queue holds, those that are hidden until later included.

        Raises:
            AzureError: storage failed.
        """
        try:
            properties = await self._service.get_queue_client(name).get_queue_properties()
        except ResourceNotFoundError:
            return 0
        return int(properties.approximate_message_count or 0)

    async def park(self, content: str) -> None:
        """Set a message aside that cannot be read."""
        await self._put(PARKED, content)

    async def set_aside_foreign(self, content: str) -> None:
        """Hand a poison message of another app on, as it is."""
        await self._put(FOREIGN_POISON, content)

    async def _put(self, name: str, content: str, delay_seconds: float = 0) -> None:
        queue = self._service.get_queue_client(name)
        delay = min(int(delay_seconds), _LONGEST_DELAY_SECONDS)
        try:
            await _send(queue, content, delay)
        except ResourceNotFoundError:
            await _create(queue)
            await _send(queue, content, delay)


async def _send(queue: QueueClient, content: str, delay: int) -> None:
    await queue.send_message(content, visibility_timeout=delay, time_to_live=_FOR_EVER)


async def _create(queue: QueueClient) -> None:
    try:
        await queue.create_queue()
    except ResourceExistsError:
        return
