"""Starts what the app's blob triggers need: the internal queue's pump, and a scan a function."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from local.functions_host.blob_scan import BlobScan
from local.functions_host.blob_trigger import BlobCalls, BlobSource
from local.functions_host.invocations import Invoker
from local.functions_host.listeners import Listeners
from local.functions_host.queue_pump import PumpSettings, QueuePump
from local.functions_host.receipts import Receipts
from local.functions_host.settings import HostSettings, is_disabled
from local.functions_host.storage import HOSTS_CONTAINER, Account, send


async def listen(
    sources: Sequence[BlobSource],
    host_account: Account,
    invoker: Invoker,
    settings: HostSettings,
    listeners: Listeners,
) -> tuple[BlobCalls, Callable[[str], Awaitable[None]]]:
    """Start the loops; return what calls the functions, and what feeds it with a message, which it then looks for.

    Raises:
        AzureError: storage does not answer.
    """
    queue = await host_account.queue(f"azure-webjobs-blobtrigger-{settings.host_id}")
    calls = BlobCalls(sources, invoker, host_account)
    pump = QueuePump(queue, _pump_settings(settings), calls.handle, calls.poison)
    listeners.add("blob trigger", pump)
    receipts = Receipts(host_account.blobs.get_container_client(HOSTS_CONTAINER), settings.host_id)
    for source in sources:
        if not source.function.from_event_grid and not is_disabled(source.function.name):
            scan = BlobScan(source, receipts, queue, pump.wake, settings.poll_seconds)
            listeners.add(source.function.name, scan)

    async def feed(message: str) -> None:
        await send(queue, message)
        pump.wake()

    return calls, feed


def _pump_settings(settings: HostSettings) -> PumpSettings:
    return PumpSettings(
        parallelism=settings.blob_parallelism,
        batch_size=(settings.blob_parallelism + 1) // 2,
        max_dequeue_count=settings.poison_blob_threshold,
        retry_after_seconds=0,  # the real host, too, tries a failed blob again at once
        lock_seconds=settings.lock_seconds,
        poll_seconds=settings.poll_seconds,
    )
