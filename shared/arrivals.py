"""Blobs that the handler of ingest is to look at, and our own message for them in the queue `dicom-arrivals` (pure)."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Final

from shared.settings import VAULT

OURS: Final = "dicom_dropbox"  # in our own messages: the version of their form
VERSION: Final = 1
TRACE: Final = "traceparent"


class Door(StrEnum):
    """Which way a blob came to be looked at."""

    BLOB = "blob"  # the blob trigger
    EVENT = "event"  # a storage event
    DEFERRAL = "deferral"  # put off by ourselves
    SWEEP = "sweep"  # a listing of the inbox
    REPLAY = "replay"  # somebody asked for it again: a file in quarantine
    RESTORE = "restore"  # the same, of an instance that retention has put into the vault

    @property
    def is_asked_for(self) -> bool:
        """Whether somebody wants another verdict than the one that may stand."""
        return self in (Door.REPLAY, Door.RESTORE)


@dataclass(frozen=True)
class Arrival:
    """A blob to look at.

    Args:
        names: candidates for its name, the likeliest first; our own messages have one.
        door: which way it came.
        container: where it is; None for the inbox.
        tries: how often it was sent on without a receipt that counts.
        partition: of the DICOM service, for what comes from the vault; None for a service without partitions. Of what
            comes from the inbox, its name decides.
        traceparent: the trace that it continues, as a header has it; None for one of its own.
    """

    names: tuple[str, ...]
    door: Door
    container: str | None = None
    tries: int = 0
    partition: str | None = None
    traceparent: str | None = None


@dataclass(frozen=True)
class Renamed:
    """A directory that got a new name: no blob in it has an event of its own.

    Args:
        prefix: what the names of its blobs begin with.
        continuation: where an earlier listing of it stopped.
    """

    prefix: str
    continuation: str | None = None


def write_message(item: Arrival | Renamed) -> str:
    """Return our own message for an item: base64 of ASCII JSON, within the 64 KiB of a queue's message."""
    # Without what came later, the form is that of older deployments, which can read it: they look at nothing beside
    # the item.
    fields = {name: value for name, value in asdict(item).items() if (name, value) != ("partition", None)}
    trace = fields.pop(TRACE, None)
    content = {OURS: VERSION, type(item).__name__.lower(): fields} | ({TRACE: trace} if trace else {})
    return base64.b64encode(json.dumps(content).encode()).decode()


def name_of_restored(vaulted: str) -> str:
    """Return the name under which the receipt of a blob of the vault is kept.

    No file of the inbox has it: the deletion's id, which is in the name, is nothing that a producer could know.
    """
    return f"{VAULT}/{vaulted}"
