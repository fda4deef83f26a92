"""Studies that were put back: for each a record in `retention-records`, by which it is held for thirty days."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta, timezone
from typing import Any, Final

from azure.core.exceptions import AzureError
from azure.storage.blob.aio import BlobClient

from purge_study.ledger.row import StudyKey
from shared.clients import Clients
from shared.settings import RETENTION_RECORDS
from shared.small_blobs import read_whole, upload_json

RESTORED: Final = "restored"  # the name of this hold, and the folder of its records
HELD_DAYS: Final = 30
# Where days begin first: held for thirty days in whatever time zone the policy has.
_EARLIEST: Final = timezone(timedelta(hours=14))
_PUT_ASIDE = ".tombstone.json"


@dataclass(frozen=True)
class Restored:
    """A restore.

    Args:
        deletion_id: of the deletion that it takes back.
        requested_by: who asked for it.
        restored_at: when, in UTC.
        until: the last day on which the study is held for it.
    """

    deletion_id: str
    requested_by: str
    restored_at: datetime
    until: date

    @classmethod
    def at(cls, now: datetime, deletion_id: str, requested_by: str) -> Restored:
        """Return a restore that begins now."""
        return cls(deletion_id, requested_by, now, now.astimezone(_EARLIEST).date() + timedelta(days=HELD_DAYS))

    def to_json(self) -> dict[str, Any]:
        """Return it as it is written."""
        return asdict(self) | {"restored_at": self.restored_at.isoformat(), "until": self.until.isoformat()}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Restored:
        """Read what `to_json` gave.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        times = {
            "restored_at": datetime.fromisoformat(document["restored_at"]),
            "until": date.fromisoformat(document["until"]),
        }
        return cls(**document | times)


class UnreadableRecord(Exception):
    """A record of a restore is there, and cannot be read."""


async def read_restored(clients: Clients, key: StudyKey) -> Restored | None:
    """Return a study's latest restore; None if there was none.

    Raises:
        UnreadableRecord: there is something else.
        AzureError: storage failed.
    """
    found = await read_whole(_blob(clients, key))
    try:
        return Restored.from_json(json.loads(found.content)) if found else None
    except (KeyError, TypeError, ValueError):
        raise UnreadableRecord from None


async def write_restored(clients: Clients, key: StudyKey, restored: Restored) -> None:
    """Write down a restore; from now on the study is held.

    Raises:
        AzureError: storage failed.
    """
    await upload_json(_blob(clients, key), restored.to_json())


async def holds_of_restore(clients: Clients, key: StudyKey, today: date) -> tuple[str, ...]:
    """Return the name of the hold by which a restored study is kept; none once its time is over.

    A record that cannot be read holds as well.

    Args:
        clients: of the process.
        key: which study.
        today: the day in the policy's time zone.

    Raises:
        AzureError: it cannot be told.
    """
    try:
        restored = await read_restored(clients, key)
    except UnreadableRecord:
        return (RESTORED,)
    return (RESTORED,) if restored is not None and today <= restored.until else ()


async def held_by_restore(clients: Clients, today: date) -> frozenset[StudyKey]:
    """Return all studies that are held since they were put back; one whose record cannot be read is.

    Args:
        clients: of the process.
        today: the day in the policy's time zone.

    Raises:
        AzureError: they cannot be listed.
    """
    names = clients.container(RETENTION_RECORDS).list_blob_names(name_starts_with=f"{RESTORED}/")
    keys = [_key_of(name) async for name in names if not name.endswith(_PUT_ASIDE)]
    return frozenset([key for key in keys if await _may_be_held(clients, key, today)])


async def _may_be_held(clients: Clients, key: StudyKey, today: date) -> bool:
    try:
        return bool(await holds_of_restore(clients, key, today))
    except AzureError:
        return True


def tombstone_put_aside(key: StudyKey, deletion_id: str) -> str:
    """Return the name that a tombstone gets once its study is put back: it tells of the deletion ever after."""
    return f"{_beginning(key)}.{deletion_id}{_PUT_ASIDE}"


def _beginning(key: StudyKey) -> str:
    return f"{RESTORED}/{key.partition}/{key.uid}"


def _key_of(name: str) -> StudyKey:
    partition, _, uid = name.removeprefix(f"{RESTORED}/").removesuffix(".json").rpartition("/")
    return StudyKey(partition, uid)


def _blob(clients: Clients, key: StudyKey) -> BlobClient:
    return clients.container(RETENTION_RECORDS).get_blob_client(f"{_beginning(key)}.json")
