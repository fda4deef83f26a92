"""Receipts on a real storage account: many runs write at once, and what somebody else has written there."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.clients import Clients
from shared.settings import RECEIPTS
from store_on_upload.receipts.container import Unreadable, read_receipt, write_receipt
from store_on_upload.receipts.document import Document
from store_on_upload.receipts.receipt import Receipt, State
from store_on_upload.verdict import Decision, Verdict
from tests.kit.files import new_uid

WRITERS = 8
NOW = datetime(2026, 3, 1, tzinfo=UTC)


async def new_version(clients: Clients, name: str | None = None) -> Receipt:
    """Drop a blob, and return a receipt of it that is not final."""
    name = name or f"{new_uid()}.dcm"
    uploaded = await clients.inbox.get_blob_client(name).upload_blob(new_uid().encode(), overwrite=True)
    etag, when = str(uploaded["etag"]).strip('"'), uploaded["last_modified"].strftime("%Y-%m-%dT%H:%M:%SZ")
    return Receipt(name, etag, 1, when, State.DEFERRED, reason="service_busy", due_at="2026-03-02T00:00:00Z")


def decided(receipt: Receipt, verdict: Verdict, attempts: int = 1) -> Receipt:
    return replace(receipt, attempts=attempts).decided(Decision(verdict), NOW)


async def written(clients: Clients, name: str) -> tuple[Document, dict[str, Any], dict[str, str]]:
    """Return what is written: as a document, as JSON, and the metadata."""
    download = await clients.container(RECEIPTS).get_blob_client(name).download_blob()
    raw = json.loads(await download.readall())
    return Document.from_json(raw), raw, download.properties.metadata


async def is_in_step(clients: Clients, name: str) -> Document:
    """See that the metadata, by which the sweep goes, say what the body says."""
    document, raw, metadata = await written(clients, name)
    due = {"due": raw["due_at"]} if raw["due_at"] else {}
    disposition = str(document.newest.disposition)
    assert metadata == {"etag": raw["etag"], "state": raw["state"], "disposition": disposition, **due}
    return document


async def test_one_of_many_verdicts_stands(clients: Clients) -> None:
    """Eight runs give their verdicts on one version at once: one stands, whole, and all are told which."""
    version = await new_version(clients)
    runs = [decided(version, Verdict.REJECTED, attempts) for attempts in range(WRITERS)]
    told = await asyncio.gather(*(write_receipt(clients, run) for run in runs))
    document = await is_in_step(clients, version.blob)
    assert document.newest in runs
    assert document.earlier == ()
    assert told == [document.newest] * WRITERS


async def test_the_one_that_stored_is_believed(clients: Clients) -> None:
    """Of runs at once one has stored, the others found it stored, or could not be sure: it is stored in the end."""
    version = await new_version(clients)
    runs = [decided(version, Verdict.DUPLICATE)] * 3 + [version] * 4 + [decided(version, Verdict.STORED)]
    await asyncio.gather(*(write_receipt(clients, run) for run in runs))
    assert (await is_in_step(clients, version.blob)).versions == (decided(version, Verdict.STORED),)


async def test_each_version_has_its_place(clients: Clients) -> None:
    """Runs of eight versions of a blob end at once: the one that is there stands, all others are listed behind it."""
    first = await new_version(clients)
    versions = [first, *[await new_version(clients, first.blob) for _ in range(WRITERS - 1)]]
    await asyncio.gather(*(write_receipt(clients, decided(one, Verdict.STORED)) for one in versions))
    document = await is_in_step(clients, first.blob)
    assert document.newest.etag == versions[-1].etag
    assert {one.etag for one in document.earlier} == {one.etag for one in versions[:-1]}
    assert {one.verdict for one in document.versions} == {Verdict.STORED}


async def test_metadata_follow_each_change(clients: Clients) -> None:
    """Put off, decided, and another version put off: a listing tells the same as the bodies."""
    version = await new_version(clients)
    for receipt in (version, replace(version, due_at="2026-03-03T00:00:00Z"), decided(version, Verdict.REJECTED)):
        assert await write_receipt(clients, receipt) == receipt
        assert (await is_in_step(clients, version.blob)).newest == receipt
    newer = await new_version(clients, version.blob)
    await write_receipt(clients, newer)
    assert (await is_in_step(clients, version.blob)).versions == (decided(version, Verdict.REJECTED), newer)


async def test_a_stale_look_does_no_harm(clients: Clients) -> None:
    """What was read before is no longer what stands, or is gone: the write is of what stands now."""
    version = await new_version(clients)
    await write_receipt(clients, version)
    stale = await read_receipt(clients, version.blob)
    final = decided(version, Verdict.STORED)
    await write_receipt(clients, final)
    assert await write_receipt(clients, version, stale) == final
    await clients.container(RECEIPTS).get_blob_client(version.blob).delete_blob()
    assert await write_receipt(clients, version, stale) == version
    assert (await is_in_step(clients, version.blob)).versions == (version,)


@pytest.mark.parametrize("content", [b"", b"\xff", b"no JSON", b"null", b"[]", b'"text"', b"{}", b'{"schema": 2}'])
async def test_what_is_no_receipt_is_told(clients: Clients, content: bytes) -> None:
    """It is neither taken for one nor for none, and is left as it is."""
    name = f"{new_uid()}.dcm"
    await clients.container(RECEIPTS).get_blob_client(name).upload_blob(content)
    with pytest.raises(Unreadable, match="delete it"):
        await read_receipt(clients, name)
    with pytest.raises(Unreadable):
        await write_receipt(clients, Receipt(name, "0x1", 1, "2026-03-01T00:00:00Z"))
    assert await read_raw(clients, name) == content


async def read_raw(clients: Clients, name: str) -> bytes:
    return bytes(await (await clients.container(RECEIPTS).get_blob_client(name).download_blob()).readall())
