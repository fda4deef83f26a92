"""The way into quarantine, in a real storage account: nothing is deleted before it lies there whole."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from azure.core.exceptions import HttpResponseError

from shared.clients import Clients
from shared.events import Failed
from shared.settings import QUARANTINE, QUARANTINE_REASONS
from store_on_upload import quarantine
from store_on_upload.quarantine import move_to_quarantine
from store_on_upload.receipt import Receipt
from store_on_upload.source import Source, SourceGone
from store_on_upload.verdict import Verdict


async def drop(clients: Clients, content: bytes, name: str | None = None) -> tuple[Source, Receipt]:
    """Upload a file, and return it with a receipt that sends it to quarantine."""
    blob = clients.inbox.get_blob_client(name or f"{uuid4()}.dcm")
    await blob.upload_blob(content, overwrite=True, metadata={"sender": "scanner7"})
    source = await Source.open(blob)
    receipt = Receipt(blob.blob_name, source.bare_etag, source.size, None, Verdict.REJECTED, "not_dicom")
    return source, receipt


async def content_of(clients: Clients, container: str, name: str) -> bytes | None:
    blob = clients.container(container).get_blob_client(name)
    return await (await blob.download_blob()).readall() if await blob.exists() else None


async def test_a_copy_that_is_not_like_its_original_deletes_nothing(clients: Clients) -> None:
    """A difference in size, as a copy that broke off would show, keeps the original where it is."""
    source, receipt = await drop(clients, b"original")
    with pytest.raises(Failed, match="not like its original"):
        await move_to_quarantine(clients, replace(source, size=source.size + 1), receipt)
    assert await source.blob.exists()


async def test_a_newer_version_is_not_deleted(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is uploaded between the copy and the deletion stays, with the older one in quarantine."""
    source, receipt = await drop(clients, b"older")
    write_reason = quarantine._write_reason

    async def overwritten_meanwhile(*arguments: Any) -> None:
        await write_reason(*arguments)
        await source.blob.upload_blob(b"newer", overwrite=True)

    monkeypatch.setattr(quarantine, "_write_reason", overwritten_meanwhile)
    await move_to_quarantine(clients, source, receipt)
    assert await content_of(clients, "dicom-inbox", receipt.blob) == b"newer"
    assert await content_of(clients, QUARANTINE, receipt.blob) == b"older"


async def test_a_version_that_was_overwritten_before_the_copy_is_gone(clients: Clients) -> None:
    """Its bytes are nowhere any more; the newer version has a trigger of its own."""
    source, receipt = await drop(clients, b"older")
    await source.blob.upload_blob(b"newer", overwrite=True)
    with pytest.raises(SourceGone):
        await move_to_quarantine(clients, source, receipt)
    assert await content_of(clients, QUARANTINE, receipt.blob) is None
    assert await content_of(clients, "dicom-inbox", receipt.blob) == b"newer"


async def test_every_step_may_be_repeated(clients: Clients) -> None:
    """After the copy, or after all of it, a second run ends in the same place; the latter finds the original gone."""
    source, receipt = await drop(clients, b"content")
    copy = clients.container(QUARANTINE).get_blob_client(receipt.blob)
    await copy.start_copy_from_url(source.blob.url, metadata={"source_etag": receipt.etag})
    for ending in (nullcontext(), pytest.raises(SourceGone)):
        with ending:
            await move_to_quarantine(clients, source, receipt)
        assert not await source.blob.exists()
        assert await content_of(clients, QUARANTINE, receipt.blob) == b"content"
        assert b"not_dicom" in (await content_of(clients, QUARANTINE_REASONS, f"{receipt.blob}.json") or b"")


async def test_what_the_producer_said_of_the_file_goes_with_it(clients: Clients) -> None:
    """By its metadata one finds the sender of a refused file."""
    source, receipt = await drop(clients, b"content")
    await move_to_quarantine(clients, source, receipt)
    properties = await clients.container(QUARANTINE).get_blob_client(receipt.blob).get_blob_properties()
    assert properties.metadata == {"sender": "scanner7", "source_etag": receipt.etag}


async def test_a_lease_keeps_the_original(clients: Clients) -> None:
    """Somebody holds it: that is an error to be seen, and nothing is forced."""
    source, receipt = await drop(clients, b"leased")
    lease = await source.blob.acquire_lease(15)
    with pytest.raises(HttpResponseError):
        await move_to_quarantine(clients, source, receipt)
    assert await source.blob.exists()
    await lease.release()
    await move_to_quarantine(clients, source, receipt)
    assert not await source.blob.exists()


async def test_a_name_as_long_as_it_may_be(clients: Clients) -> None:
    """The reason's name and that of a second version are shortened to what Azure takes."""
    name = "n" * 1020 + ".dcm"
    for content in (b"first", b"second"):
        source, receipt = await drop(clients, content, name)
        await move_to_quarantine(clients, source, receipt)
    names = [blob async for blob in clients.container(QUARANTINE).list_blob_names(name_starts_with="n" * 900)]
    assert len(names) == 2
    assert max(map(len, names)) <= 1024
