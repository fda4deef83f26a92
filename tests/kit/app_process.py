"""One run of the app's handler, in a process that can be killed; it waits for nothing that it need not wait for."""

from __future__ import annotations

import asyncio
import multiprocessing
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from multiprocessing.context import ForkServerProcess

from azure.storage.blob.aio import ExponentialRetry

from shared import storage as shared_storage
from shared.arrivals import Arrival, Door
from shared.clients import Clients
from shared.dicomweb import DICOMwebClient
from shared.dicomweb.retry import RetryPolicy
from shared.dicomweb.transport import AiohttpTransport
from shared.settings import Settings, load
from store_on_upload.doors.messages import handle_message
from store_on_upload.ingest import Ingest
from store_on_upload.probing import probe
from store_on_upload.probing.dropped import NAME, Dropped, drop
from store_on_upload.upload import handle
from store_on_upload.waiting import deferral

Work = Arrival | bytes | str
PROBE = "probe"

# Each process is forked from one that has imported all of this, which spares it most of a second.
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([__name__])


def start(environment: Mapping[str, str], *works: Work) -> ForkServerProcess:
    """Start a process that does one work after the other; its exit code is 0 if all ended well.

    Args:
        environment: the app's settings.
        works: arrivals, messages of the queue, or `PROBE`, whose file is handled as soon as it is dropped.
    """
    process = _context.Process(target=_run, args=(dict(environment), works))
    process.start()
    return process


@asynccontextmanager
async def open_clients(settings: Settings) -> AsyncIterator[Clients]:
    """Open what the app works with; of the DICOM service no token is asked."""
    dicom = DICOMwebClient(
        settings.dicom_service_url,
        transport=AiohttpTransport(tls=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)),  # to load the roots takes long
        retry=RetryPolicy(first_pause_seconds=0),
    )
    async with aclosing(Clients.over(settings, dicom)) as clients:
        yield clients


def _run(environment: Mapping[str, str], works: Sequence[Work]) -> None:
    shared_storage._retry = _retry_at_once
    deferral._FIRST_DELAY_SECONDS = 0.0
    asyncio.run(_handle(load(environment), works))


async def _handle(settings: Settings, works: Sequence[Work]) -> None:
    async with open_clients(settings) as clients:
        ingest = Ingest.over(clients)
        for work in works:
            await _do(ingest, work)


async def _do(ingest: Ingest, work: Work) -> None:
    match work:
        case Arrival():
            await handle(ingest, work)
        case bytes():
            await handle_message(ingest, work)
        case str():
            await _probe(ingest)


async def _probe(ingest: Ingest) -> None:
    async def drop_and_handle(clients: Clients) -> Dropped | None:
        dropped = await drop(clients)
        [name] = [name async for name in clients.inbox.list_blob_names(name_starts_with=NAME)]
        await handle(ingest, Arrival((name,), Door.EVENT))
        return dropped

    setattr(probe, "drop", drop_and_handle)  # noqa: B010  (it exports none; in this process alone)
    await probe.probe(ingest)


def _retry_at_once() -> ExponentialRetry:
    return ExponentialRetry(initial_backoff=0, increment_base=0, retry_total=3, random_jitter_range=0)
