"""Will this study go, when, by which rule, from which dates, and what holds it? By the rules as they stand now."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response

from purge_study.ledger.hashing import Hasher
from purge_study.ledger.ledger import Ledger
from purge_study.ledger.row import Row, StudyKey
from purge_study.policy.policy import local_day
from purge_study.records.pointers import partitions_with_purged
from purge_study.records.tombstones import read_tombstone
from purge_study.rulebook.cache import ParseCache
from purge_study.rulebook.judging import judgement_of
from purge_study.rulebook.reading import read_rulebook
from purge_study.rulebook.rulebook import Rulebook
from shared import clock
from shared.answering import read_query
from shared.auditing.record import Access
from shared.clients import Clients, get_clients
from shared.dicomweb import check_uid
from shared.dicomweb.partitions import partition_path
from shared.places import Places
from shared.settings import ConfigurationError

from .answering import place_in, refused, visible_partitions
from .telling import tell_living, tell_purged, tell_unread

_MOST_AT_ONCE = 4  # each may read the policy and all lists, which have up to a million lines
_places = Places()
_parsed = ParseCache()


async def look_up_study(http: HttpRequest, access: Access) -> Response:
    """Answer with what is to become of a study, in each partition that has one.

    Args:
        http: what the caller sent.
        access: gets the study, and its partition if there is one only.

    Raises:
        InvalidParameter: that is no UID, or no partition's name.
        ConfigurationError: the app is not configured.
        Refused: nothing is known of it, or the app answers as many such requests as it can.
        RulebookFault: the rules cannot be used.
        UnreadableRecord, AzureError: it cannot be told.
    """
    clients = get_clients()
    uid = http.path_params["study"]
    check_uid("study_instance_uid", uid)
    wanted = _wanted(http, clients)
    with place_in(_places, _MOST_AT_ONCE):
        told = await _tell_all(clients, uid, wanted)
    if not told:
        raise refused("no-such-study")
    access.studies = (uid,)
    access.partition = told[0]["partition"] if len(told) == 1 else None
    return JSONResponse({"study_instance_uid": uid, "studies": told})


@dataclass(frozen=True)
class _Wanted:
    """Which partitions are asked for, and may be seen."""

    asked: str | None
    visible: frozenset[str] | None

    def has(self, partition: str) -> bool:
        return self.asked in (None, partition) and (self.visible is None or partition in self.visible)


def _wanted(http: HttpRequest, clients: Clients) -> _Wanted:
    partition = read_query(http, "partition").get("partition")
    if partition is not None:
        partition_path(partition)
    return _Wanted(partition, visible_partitions(http, clients.settings))


async def _tell_all(clients: Clients, uid: str, wanted: _Wanted) -> list[dict[str, Any]]:
    ledger = await Ledger.open(clients)
    rows = [row for row in await ledger.find_study(uid) if wanted.has(row.key.partition)]
    tombstones = await _tombstones(clients, uid, wanted)
    living = [row for row in rows if row.key.partition not in tombstones or _is_back(row, tombstones)]
    told = await _tell_living(clients, ledger, living) if living else {}
    purged = {partition: tell_purged(partition, tombstone) for partition, tombstone in tombstones.items()}
    return [one for _, one in sorted((purged | told).items())]


async def _tombstones(clients: Clients, uid: str, wanted: _Wanted) -> dict[str, dict[str, Any]]:
    """Return the tombstones of deletions that stand, by partition: they outlive the ledger."""
    found = {}
    async for partition in partitions_with_purged(clients):
        if wanted.has(partition) and (tombstone := await read_tombstone(clients, StudyKey(partition, uid))):
            found[partition] = tombstone
    return found


def _is_back(row: Row, tombstones: Mapping[str, Mapping[str, Any]]) -> bool:
    """Say whether a study was received once more after it was deleted, and nobody has put it back."""
    try:
        looked_at = datetime.fromisoformat(tombstones[row.key.partition]["looked_at"])
        return row.purged_at is None and row.received is not None and row.received > looked_at
    except (KeyError, TypeError, ValueError):  # written by hand
        return False


async def _rulebook(clients: Clients, studies: list[StudyKey]) -> Rulebook:
    key = clients.settings.ledger_key
    if key is None:
        raise ConfigurationError(["LEDGER_KEY: must be set"])
    return await read_rulebook(clients, Hasher(key), _parsed, studies)


async def _tell_living(clients: Clients, ledger: Ledger, rows: list[Row]) -> dict[str, dict[str, Any]]:
    """Return what is told of studies that are there, by partition."""
    rulebook = await _rulebook(clients, [row.key for row in rows])
    read = [row for row in rows if row.reading is not None and row.purged_at is None]
    patients = {row.reading.patient.group for row in read if row.reading and row.reading.patient}
    groups = {patient: await ledger.of_patient(patient) for patient in patients}
    today, mode = local_day(rulebook.policy, clock.now()), clients.settings.purge_mode

    def tell(row: Row) -> dict[str, Any]:
        patient = row.reading.patient if row.reading else None
        judgement = judgement_of(rulebook, row, groups[patient.group] if patient else [], today)
        return tell_living(row, judgement, rulebook.holds_on(row), rulebook.policy, mode)

    told = {row.key.partition: tell_unread(row) for row in rows}
    for row in read:
        told[row.key.partition] = await asyncio.to_thread(tell, row)  # a patient may have very many studies
    return told
