"""The triggers of ingest: three doors to one handler, what the platform has set aside, a probe, and two requests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import azure.functions as func
from azurefunctions.extensions.bindings.blob import BlobClient
from azurefunctions.extensions.http.fastapi import Request, Response

from shared.arrivals import Arrival, Door
from shared.events import failed
from shared.queues import ARRIVALS, ARRIVALS_POISON, BLOB_POISON
from shared.settings import LONGEST_RUN_SECONDS, STORAGE_CONNECTION, trigger_settings

from .doors import poison
from .doors.messages import handle_message
from .ingest import Ingest, get_ingest
from .probing.probe import probe
from .requests.answering import answer, answer_read
from .requests.receipt_lookup import look_up_receipt
from .requests.replay_request import replay_quarantine
from .sweeping.set_aside import tell_of_what_is_set_aside
from .sweeping.sweep import sweep
from .upload import handle

blueprint = func.Blueprint()
_triggers = trigger_settings()


# The binding's client is made anew for each call, with a credential of its own: we take the name and use ours.
@blueprint.blob_trigger(
    arg_name="blob",
    path=f"{_triggers.inbox_container}/{{name}}",
    connection=STORAGE_CONNECTION,
    source=func.BlobSource(_triggers.blob_source),
)
async def store_on_upload(blob: BlobClient) -> None:
    """Bring a new blob to its verdict."""
    arrival = Arrival((blob.blob_name,), Door.BLOB)
    await _run("ingest_failed", lambda ingest: handle(ingest, arrival))


@blueprint.queue_trigger(arg_name="message", queue_name=ARRIVALS, connection=STORAGE_CONNECTION)
async def store_on_arrival(message: func.QueueMessage) -> None:
    """Bring the blobs that a message names to their verdicts: a storage event, or one of our own."""
    body = message.get_body()
    await _run("ingest_failed", lambda ingest: handle_message(ingest, body))


@blueprint.queue_trigger(arg_name="message", queue_name=ARRIVALS_POISON, connection=STORAGE_CONNECTION)
async def poisoned_arrival(message: func.QueueMessage) -> None:
    """Deal with a message of the queue that failed five times."""
    body = message.get_body()
    await _run("poison_failed", lambda ingest: poison.handle_poisoned_arrival(ingest, body))


@blueprint.queue_trigger(arg_name="message", queue_name=BLOB_POISON, connection=STORAGE_CONNECTION)
async def poisoned_blob(message: func.QueueMessage) -> None:
    """Deal with a message of a blob trigger that failed five times, ours or another app's."""
    body = message.get_body()
    await _run("poison_failed", lambda ingest: poison.handle_poisoned_blob(ingest, body))


@blueprint.timer_trigger(arg_name="timer", schedule=_triggers.sweep_schedule, run_on_startup=False, use_monitor=True)
async def sweep_inbox(timer: func.TimerRequest) -> None:
    """Send on what was missed, and tell of what waits for a person."""

    async def work(ingest: Ingest) -> None:
        await tell_of_what_is_set_aside(ingest)
        await sweep(ingest)

    await _run("sweep_failed", work)


if _triggers.probe_schedule:

    @blueprint.timer_trigger(
        arg_name="timer", schedule=_triggers.probe_schedule, run_on_startup=False, use_monitor=True
    )
    async def probe_route(timer: func.TimerRequest) -> None:
        """See whether a file that is dropped gets in."""
        await _run("probe_failed", probe)


# The name is a query: paths stand in the platform's logs, and names hold patients' in practice.
@blueprint.route("receipts", methods=["GET"])
async def receipts(req: Request) -> Response:
    """Answer with a blob's receipt."""
    return await answer_read(
        req, ("retrieve", "receipt"), "look up receipt", lambda access: look_up_receipt(req, access)
    )


@blueprint.route("quarantine/replay", methods=["POST"])
async def quarantine_replay(req: Request) -> Response:
    """Send files in quarantine through the handler again."""
    return await answer("replay quarantine", lambda: replay_quarantine(req))


async def _run(failure: str, work: Callable[[Ingest], Awaitable[None]]) -> None:
    """Do a trigger's work, for so long at most; an exception makes the host try again, five times in all (a timer's:
    not).
    """
    try:
        async with asyncio.timeout(LONGEST_RUN_SECONDS):
            await work(get_ingest())
    except Exception as error:
        raise failed(failure, error) from None
