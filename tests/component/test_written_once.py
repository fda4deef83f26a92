"""Records under a policy of immutability: each is written once, and an attempt whose answer was lost was one, too."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from secrets import token_hex
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobClient, BlobServiceClient

from purge_study.ledger.ledger import Ledger
from purge_study.ledger.row import StudyKey
from purge_study.planning.approvals import Approval, approve, find_approval
from purge_study.planning.documents import write_documents
from purge_study.planning.plan import PLANS, plan_id
from purge_study.records.restored import Restored, UnreadableRecord, holds_of_restore, read_restored, write_restored
from purge_study.records.writing import OtherRecord, write_long_record, write_record
from shared.auditing.access_log import AccessLog
from shared.clients import Clients
from shared.dicomweb import DICOMwebClient
from shared.settings import ACCESS_AUDIT, OWN_CONTAINERS, RETENTION_RECORDS, load
from tests.kit.connection_strings import through
from tests.kit.deleting_process import without_pauses
from tests.kit.gateway import Fault, Gateway, Moment
from tests.kit.immutability import REFUSAL, Immutability
from tests.kit.plans import MADE_AT, decision, plan

TEXT = "text/plain"
BLOCKS = [bytes([number]) * 400_000 for number in range(7)]  # several blocks of storage


@pytest.fixture
def policy(azurite: str) -> Iterator[Immutability]:
    with BlobServiceClient.from_connection_string(azurite) as storage:
        yield Immutability(storage)
        audit = storage.get_container_client(ACCESS_AUDIT)
        for name in audit.list_blob_names():  # whose lines others read
            audit.delete_blob(name)


@pytest.fixture
def gateway(azurite: str, policy: Immutability) -> Iterator[Gateway]:
    """The way to the account."""
    with Gateway(policy.storage.url.rstrip("/"), forbids=policy.forbids) as gateway:
        yield gateway


@pytest.fixture
def way(azurite: str, gateway: Gateway) -> str:
    return through(azurite, blob=gateway.urls[0])


@pytest.fixture
async def clients(azurite: str, way: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Clients]:
    without_pauses(monkeypatch)
    given = {"DICOM_SERVICE_URL": "http://127.0.0.1:1/v2", "DICOM_STORAGE": azurite, "RECORDS_STORAGE": way}
    settings = load({**given, "LEDGER_KEY": token_hex()})
    async with aclosing(Clients.over(settings, DICOMwebClient(settings.dicom_service_url))) as clients:
        for name in OWN_CONTAINERS:
            if not await clients.container(name).exists():
                await clients.container(name).create_container()
        yield clients


def stored(policy: Immutability, name: str, container: str = RETENTION_RECORDS) -> bytes:
    return policy.storage.get_blob_client(container, name).download_blob().readall()


def lose_answers(gateway: Gateway, method: str = "PUT", path: str = "") -> list[Fault]:
    """Have the answer to each request that is one of these be lost, once; the request has its effect."""
    lost: list[Fault] = []
    seen: set[str] = set()

    class Losing(Fault):
        def is_for(self, step: Any, moment: Moment) -> bool:
            if step.method != method or path not in step.path or moment is not Moment.AFTER or step.path in seen:
                return False
            seen.add(step.path)
            lost.append(self)
            return True

    gateway.begin(Losing(1, Moment.AFTER))
    return lost


Act = Callable[[BlobClient], object]
ACTS: dict[str, Act] = {
    "overwritten": lambda blob: blob.upload_blob(b"another", overwrite=True),
    "overwritten in blocks": lambda blob: blob.upload_blob(iter([b"a"]), overwrite=True),
    "deleted": lambda blob: blob.delete_blob(),
    "given metadata": lambda blob: blob.set_blob_metadata({"a": "b"}),
    "given properties": lambda blob: blob.set_http_headers(),
    "leased": lambda blob: blob.acquire_lease(15),
    "made an append blob": lambda blob: blob.create_append_blob(),
}


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
@pytest.mark.parametrize("container", [RETENTION_RECORDS, ACCESS_AUDIT])
async def test_the_policy(clients: Clients, policy: Immutability, way: str, act: Act, container: str) -> None:
    """Of the two containers, what is there stays as it is; an append blob takes more, and other containers all."""
    with BlobServiceClient.from_connection_string(way) as storage:
        name = f"{token_hex()}/a b.txt"
        storage.get_blob_client(container, name).upload_blob(b"one")
        storage.get_blob_client(container, f"{name}.log").create_append_blob()
        for each in (name, f"{name}.log"):
            with pytest.raises(HttpResponseError) as refused:
                act(storage.get_blob_client(container, each))
            assert REFUSAL in refused.value.message
        storage.get_blob_client(container, f"{name}.log").append_block(b"more")
        storage.get_blob_client("dicom-archive", name).upload_blob(b"one")
        act(storage.get_blob_client("dicom-archive", name))
    assert (stored(policy, name, container), stored(policy, f"{name}.log", container)) == (b"one", b"more")


with_and_without = pytest.mark.parametrize("is_on", [True, False])


@with_and_without
async def test_a_record(clients: Clients, policy: Immutability, is_on: bool) -> None:
    """It may be written twice, and not otherwise, whether the account would refuse or not."""
    policy.is_on, name = is_on, token_hex()
    for _ in range(2):
        await write_record(clients, name, b"one", TEXT)
    for other in (b"another", b"", b"one more"):
        with pytest.raises(OtherRecord):
            await write_record(clients, name, other, TEXT)
    assert stored(policy, name) == b"one"


@with_and_without
@pytest.mark.parametrize("blocks", [BLOCKS, [b""], [b"one", b" two"]], ids=range(3))
async def test_a_long_record(clients: Clients, policy: Immutability, blocks: list[bytes], is_on: bool) -> None:
    """The same, also where the attempt is refused at its first block, or where the other one is as long."""
    policy.is_on, name = is_on, token_hex()
    for _ in range(2):
        await write_long_record(clients, name, iter(blocks), TEXT)
    for other in ([*blocks, b"!"], [b"!", *blocks[1:]], [*blocks[:-1], b"!"]):
        with pytest.raises(OtherRecord):
            await write_long_record(clients, name, iter(other), TEXT)
    assert stored(policy, name) == b"".join(blocks)


async def test_a_long_record_whose_answers_are_lost(clients: Clients, policy: Immutability, gateway: Gateway) -> None:
    name = token_hex()
    lost = lose_answers(gateway)
    await write_long_record(clients, name, iter(BLOCKS), TEXT)
    assert len(lost) > 2
    assert stored(policy, name) == b"".join(BLOCKS)


async def test_a_plan_whose_answers_are_lost(clients: Clients, policy: Immutability, gateway: Gateway) -> None:
    made = decision(plan(3))
    made_at = MADE_AT + timedelta(seconds=int(token_hex(4), 16))
    lost = lose_answers(gateway)
    names = [await write_documents(clients, await Ledger.open(clients), made, made_at) for _ in range(2)]
    assert names == [plan_id(made.plan, made_at + timedelta(seconds=second)) for second in range(2)]
    assert len(lost) >= 2 * 5
    for name in names:
        assert stored(policy, f"{PLANS}{name}.jsonl") == b"".join(made.plan.lines())
        assert name.encode() in stored(policy, f"{PLANS}{name}.html")


async def test_an_approval_whose_answer_is_lost(clients: Clients, policy: Immutability, gateway: Gateway) -> None:
    made = plan(2)
    made_at = MADE_AT + timedelta(seconds=int(token_hex(4), 16))
    name = plan_id(made, made_at)
    await write_record(clients, f"{PLANS}{name}.jsonl", b"".join(made.lines()), TEXT)
    lost = lose_answers(gateway)
    approval = await approve(clients, name, made.hash, 2, "Dr. A", made_at)
    assert len(lost) == 1
    assert approval == await find_approval(clients, name) == Approval(name, made.hash, 2, "Dr. A", made_at)


async def test_a_restore_whose_answer_is_lost(clients: Clients, gateway: Gateway) -> None:
    key = StudyKey("site-a", token_hex())
    lost = lose_answers(gateway)
    first, second = (Restored.at(MADE_AT + timedelta(days=day), "an id", "A. Reader") for day in range(2))
    await write_restored(clients, key, first)
    assert await read_restored(clients, key) == first
    await write_restored(clients, key, second)
    await write_restored(clients, key, first)
    assert await read_restored(clients, key) == second
    # Any of them holds, not only the first or the last one that is listed.
    assert await holds_of_restore(clients, key, second.until) == ("restored",)
    assert await holds_of_restore(clients, key, second.until + timedelta(days=1)) == ()
    names = [name async for name in clients.container(RETENTION_RECORDS).list_blob_names(name_starts_with="restored/")]
    assert (len([name for name in names if key.uid in name]), len(lost)) == (3, 3)


async def test_a_restore_at_a_time_of_no_zone(clients: Clients) -> None:
    key = StudyKey("site-a", token_hex())
    restored = Restored.at(MADE_AT, "an id", "A. Reader")
    for one in (restored, replace(restored, restored_at=MADE_AT.replace(tzinfo=None))):
        await write_restored(clients, key, one)
    with pytest.raises(UnreadableRecord):
        await read_restored(clients, key)
    assert await holds_of_restore(clients, key, restored.until) == ("restored",)


async def test_the_access_record(clients: Clients, policy: Immutability, gateway: Gateway) -> None:
    """It is made once and appended to, whatever answer is lost, and nothing else is done to it."""
    log = AccessLog(clients.container(ACCESS_AUDIT))
    lost = lose_answers(gateway, path=log._process)
    for line in (b"one\n", b"two\n"):
        await log.append(line)
    [name] = [name async for name in clients.container(ACCESS_AUDIT).list_blob_names() if log._process in name]
    assert set(stored(policy, name, ACCESS_AUDIT).splitlines()) == {b"one", b"two"}
    assert len(lost) == 2
    assert policy.refused == ["PUT access-audit"]  # once more, where the answer to the first was lost
