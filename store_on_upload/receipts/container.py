"""Where receipts are kept: a blob each, under the inbox blob's own name, in `dicom-receipts`.

The same name, since two listings in the same order can then be joined without a request per blob.
"""

from __future__ import annotations

import json
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob.aio import BlobClient

from shared import clock
from shared.clients import Clients
from shared.events import Failed
from shared.settings import RECEIPTS
from shared.small_blobs import read_whole, upload_json
from store_on_upload.files.listing import Row
from store_on_upload.files.source import version_of

from .document import Document, merge
from .known import DISPOSITION, DUE, ETAG, STATE, Known
from .receipt import Receipt

_MAX_TRIES = 8


class Unreadable(Failed):
    """A receipt that is there cannot be read; nobody but us should write to that container."""


async def read_receipt(clients: Clients, name: str) -> Document | None:
    """Return the receipt of a blob; None if there is none.

    Raises:
        Unreadable: there is one, but of another form.
        AzureError: storage failed.
    """
    found = await read_whole(_blob(clients, name))
    if found is None:
        return None
    try:
        return Document.from_json(json.loads(found.content), found.etag)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise Unreadable("the receipt cannot be read: delete it, and the blob is looked at anew") from None


async def write_receipt(clients: Clients, receipt: Receipt, standing: Document | None = None) -> Receipt:
    """Take a receipt in, and return the one of that version that counts in the end; see `take_in`."""
    counts, _ = await take_in(clients, receipt, standing)
    return counts


async def take_in(
    clients: Clients, receipt: Receipt, standing: Document | None = None, *, is_replay: bool = False
) -> tuple[Receipt, bool]:
    """Take a receipt in; return the one of that version that counts in the end, and whether this has written it.

    Args:
        clients: of the process.
        receipt: of one version.
        standing: what was read before, if anything was; the write is conditional on it.
        is_replay: whether a verdict that was given already is to be replaced.

    Raises:
        Failed: others change it all the time.
        AzureError: storage failed.
    """
    for _ in range(_MAX_TRIES):
        document = Document(receipt) if standing is None else await _merged(clients, standing, receipt, is_replay)
        is_new = document is not standing
        if not is_new or await write_if_unchanged(clients, document):
            return document.of_version(receipt.etag) or receipt, is_new
        standing = await read_receipt(clients, receipt.blob)
    raise Failed("the receipt is changed by others all the time")


async def write_if_unchanged(clients: Clients, document: Document) -> bool:
    """Write a document unless somebody has written another one since it was read; return whether it was written.

    Raises:
        AzureError: storage failed.
    """
    try:
        await _write(clients, document)
    except (ResourceExistsError, ResourceModifiedError):
        return False
    return True


async def look_up(clients: Clients, name: str) -> Known | None:
    """Return what a receipt says without reading it; None if there is none, or if it does not say enough.

    Raises:
        AzureError: storage failed.
    """
    try:
        properties = await _blob(clients, name).get_blob_properties()
    except ResourceNotFoundError:
        return None
    return Known.of_row(Row.of(properties))


async def _merged(clients: Clients, standing: Document, receipt: Receipt, is_replay: bool) -> Document:
    blob = clients.inbox.get_blob_client(receipt.blob)
    is_current = standing.expects(receipt.etag) or await version_of(blob) == receipt.etag
    return merge(standing, receipt, is_current=is_current, now=clock.now(), is_replay=is_replay)


async def _write(clients: Clients, document: Document) -> None:
    if document.blob_etag is None:
        condition: dict[str, Any] = {"match_condition": MatchConditions.IfMissing}
    else:
        condition = {"etag": document.blob_etag, "match_condition": MatchConditions.IfNotModified}
    newest = document.newest
    metadata = {ETAG: newest.etag, STATE: newest.state, DISPOSITION: newest.disposition}
    if newest.due_at:
        metadata[DUE] = newest.due_at
    await upload_json(_blob(clients, newest.blob), document.to_json(), metadata=metadata, **condition)


def _blob(clients: Clients, name: str) -> BlobClient:
    return clients.container(RECEIPTS).get_blob_client(name)
