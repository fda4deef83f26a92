"""Intents: for each deletion that has begun and is not recorded as done, a blob in `retention-state`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Final

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.blob.aio import BlobClient

from purge_study.ledger.row import StudyKey
from purge_study.records.begun import INTENTS, intent_name
from shared.clients import Clients
from shared.folders import files_under
from shared.settings import RETENTION_STATE
from shared.small_blobs import read_whole, upload_json

from .reasons import FailedByItself
from .record import Record, intended_at, key_of

_NEEDED: Final = {"deletion_id", "partition", "study_instance_uid", "instances", "series", "etag", "intended_at"}


class UnreadableIntent(Exception):
    """An intent is there, and cannot be read: what was about to be deleted is not known."""


async def write_intent(clients: Clients, intent: Record) -> None:
    """Write down that a study is about to be deleted.

    Raises:
        FailedByItself: another deletion of it is open still.
        AzureError: storage failed.
    """
    blob = _blob(clients, key_of(intent))
    try:
        await upload_json(blob, intent, match_condition=MatchConditions.IfMissing)
    except ResourceExistsError:
        # It may be our own, written by an attempt whose answer was lost.
        if not await _is(blob, intent):
            raise FailedByItself("intent_open") from None


async def remove_intent(clients: Clients, intent: Record) -> None:
    """Remove an intent: its tombstone is written, or nothing was deleted.

    Raises:
        AzureError: storage failed.
    """
    try:
        await _blob(clients, key_of(intent)).delete_blob()
    except ResourceNotFoundError:  # by an attempt whose answer was lost
        return


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
        intended_at(intent)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise UnreadableIntent from None
    return intent


async def _is(blob: BlobClient, intent: Record) -> bool:
    whole = await read_whole(blob)
    return whole is not None and json.loads(whole.content)["deletion_id"] == intent["deletion_id"]


def _blob(clients: Clients, key: StudyKey) -> BlobClient:
    return clients.container(RETENTION_STATE).get_blob_client(intent_name(key))
