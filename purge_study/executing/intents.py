"""Intents: for each deletion that has begun and is not recorded as done, a blob in `retention-state`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Final

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob.aio import BlobClient

from purge_study.ledger.row import StudyKey
from purge_study.records.begun import INTENTS, intent_name
from shared.clients import Clients
from shared.folders import files_under
from shared.settings import RETENTION_STATE
from shared.small_blobs import in_json, read_whole, upload_json

from .reasons import FailedByItself
from .record import Record, intended_at, key_of, sent_at, with_sent_at

_NEEDED: Final = {"deletion_id", "partition", "study_instance_uid", "instances", "series", "etag", "intended_at"}


class UnreadableIntent(Exception):
    """An intent is there, and cannot be read: what was about to be deleted is not known."""


async def write_intent(clients: Clients, intent: Record) -> str:
    """Write down that a study is about to be deleted, and return the ETag of the intent.

    Raises:
        FailedByItself: another deletion of it is open still.
        AzureError: storage failed.
    """
    blob = _blob(clients, key_of(intent))
    try:
        return await upload_json(blob, intent, match_condition=MatchConditions.IfMissing)
    except ResourceExistsError:
        return await _etag_of_own(blob, intent)


async def note_sending(clients: Clients, intent: Record, etag: str, at: datetime) -> Record:
    """Add to an intent when the deletion is about to be sent, and return the intent with it.

    Args:
        clients: of the process.
        intent: as it was written.
        etag: of that version: the intent of another run is not overwritten.
        at: the time.

    Raises:
        FailedByItself: another run has taken the intent back.
        AzureError: storage failed.
    """
    blob, intent = _blob(clients, key_of(intent)), with_sent_at(intent, at)
    try:
        await upload_json(blob, intent, etag=etag, match_condition=MatchConditions.IfNotModified)
    except (ResourceModifiedError, ResourceNotFoundError):
        await _etag_of_own(blob, intent)
    return intent


async def remove_intent(clients: Clients, intent: Record) -> None:
    """Remove an intent: its tombstone is written, or nothing was deleted.

    Raises:
        AzureError: storage failed.
    """
    try:
        await _blob(clients, key_of(intent)).delete_blob()
    except ResourceNotFoundError:  # by an attempt whose answer was lost
        return


async def take_back(clients: Clients, intent: Record) -> None:
    """Remove an intent by which nothing was sent, unless the intent of another run is in its place.

    Raises:
        UnreadableIntent: the intent is not as a run writes it.
        AzureError: storage failed, or another run has changed the intent meanwhile.
    """
    blob = _blob(clients, key_of(intent))
    whole = await read_whole(blob)
    if whole is not None and _read(whole.content)["deletion_id"] == intent["deletion_id"]:
        await blob.delete_blob(etag=whole.etag, match_condition=MatchConditions.IfNotModified)


async def open_intents(clients: Clients) -> AsyncIterator[Record]:
    """Yield what killed runs have left.

    Raises:
        UnreadableIntent: one is not as a run writes it.
        AzureError: storage failed.
    """
    container = clients.container(RETENTION_STATE)
    async for blob in files_under(container, INTENTS):
        whole = await read_whole(container.get_blob_client(blob.name))
        if whole is not None:
            yield _read(whole.content)


def _read(content: bytes) -> Record:
    try:
        intent: Record = json.loads(content)
        if not intent.keys() >= _NEEDED:
            raise ValueError("not all of an intent")
        intended_at(intent), sent_at(intent)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise UnreadableIntent from None
    return intent


async def _etag_of_own(blob: BlobClient, intent: Record) -> str:
    """Return the ETag of an intent that an attempt has written whose answer was lost.

    Raises:
        FailedByItself: the intent is another one, or there is none.
        AzureError: storage failed.
    """
    whole = await read_whole(blob)
    if whole is None or json.loads(whole.content) != json.loads(in_json(intent)):
        raise FailedByItself("intent_open")
    return whole.etag


def _blob(clients: Clients, key: StudyKey) -> BlobClient:
    return clients.container(RETENTION_STATE).get_blob_client(intent_name(key))
