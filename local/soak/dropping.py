"""The producer's side of a soak: files are dropped, and the app is told of most of them, of some more than once."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import BlobClient, ContainerClient
from azure.storage.queue import QueueClient

from local.soak.plan import Drop
from local.stack import Stack
from shared.queues import ARRIVALS
from shared.settings import DEFAULT_INBOX

# How often an event comes → share. One that is lost is the sweep's to notice.
_EVENTS = {1: 92, 0: 4, 2: 2, 5: 2}


@dataclass(frozen=True)
class Dropped:
    """A file that is in the inbox, or was.

    Args:
        drop: what it is.
        etag: its version, without quotation marks.
        overwrote: the version that was in the inbox still, and is nowhere now unless the app had copied it.
    """

    drop: Drop
    etag: str
    overwrote: str | None = None


def drop_all(stack: Stack, drops: Iterable[Drop], random: Random, dropped: list[Dropped]) -> None:
    """Drop files one after the other, and send their events.

    Args:
        stack: that runs.
        drops: the files.
        random: for the events.
        dropped: grows by each file.
    """
    connection = stack.connection_string
    with (
        ContainerClient.from_connection_string(connection, DEFAULT_INBOX) as inbox,
        QueueClient.from_connection_string(connection, ARRIVALS) as queue,
    ):
        for drop in drops:
            dropped.append(put(inbox.get_blob_client(drop.name), drop))
            for _ in range(random.choices(list(_EVENTS), list(_EVENTS.values()))[0]):
                queue.send_message(event_of(drop.name), time_to_live=-1)


def put(blob: BlobClient, drop: Drop) -> Dropped:
    """Upload a file, and find out for certain what it overwrites: the app may be about to take that away."""
    while True:
        try:
            found = str(blob.get_blob_properties().etag) if blob.exists() else None
            if_same: dict[str, Any] = {"etag": found, "match_condition": MatchConditions.IfNotModified} if found else {}
            written = blob.upload_blob(drop.content, overwrite=found is not None, **if_same)
        except (ResourceExistsError, ResourceModifiedError, ResourceNotFoundError):
            continue
        return Dropped(drop, _bare(written["etag"]), _bare(found) if found else None)


def _bare(etag: str) -> str:
    return etag.strip('"')


def event_of(name: str) -> str:
    """Return what Event Grid says of a new blob, as far as the app reads it."""
    return json.dumps(
        {
            "eventType": "Microsoft.Storage.BlobCreated",
            "subject": f"/blobServices/default/containers/{DEFAULT_INBOX}/blobs/{name}",
            "data": {"api": "PutBlob"},
        }
    )
