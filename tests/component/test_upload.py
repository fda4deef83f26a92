"""One blob → one verdict, with a real storage account and a scripted DICOM service: what each answer leads to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from azure.storage.blob import BlobClient

from shared.clients import Clients
from shared.dicomweb import DICOMwebClient, DICOMwebError, RetryPolicy
from shared.settings import QUARANTINE, RECEIPTS
from store_on_upload.part10 import PREFIX_BYTES
from store_on_upload.source import Digest, HashedBody, Source, SourceGone
from store_on_upload.upload import _sha256, handle_blob
from store_on_upload.verdict import NotYet
from tests.component.scripted_server import Read, Received, Script, answer, serve
from tests.e2e.drop_box import Instance, make_instance

JSON = {"Content-Type": "application/dicom+json"}
NO_RETRIES = RetryPolicy(attempts=1)


def at(clients: Clients, url: str) -> Clients:
    """Return the same clients, with the DICOM service at another address."""
    return replace(clients, dicom=DICOMwebClient(url, retry=NO_RETRIES))


async def drop(clients: Clients, content: bytes) -> str:
    name = f"{uuid4()}.dcm"
    await upload(clients, name, content)
    return name


async def upload(clients: Clients, name: str, content: bytes) -> None:
    """Upload as a producer does, with a client of its own (the asynchronous one warns of large contents)."""
    blob = BlobClient.from_connection_string(str(clients.settings.dicom_storage), "dicom-inbox", name)
    with blob:
        await asyncio.to_thread(blob.upload_blob, content, overwrite=True)


async def receipt_of(clients: Clients, name: str) -> dict[str, Any] | None:
    blob = clients.container(RECEIPTS).get_blob_client(name)
    return json.loads(await (await blob.download_blob()).readall()) if await blob.exists() else None


async def is_in_inbox(clients: Clients, name: str) -> bool:
    return await clients.inbox.get_blob_client(name).exists()


def failed(reason: int, instance: Instance) -> bytes:
    """Return a store response dataset with one failure."""
    item = {"00081197": {"vr": "US", "Value": [reason]}, "00081155": {"vr": "UI", "Value": [instance.sop]}}
    return json.dumps({"00081198": {"vr": "SQ", "Value": [item]}}).encode()


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 406, 415, 424, 429, 500, 502, 503])
async def test_a_status_that_says_nothing_of_the_file_leaves_it_alone(clients: Clients, status: int) -> None:
    """Our request, our rights or the service are at fault: no verdict, no receipt, and the file stays."""
    async with serve(answer(status)) as server:
        reached = at(clients, server.url)
        name = await drop(clients, make_instance().content)
        with pytest.raises(DICOMwebError):
            await handle_blob(reached, name)
        await reached.dicom.aclose()
    assert await receipt_of(clients, name) is None
    assert await is_in_inbox(clients, name)


async def test_only_413_says_that_the_file_is_too_large(clients: Clients) -> None:
    """It goes to quarantine with that reason."""
    async with serve(answer(413)) as server:
        reached = at(clients, server.url)
        name = await drop(clients, make_instance().content)
        await handle_blob(reached, name)
        await reached.dicom.aclose()
    receipt = await receipt_of(clients, name)
    assert receipt is not None
    assert (receipt["verdict"], receipt["reason"]) == ("rejected", "too_large")
    assert not await is_in_inbox(clients, name)
    assert await clients.container(QUARANTINE).get_blob_client(name).exists()


@pytest.mark.parametrize("reason", [272, 45071, 12345])
async def test_a_failure_that_may_pass_is_no_verdict(clients: Clients, reason: int) -> None:
    """Trouble of the service's own, a store under way, and reasons that nobody knows: the host tries again."""
    instance = make_instance()
    async with serve(answer(409, failed(reason, instance), JSON)) as server:
        reached = at(clients, server.url)
        name = await drop(clients, instance.content)
        with pytest.raises(NotYet):
            await handle_blob(reached, name)
        await reached.dicom.aclose()
    assert await receipt_of(clients, name) is None


async def settle(clients: Clients, content: bytes, choose: Callable[[Received], Script]) -> dict[str, Any]:
    """Bring a file to its verdict and return the receipt."""
    async with serve(choose) as server:
        reached = at(clients, server.url)
        name = await drop(clients, content)
        await handle_blob(reached, name)
        await reached.dicom.aclose()
    receipt = await receipt_of(clients, name)
    assert receipt is not None
    return receipt


async def test_an_answer_before_the_body_was_read_makes_no_conflict(clients: Clients) -> None:
    """The service says "there already" at once; the whole file is read to compare it, not what happened to be sent."""
    instance = make_instance(Rows=2048, Columns=2048, PixelData=bytes(2048 * 2048))

    def choose(request: Received) -> Script:
        if request.method == "POST":
            return answer(409, failed(45070, instance), JSON).after(Read.HEAD)
        return answer(200, instance.content, {"Content-Type": "application/dicom"})

    receipt = await settle(clients, instance.content, choose)
    assert receipt["verdict"] == "duplicate"
    assert receipt["sha256"] is not None


async def test_an_instance_that_cannot_be_told_from_others_is_not_compared(clients: Clients) -> None:
    """Two stored instances with one UID: which of them is it? No verdict, rather than a wrong one."""
    instance = make_instance()
    # A dataset that cannot be followed from its first element on: its UIDs are not known.
    start = instance.content.index(b"\x08\x00\x16\x00UI")
    odd = instance.content[:start] + b"\x08\x00\x05\x00\0\0\x01\x00x" + instance.content[start:]
    found = {"00080018": {"vr": "UI", "Value": [instance.sop]}}

    def choose(request: Received) -> Script:
        if request.method == "POST":
            return answer(409, failed(45070, instance), JSON)
        return answer(200, json.dumps([found, found]).encode(), JSON)

    async with serve(choose) as server:
        reached = at(clients, server.url)
        name = await drop(clients, odd)
        with pytest.raises(NotYet):
            await handle_blob(reached, name)
        await reached.dicom.aclose()
    assert await is_in_inbox(clients, name)


async def test_a_source_that_is_overwritten_while_it_is_read_never_mixes(clients: Clients) -> None:
    """The rest of a version is read only from that version."""
    name = await drop(clients, b"a" * (PREFIX_BYTES + 10))
    blob = clients.inbox.get_blob_client(name)
    source = await Source.open(blob)
    await upload(clients, name, b"b" * (PREFIX_BYTES + 10))
    chunks = source.chunks(Digest())
    assert set(await anext(chunks)) == {ord("a")}
    with pytest.raises(SourceGone):
        await anext(chunks)


async def test_a_hash_of_a_part_is_no_hash(clients: Clients) -> None:
    """A receipt does not show it, and `complete_digest` reads the whole content where an attempt has not."""
    content = bytes(range(256)) * (12 * PREFIX_BYTES // 256)
    source = await Source.open(clients.inbox.get_blob_client(await drop(clients, content)))
    body = HashedBody(source)
    await anext(aiter(body))
    assert body.digest.size < len(content)
    assert _sha256(source, body.digest) is None
    assert (await body.complete_digest()).size == len(content)
