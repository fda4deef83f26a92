"""Studies that were put back: for each call a record in `retention-records`, by which they are held for thirty days.

The record is the hold. So there is no moment between the two, and where the container is immutable, nobody can take
the hold away.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta, timezone
from typing import Any, Final

from azure.core.exceptions import AzureError

from purge_study.ledger.row import StudyKey
from shared.clients import Clients
from shared.settings import RETENTION_RECORDS
from shared.small_blobs import in_json, read_whole

from .writing import new_id, write_record

RESTORED: Final = "restored"  # the name of this hold, and the folder of its records
HELD_DAYS: Final = 30
# Where days begin first: held for thirty days in whatever time zone the policy has.
_EARLIEST: Final = timezone(timedelta(hours=14))


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
    """A record of a deletion or of a restore is there, and cannot be read; or it should be there, and is not."""


async def read_restored(clients: Clients, key: StudyKey) -> Restored | None:
    """Return a study's latest restore; None if there was none.

    Raises:
        UnreadableRecord: there is something else.
        AzureError: storage failed.
    """
    restores = [await _read(clients, name) async for name in _names(clients, _folder(key))]
    try:
        return max(restores, key=lambda restored: restored.restored_at, default=None)
    except TypeError:  # one without a time zone
        raise UnreadableRecord from None


async def write_restored(clients: Clients, key: StudyKey, restored: Restored) -> None:
    """Write down a restore, under a name of its own; from now on the study is held.

    Raises:
        AzureError: storage failed.
    """
    name = f"{_folder(key)}{restored.deletion_id}/{new_id(restored.restored_at)}.json"
    await write_record(clients, name, in_json(restored.to_json()))


async def was_asked_back(clients: Clients, key: StudyKey, deletion_id: str) -> bool:
    """Say whether anybody has asked for a study that a certain deletion took.

    Raises:
        AzureError: it cannot be told.
    """
    async for _ in _names(clients, f"{_folder(key)}{deletion_id}/"):
        return True
    return False


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
    async for name in _names(clients, _folder(key)):
        if await _holds(clients, name, today):
            return (RESTORED,)
    return ()


async def held_by_restore(
    clients: Clients, today: date, studies: Iterable[StudyKey] | None = None
) -> frozenset[StudyKey]:
    """Return all studies that are held since they were put back; one whose record cannot be read is.

    Args:
        clients: of the process.
        today: the day in the policy's time zone.
        studies: only these studies, in as many listings. None: all, which reads the record of every restore.

    Raises:
        AzureError: they cannot be listed.
    """
    folders = [f"{RESTORED}/"] if studies is None else [_folder(key) for key in studies]
    names = [name for folder in folders async for name in _names(clients, folder)]
    return frozenset([_key_of(name) for name in names if await _may_hold(clients, name, today)])


async def _may_hold(clients: Clients, name: str, today: date) -> bool:
    try:
        return await _holds(clients, name, today)
    except AzureError:
        return True


async def _holds(clients: Clients, name: str, today: date) -> bool:
    try:
        return today <= (await _read(clients, name)).until
    except UnreadableRecord:
        return True


async def _read(clients: Clients, name: str) -> Restored:
    found = await read_whole(clients.container(RETENTION_RECORDS).get_blob_client(name))
    try:
        return Restored.from_json(json.loads(found.content if found else b""))
    except (KeyError, TypeError, ValueError):
        raise UnreadableRecord from None


async def _names(clients: Clients, folder: str) -> AsyncIterator[str]:
    async for name in clients.container(RETENTION_RECORDS).list_blob_names(name_starts_with=folder):
        yield name


def _folder(key: StudyKey) -> str:
    return f"{RESTORED}/{key.partition}/{key.uid}/"


def _key_of(name: str) -> StudyKey:
    partition, uid, *_ = name.removeprefix(f"{RESTORED}/").split("/")
    return StudyKey(partition, uid)
