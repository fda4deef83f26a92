"""Where the memory of lists is kept: one blob for each LEDGER_KEY, with whose hashes alone it means anything."""

from __future__ import annotations

import asyncio
import json
from datetime import date
from typing import Any

from azure.storage.blob import ContentSettings
from azure.storage.blob.aio import BlobClient

from purge_study.ledger.hashing import Hasher
from purge_study.ledger.row import Patient
from shared.clients import Clients
from shared.settings import RETENTION_STATE
from shared.small_blobs import read_whole

from .list_memory import Lines, ListMemory


async def recall_lists(clients: Clients, hasher: Hasher) -> ListMemory:
    """Return what is remembered of lists.

    Raises:
        AzureError: storage failed.
    """
    found = await read_whole(_blob(clients, hasher))
    return ListMemory(is_first=True) if found is None else await asyncio.to_thread(_read, found.content)


async def remember_lists(clients: Clients, hasher: Hasher, memory: ListMemory) -> None:
    """Write down what is to be remembered (`to_remember`), once the night's plan is; not over what cannot be read.

    Never by a rulebook that has a fault, and not before the studies of `ListChanges.groups` are judged anew: what is
    written down is not found changed again.

    Raises:
        AzureError: storage failed.
    """
    if not memory.is_readable:
        return
    settings = ContentSettings(content_type="application/json")
    content = await asyncio.to_thread(_written, memory)
    await _blob(clients, hasher).upload_blob(content, overwrite=True, content_settings=settings)


def _blob(clients: Clients, hasher: Hasher) -> BlobClient:
    return clients.container(RETENTION_STATE).get_blob_client(f"memory/lists-{hasher.key_id}.json")


def _written(memory: ListMemory) -> bytes:
    document: dict[str, Any] = {"with_end": sorted(memory.with_end), "holds": {}, "dates": {}}
    for (blob, key), lines in memory.holds.items():
        columns = [lines.number, lines.holding, lines.released, int(lines.has_matched)]
        document["holds"].setdefault(blob, {})[key] = columns
    for (blob, *patient), day in memory.dates.items():
        document["dates"].setdefault(blob, {})[" ".join(patient)] = day.isoformat()
    document["alike"] = {
        group: sorted([one.exact, one.issuer or ""] for one in patients) for group, patients in memory.alike.items()
    }
    return json.dumps(document, separators=(",", ":")).encode()


def _read(content: bytes) -> ListMemory:
    try:
        document = json.loads(content)
        return ListMemory(
            {
                (blob, key): Lines(number, holding, released, bool(has_matched))
                for blob, lines in document["holds"].items()
                for key, (number, holding, released, has_matched) in lines.items()
            },
            {
                (blob, *_patient(key)): date.fromisoformat(day)
                for blob, dates in document["dates"].items()
                for key, day in dates.items()
            },
            frozenset(document["with_end"]),
            {
                group: frozenset(Patient(exact, group, issuer or None) for exact, issuer in patients)
                for group, patients in document.get("alike", {}).items()
            },
            knows_alike="alike" in document,
        )
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return ListMemory(is_readable=False)


def _patient(key: str) -> tuple[str, str, str]:
    group, exact, issuer = key.split(" ")
    return group, exact, issuer
