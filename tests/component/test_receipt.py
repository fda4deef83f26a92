"""Receipts in a real storage account: which one stands."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import ResourceModifiedError
from azure.storage.blob.aio import BlobClient

from shared.clients import Clients
from shared.settings import RECEIPTS
from store_on_upload import receipt as receipt_module
from store_on_upload.receipt import Receipt, standing_receipt, write_receipt
from store_on_upload.source import Source
from store_on_upload.verdict import Verdict


def receipts(count: int) -> list[Receipt]:
    """Return receipts of so many versions of one blob, oldest first."""
    name = f"{uuid4()}.dcm"
    verdict = Verdict.STORED
    return [
        Receipt(name, f"0x{number}", 1, None, verdict, uploaded_at=f"2026-01-0{number}T00:00:00Z")
        for number in range(1, count + 1)
    ]


async def document(clients: Clients, name: str) -> dict[str, Any]:
    download = await clients.container(RECEIPTS).get_blob_client(name).download_blob()
    found: dict[str, Any] = json.loads(await download.readall())
    return found


async def test_the_first_verdict_on_a_version_stands(clients: Clients) -> None:
    """A second run that comes to another verdict on the same version gets the first one back."""
    [first] = receipts(1)
    assert await write_receipt(clients, first) == first
    again = replace(first, verdict=Verdict.DUPLICATE)
    assert await write_receipt(clients, again) == first
    assert (await document(clients, first.blob))["verdict"] == "stored"


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
async def test_the_newest_version_stands_whichever_was_judged_first(clients: Clients, order: tuple[int, ...]) -> None:
    """The others are in its list."""
    versions = receipts(3)
    for number in order:
        assert await write_receipt(clients, versions[number]) == versions[number]
    standing = await document(clients, versions[0].blob)
    assert standing["etag"] == versions[2].etag
    assert {earlier["etag"] for earlier in standing["earlier"]} == {versions[0].etag, versions[1].etag}


@pytest.mark.parametrize("newer_first", [True, False])
async def test_two_versions_in_one_second_are_told_apart_by_what_is_there(clients: Clients, newer_first: bool) -> None:
    """The one that the blob still has stands, and an event of the other is known to be settled."""
    blob = clients.inbox.get_blob_client(f"{uuid4()}.dcm")
    sources = []
    for content in (b"older", b"newer"):
        await blob.upload_blob(content, overwrite=True)
        sources.append(await Source.open(blob))
    older, newer = (
        Receipt(blob.blob_name, source.bare_etag, 5, None, Verdict.STORED, uploaded_at="2026-01-01T00:00:00Z")
        for source in sources
    )
    for receipt in (newer, older) if newer_first else (older, newer):
        await write_receipt(clients, receipt)
    standing = await document(clients, blob.blob_name)
    assert (standing["etag"], [one["etag"] for one in standing["earlier"]]) == (newer.etag, [older.etag])
    assert [await standing_receipt(clients, source) for source in sources] == [older, newer]


async def test_a_receipt_that_changed_meanwhile_is_not_overwritten(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two writers at the same moment one fails and comes again: no version is dropped from the list."""
    first, second, third = receipts(3)
    await write_receipt(clients, first)
    upload = receipt_module.upload_json

    async def second_comes_between(blob: BlobClient, document: dict[str, Any], **conditions: Any) -> None:
        if conditions["match_condition"] is MatchConditions.IfNotModified:
            monkeypatch.setattr(receipt_module, "upload_json", upload)
            await write_receipt(clients, second)
        await upload(blob, document, **conditions)

    monkeypatch.setattr(receipt_module, "upload_json", second_comes_between)
    with pytest.raises(ResourceModifiedError):
        await write_receipt(clients, third)
    await write_receipt(clients, third)
    assert len((await document(clients, first.blob))["earlier"]) == 2


async def test_the_list_of_earlier_versions_keeps_the_latest(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is used for ever does not make a receipt that grows for ever."""
    monkeypatch.setattr(receipt_module, "_MAX_EARLIER", 2)
    versions = receipts(5)
    for version in versions:
        await write_receipt(clients, version)
    standing = await document(clients, versions[0].blob)
    assert [one["etag"] for one in standing["earlier"]] == [versions[2].etag, versions[3].etag]


def test_a_receipt_reads_back_what_it_wrote() -> None:
    """Also one from before a field was added."""
    [receipt] = receipts(1)
    written = json.loads(json.dumps(receipt.to_json()))
    assert Receipt.from_json(written) == receipt
    del written["uploaded_at"]
    assert Receipt.from_json(written) == replace(receipt, uploaded_at="")
