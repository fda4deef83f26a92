"""What the platform has set aside: ours is tried again, and not for ever; what is not ours is handed on as it is."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.core.exceptions import ResourceExistsError

from shared import clock
from shared.arrivals import Arrival, Door, Renamed, write_message
from shared.clients import Clients
from shared.dicomweb import DICOMwebClient
from shared.queues import ARRIVALS, FOREIGN_POISON, PARKED, Queues
from shared.settings import CONTROL
from shared.telemetry.recording import Fact, Span, switch_off, switch_on
from store_on_upload.doors.arrivals import read_message
from store_on_upload.doors.poison import handle_poisoned_arrival, handle_poisoned_blob
from store_on_upload.files.quarantine import read_reason
from store_on_upload.ingest import Ingest
from store_on_upload.receipts.container import read_receipt, write_receipt
from store_on_upload.receipts.receipt import Receipt
from store_on_upload.sweeping.sweep import sweep
from store_on_upload.upload import handle
from store_on_upload.verdict import Verdict
from store_on_upload.waiting.put_off import MAX_POISONINGS
from store_on_upload.waiting.stop_switch import STOP
from tests.kit.files import Sample, new_uid
from tests.kit.host_messages import blob_trigger_message
from tests.kit.runs import newest_receipt, place_at
from tests.kit.service import running


@pytest.fixture
async def ingest(clients: Clients) -> Ingest:
    """The app, whose DICOM service does not answer, and its queues, empty."""
    for name in (ARRIVALS, PARKED, FOREIGN_POISON):
        queue = clients.queues.get_queue_client(name)
        with suppress(ResourceExistsError):
            await queue.create_queue()
        await queue.clear_messages()
    return Ingest.over(clients)


@pytest.fixture
async def served(ingest: Ingest, service: str) -> AsyncIterator[Ingest]:
    """The same app with a DICOM service that answers."""
    async with DICOMwebClient(f"{service}/v2") as dicom:
        yield replace(ingest, clients=replace(ingest.clients, dicom=dicom))


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Set the app's clock forward by some seconds, counted from now."""

    def set_forward(seconds: float) -> None:
        monkeypatch.setattr(clock, "now", lambda: datetime.now(UTC) + timedelta(seconds=seconds))

    return set_forward


Later = Callable[[float], None]
HOUR = 3600.0


class Prompt(Queues):
    """Hides no message until later."""

    async def _put(self, name: str, content: str, delay_seconds: float = 0) -> None:
        await super()._put(name, content)


def blob_message(name: str, **changes: object) -> bytes:
    """Return what the host writes for a blob that it could not have handled."""
    message = blob_trigger_message(name) | changes
    return json.dumps({key: value for key, value in message.items() if value is not None}).encode()


async def messages(ingest: Ingest, queue: str) -> list[str]:
    """Return the messages that can be seen in a queue."""
    found = await ingest.clients.queues.get_queue_client(queue).peek_messages(32)
    return [message.content for message in found]


async def count_of(ingest: Ingest, queue: str) -> int:
    """Return how many messages a queue has, those hidden for a while included."""
    properties = await ingest.clients.queues.get_queue_client(queue).get_queue_properties()
    return int(properties.approximate_message_count or 0)


@pytest.mark.parametrize("door", ["blob", "queue"])
async def test_it_is_tried_again_and_not_for_ever(served: Ingest, later: Later, door: str) -> None:
    """Twice it is put off; the third time is the last, and the file goes to quarantine with its reason."""
    name = f"{new_uid()}.dcm"
    await served.clients.inbox.upload_blob(name, Sample().content)

    async def poisoned() -> Receipt:
        if door == "blob":
            await handle_poisoned_blob(served, blob_message(name))
        else:
            await handle_poisoned_arrival(served, write_message(Arrival((name,), Door.DEFERRAL)).encode())
        return await newest_receipt(served.clients, name)

    for number in range(1, MAX_POISONINGS):
        waiting = await poisoned()
        assert (waiting.verdict, waiting.reason, waiting.poisonings) == (None, "poisoned", number)
        assert await count_of(served, ARRIVALS) == number
        later(number * HOUR)
    last = await poisoned()
    assert (last.verdict, last.reason, last.poisonings) == (Verdict.GAVE_UP, "crashed", MAX_POISONINGS)
    assert last.failure == "poisoned"
    assert await read_reason(served.clients, name) == last
    assert await served.clients.container("dicom-quarantine").get_blob_client(name).exists()
    assert not await served.clients.inbox.get_blob_client(name).exists()
    assert await count_of(served, ARRIVALS) == MAX_POISONINGS - 1


async def test_a_partition_that_is_not_there_yet(clients: Clients, ingest: Ingest, tmp_path: Path) -> None:
    """The service answers a search in it with 400, and is up: the poisoning counts."""
    name = f"{new_uid()}.dcm"
    await clients.inbox.upload_blob(name, Sample().content)
    with running(tmp_path, partitions=True) as root:
        async with place_at(clients, root, partition="new") as place:
            await handle_poisoned_blob(place.process(), blob_message(name))
            assert (await place.receipt(name)).poisonings == 1


async def test_several_messages_of_one_file(served: Ingest, later: Later) -> None:
    """However many were set aside, they count once until the file's next try is due."""
    name = f"{new_uid()}.dcm"
    await served.clients.inbox.upload_blob(name, Sample().content)
    for number in (1, 2):
        for _ in range(MAX_POISONINGS):
            await handle_poisoned_blob(served, blob_message(name))
        waiting = await newest_receipt(served.clients, name)
        assert (waiting.verdict, waiting.poisonings) == (None, number)
        assert await count_of(served, ARRIVALS) == number
        later(number * HOUR)


async def test_what_the_sweep_has_sent_is_due_at_once(served: Ingest, later: Later) -> None:
    """That its receipt lets the message lie behind others for an hour does not make its failures count for nothing."""
    name = f"{new_uid()}.dcm"
    await served.clients.inbox.upload_blob(name, Sample().content)
    later(HOUR)
    await sweep(served)
    assert (await newest_receipt(served.clients, name)).reason == "swept"
    await handle_poisoned_arrival(served, write_message(Arrival((name,), Door.SWEEP)).encode())
    assert (await newest_receipt(served.clients, name)).poisonings == 1


async def by_no_service(ingest: Ingest) -> None:
    """Leave it at that: none answers."""


async def by_an_open_circuit(ingest: Ingest) -> None:
    """Let this process know of an outage."""
    ingest.circuit.failed("another file", is_outage=True)


async def by_a_stop(ingest: Ingest) -> None:
    """Stop ingest."""
    await ingest.clients.container(CONTROL).upload_blob(STOP, b"")


@pytest.mark.parametrize(
    ("down", "reason"), [(by_no_service, "outage"), (by_an_open_circuit, "outage"), (by_a_stop, "stopped")]
)
async def test_an_outage_uses_up_no_try(
    ingest: Ingest, served: Ingest, later: Later, down: Callable[[Ingest], Awaitable[None]], reason: str
) -> None:
    """While the service is down or ingest is stopped, a file waits as all do, whatever becomes of its messages."""
    name, app = f"{new_uid()}.dcm", ingest if down is by_no_service else served
    await ingest.clients.inbox.upload_blob(name, Sample().content)
    await down(app)
    try:
        for number in range(MAX_POISONINGS + 1):
            later(number * HOUR)
            await handle_poisoned_blob(app, blob_message(name))
            waiting = await newest_receipt(ingest.clients, name)
            assert (waiting.state, waiting.reason, waiting.poisonings) == ("deferred", reason, 0)
            assert (waiting.deferrals, waiting.failed_by_itself) == (number + 1, False)
            assert await count_of(ingest, ARRIVALS) == number + 1
    finally:
        if down is by_a_stop:
            await ingest.clients.container(CONTROL).delete_blob(STOP)


async def test_attempts_between_them_do_not_forget(ingest: Ingest, served: Ingest) -> None:
    """A run that ends well in between, put off, counts no poisoning and takes none back."""
    name = f"{new_uid()}.dcm"
    await ingest.clients.inbox.upload_blob(name, Sample().content)
    await handle_poisoned_blob(served, blob_message(name))
    await handle(ingest, Arrival((name,), Door.DEFERRAL))
    waiting = await newest_receipt(ingest.clients, name)
    assert (waiting.reason, waiting.poisonings) == ("service_unreachable", 1)


async def test_one_that_has_its_verdict(ingest: Ingest) -> None:
    """The verdict stands; what is left to do with the file is tried again."""
    name = f"{new_uid()}.dcm"
    await ingest.clients.inbox.upload_blob(name, b"no DICOM" * 40)
    await handle(ingest, Arrival((name,), Door.BLOB))
    decided = await newest_receipt(ingest.clients, name)
    uploaded = await ingest.clients.inbox.upload_blob(name, b"no DICOM" * 40)
    etag = str((await uploaded.get_blob_properties()).etag).strip('"')
    await write_receipt(ingest.clients, Receipt(name, etag, 320, "2100-01-01T00:00:00Z", verdict=Verdict.STORED))
    await handle_poisoned_blob(ingest, blob_message(name))
    assert (await newest_receipt(ingest.clients, name)).verdict is Verdict.STORED
    assert await count_of(ingest, ARRIVALS) == 1
    assert decided.verdict is Verdict.REJECTED


@pytest.mark.parametrize(
    "body",
    [
        blob_message("x.dcm", FunctionId="Host.Functions.somebody_elses"),
        blob_message("x.dcm", FunctionId="Host.Functions.not_store_on_upload"),
        blob_message("x.dcm", ContainerName="theirs"),
        blob_message("x.dcm", FunctionId=None),
        blob_message("x.dcm", BlobName=None),
        blob_message("x.dcm", BlobName=7),
        base64.b64encode(blob_message("x.dcm", ContainerName="theirs")),
        b"no JSON",
        b"[1, 2]",
        b"{}",
        "kein JSON: äöü 🫀".encode(),
        b"",
        b"[" * 60_000,
    ],
    ids=lambda body: body[:20],
)
async def test_what_is_not_ours_is_handed_on(ingest: Ingest, body: bytes) -> None:
    """As it came, whatever it is, and nothing else is done about it."""
    await handle_poisoned_blob(ingest, body)
    assert await messages(ingest, FOREIGN_POISON) == [body.decode()]
    assert await count_of(ingest, ARRIVALS) == 0


async def test_it_may_be_in_base64(served: Ingest) -> None:
    """As hosts write it by default."""
    name = f"{new_uid()}.dcm"
    await served.clients.inbox.upload_blob(name, Sample().content)
    await handle_poisoned_blob(served, base64.b64encode(blob_message(name)))
    assert (await newest_receipt(served.clients, name)).poisonings == 1


async def test_a_blob_that_has_gone_leaves_nothing(ingest: Ingest) -> None:
    """Neither a receipt nor a message."""
    name = f"{new_uid()}.dcm"
    await handle_poisoned_blob(ingest, blob_message(name))
    assert await read_receipt(ingest.clients, name) is None
    assert await count_of(ingest, ARRIVALS) == 0


@pytest.mark.parametrize("body", [b"no JSON", b'{"a": 1}', b'{"dicom_dropbox": 99}', b"bm8gSlNPTg=="])
async def test_an_unreadable_arrival_is_parked(ingest: Ingest, body: bytes) -> None:
    """As it came."""
    await handle_poisoned_arrival(ingest, body)
    assert await messages(ingest, PARKED) == [body.decode()]


async def test_its_next_run_belongs_to_the_same_trace(ingest: Ingest) -> None:
    """The message that brings the file back goes on with the trace that the one set aside had."""
    name = f"{new_uid()}.dcm"
    await ingest.clients.inbox.upload_blob(name, Sample().content)
    arrival = Arrival((name,), Door.EVENT, traceparent=f"00-{'1' * 32}-{'2' * 16}-01")
    facts: list[Fact] = []
    switch_on(facts.append, 1.0)
    try:
        await handle_poisoned_arrival(
            replace(ingest, queues=Prompt(ingest.clients.queues)), write_message(arrival).encode()
        )
    finally:
        switch_off()
    [told] = [fact for fact in facts if isinstance(fact, Span) and fact.name == "put file off"]
    [sent] = await messages(ingest, ARRIVALS)
    [again] = read_message(sent.encode(), ingest.clients.settings.dicom_inbox_container)
    assert isinstance(again, Arrival)
    assert again.traceparent == told.context.header()
    assert told.context.header().startswith(f"00-{'1' * 32}-")


async def test_a_folder_that_was_renamed_is_listed_again(ingest: Ingest) -> None:
    """Its message goes back into the queue."""
    await handle_poisoned_arrival(ingest, write_message(Renamed("a/", None)).encode())
    assert await count_of(ingest, ARRIVALS) == 1
