"""How far the sweep has come: a blob `sweep.json` in `dicom-control`, so that the next run goes on from there.

Only a shortcut: without it a pass begins anew. Two sweeps at once overwrite each other's, which costs some listing.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from shared.clients import Clients
from shared.settings import CONTROL
from shared.small_blobs import read_whole, upload_json
from store_on_upload.receipts.receipt import parse_timestamp, timestamp

PROGRESS = "sweep.json"
_SCHEMA = 1


@dataclass(frozen=True)
class Progress:
    """Where a pass over the inbox stands.

    Args:
        began_at: when it began; as the other time, as `timestamp` has it.
        previous_began_at: when the pass before did.
        inbox_token, receipts_token: of the pages to go on with; None for the first ones.
        after: name of the blob of that inbox page that was dealt with last; None where all are left.
        oldest_pending: when the oldest blob without a verdict that this pass has seen was dropped.
        is_complete: whether the pass has come to its end.
    """

    began_at: str
    previous_began_at: str | None = None
    inbox_token: str | None = None
    receipts_token: str | None = None
    after: str | None = None
    oldest_pending: str | None = None
    is_complete: bool = False

    def with_pending(self, dropped_at: datetime) -> Progress:
        """Take note of a blob without a verdict."""
        oldest = min(self.oldest_pending or timestamp(dropped_at), timestamp(dropped_at))
        return replace(self, oldest_pending=oldest)

    def anew(self) -> Progress:
        """Return it at the first page."""
        return replace(self, inbox_token=None, receipts_token=None, after=None)


async def load_progress(clients: Clients, now: datetime) -> Progress:
    """Return where to go on: in the pass that is under way, or at the beginning of the next.

    Raises:
        AzureError: storage failed.
    """
    standing = await _read(clients)
    if standing is None:
        return Progress(timestamp(now))
    return Progress(timestamp(now), previous_began_at=standing.began_at) if standing.is_complete else standing


async def save_progress(clients: Clients, progress: Progress) -> None:
    """Write down where to go on.

    Raises:
        AzureError: storage failed.
    """
    blob = clients.container(CONTROL).get_blob_client(PROGRESS)
    await upload_json(blob, {"schema": _SCHEMA, **asdict(progress)})


async def _read(clients: Clients) -> Progress | None:
    blob = clients.container(CONTROL).get_blob_client(PROGRESS)
    found = await read_whole(blob)
    try:
        return _parse(json.loads(found.content)) if found else None
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _parse(document: dict[str, Any]) -> Progress:
    if document.pop("schema") != _SCHEMA:
        raise ValueError("another version")
    progress = Progress(**document)
    parse_timestamp(progress.began_at)
    return progress
