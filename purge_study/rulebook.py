"""The policy with its lists, as they stand in storage tonight."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Concatenate, Final, ParamSpec, TypeVar

from azure.core.exceptions import AzureError

from shared import clock
from shared.clients import Clients
from shared.settings import RETENTION_POLICY
from shared.small_blobs import TooLarge, Whole, read_whole

from .ledger.hashing import Hasher
from .ledger.row import Patient, Row, StudyKey
from .lists.anchors import Anchors, read_anchors
from .lists.holds import Holds, read_holds
from .lists.sheet import INVALID, MOST_BYTES, UNFINISHED, ListFault
from .policy.model import AnchorList, HoldList, Policy
from .policy.policy import local_day
from .policy.reading import PolicyError, read_policy
from .restored import RESTORED, held_by_restore

P = ParamSpec("P")
T = TypeVar("T")
STOP: Final = "STOP"
_POLICY_BYTES = 1024 * 1024
_UNREADABLE = "list_unreadable"
_TOO_OLD = "list_too_old"
_LIST_CODES = (_UNREADABLE, INVALID, UNFINISHED, _TOO_OLD)


class RulebookFault(Exception):
    """The rulebook cannot be used: nothing is deleted, nothing is planned.

    Args:
        code: `no_policy`, `policy_unreadable`, `policy_invalid`, `list_unreadable`, `list_invalid`, `list_unfinished`,
            `list_too_old`; of several lists the code of the first in this order.
        problems: in words, with their places, of all lists; never a value. They name blobs: they are for plans, not
            for the log.
    """

    def __init__(self, code: str, problems: list[str]) -> None:
        super().__init__(code)
        self.code = code
        self.problems = problems


@dataclass(frozen=True)
class Rulebook:
    """What studies are judged by.

    Args:
        policy: the rules.
        hashes: SHA-256 of each blob that it was read from, by name; the policy's first.
        etags: of the same blobs, without quotation marks.
        holds: the lists of holds, by the names that the policy gives them.
        anchors: the lists of dates, the same.
        restored: studies that are held since they were brought back from the vault.
    """

    policy: Policy
    hashes: Mapping[str, str]
    etags: Mapping[str, str]
    holds: Mapping[str, Holds] = field(default_factory=dict)
    anchors: Mapping[str, Anchors] = field(default_factory=dict)
    restored: frozenset[StudyKey] = frozenset()

    @property
    def hash(self) -> str:
        """One hash of all blobs, their names included: equal rulebooks, equal hash."""
        lines = (f"{digest}  {name}\n" for name, digest in sorted(self.hashes.items()))
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    @property
    def policy_hash(self) -> str:
        """The hash of the policy alone."""
        return next(iter(self.hashes.values()))

    def holds_on(self, row: Row) -> tuple[str, ...]:
        """Return the names of the hold lists that hold a study; `restored` for one that came from the vault."""
        names = tuple(name for name, holds in self.holds.items() if holds.hold(row))
        return (*names, RESTORED) if row.key in self.restored else names

    def anchors_of(self, patient: Patient | None, *, is_alone: bool) -> Mapping[str, date]:
        """Return the dates that anchor lists have for a patient, the latest of each list, one in the future too.

        Args:
            patient: whose study it is.
            is_alone: whether no other patient's id is the same but for leading zeros and case. Where one is, only
                the id as it is written counts: another patient's date must not let this one's studies go.
        """
        if patient is None:
            return {}
        found = ((name, anchors.date_of(patient, is_alone=is_alone)) for name, anchors in self.anchors.items())
        return {name: day for name, day in found if day is not None}


async def read_rulebook(clients: Clients, hasher: Hasher) -> Rulebook:
    """Read the policy and its lists; the lists' names are those of blobs in the same container.

    Raises:
        RulebookFault: they cannot be used; of lists, all that is wrong with any.
    """
    whole = await _read_policy_blob(clients)
    try:
        policy = read_policy(whole.content)
    except PolicyError as error:
        raise RulebookFault("policy_invalid", error.problems) from None
    reader = _Reader(clients, hasher, local_day(policy, clock.now()))
    reader.note(clients.settings.retention_policy, whole)
    holds = {table.name: await reader.holds(table) for table in policy.hold}
    anchors = {table.name: await reader.anchors(table) for table in policy.anchor}
    restored = await reader.restored()
    reader.check()
    return Rulebook(policy, reader.hashes, reader.etags, _found(holds), _found(anchors), restored)


async def is_stopped(clients: Clients) -> bool:
    """Say whether a blob `STOP` stands beside the policy; what cannot be told counts as a stop."""
    try:
        return await clients.container(RETENTION_POLICY).get_blob_client(STOP).exists()
    except AzureError:
        return True


async def is_unchanged(clients: Clients, rulebook: Rulebook) -> bool:
    """Say whether all blobs of a rulebook stand in storage as they were read, and no STOP; one request.

    What cannot be told counts as changed.
    """
    try:
        blobs = [blob async for blob in clients.container(RETENTION_POLICY).list_blobs()]
    except AzureError:
        return False
    etags = {blob.name: _bare(blob.etag) for blob in blobs}
    return STOP not in etags and rulebook.etags.items() <= etags.items()


async def _read_policy_blob(clients: Clients) -> Whole:
    blob = clients.container(RETENTION_POLICY).get_blob_client(clients.settings.retention_policy)
    try:
        whole = await read_whole(blob, _POLICY_BYTES)
    except TooLarge:
        raise RulebookFault("policy_invalid", ["it has more than 1 MiB"]) from None
    except AzureError:
        raise RulebookFault("policy_unreadable", ["storage does not give it"]) from None
    if whole is None:
        raise RulebookFault("no_policy", ["there is no such blob"])
    return whole


class _Reader:
    """Reads the lists, each as a whole, and gathers what is wrong with any."""

    def __init__(self, clients: Clients, hasher: Hasher, today: date) -> None:
        self.hashes: dict[str, str] = {}
        self.etags: dict[str, str] = {}
        self._clients = clients
        self._hasher = hasher
        self._today = today
        self._problems: dict[str, list[str]] = {}

    def note(self, name: str, whole: Whole) -> None:
        """Note what was read."""
        if self.etags.setdefault(name, _bare(whole.etag)) != _bare(whole.etag):
            self._find(_UNREADABLE, f"{name}: it changed while it was read")
        self.hashes[name] = hashlib.sha256(whole.content).hexdigest()

    async def holds(self, table: HoldList) -> Holds | None:
        """Read a list of holds; None where something is wrong with it."""
        if (whole := await self._fetch(table.list)) is None:
            return None
        return await self._parse(table.list, read_holds, whole.content, self._hasher, self._today)

    async def anchors(self, table: AnchorList) -> Anchors | None:
        """Read a list of dates; None where something is wrong with it."""
        if (whole := await self._fetch(table.list)) is None:
            return None
        if whole.last_modified < clock.now() - timedelta(days=table.max_age_days):
            self._find(_TOO_OLD, f"{table.list}: it was written more than {table.max_age_days} days ago")
        return await self._parse(table.list, read_anchors, whole.content, self._hasher)

    async def restored(self) -> frozenset[StudyKey]:
        """Read which studies were restored lately."""
        try:
            return await held_by_restore(self._clients, self._today)
        except AzureError:
            self._find(_UNREADABLE, f"{RESTORED}/: storage does not list it")
            return frozenset()

    def check(self) -> None:
        """Raise RulebookFault where something was wrong."""
        problems = [problem for code in _LIST_CODES for problem in self._problems.get(code, ())]
        if problems:
            raise RulebookFault(next(code for code in _LIST_CODES if code in self._problems), problems)

    async def _fetch(self, name: str) -> Whole | None:
        whole = None
        try:
            whole = await read_whole(self._clients.container(RETENTION_POLICY).get_blob_client(name), MOST_BYTES)
        except TooLarge:
            self._find(INVALID, f"{name}: it has more than {MOST_BYTES // 1024**2} MiB")
        except AzureError:
            self._find(_UNREADABLE, f"{name}: storage does not give it")
        else:
            if whole is None:
                self._find(_UNREADABLE, f"{name}: there is no such blob")
            else:
                self.note(name, whole)
        return whole

    async def _parse(
        self, name: str, read: Callable[Concatenate[str, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T | None:
        try:
            # In a thread: there may be a million lines, and ingest goes on meanwhile.
            return await asyncio.to_thread(read, name, *args, **kwargs)
        except ListFault as fault:
            for problem in fault.problems:
                self._find(fault.code, f"{name}{', ' if problem.startswith('line ') else ': '}{problem}")
            return None

    def _find(self, code: str, problem: str) -> None:
        self._problems.setdefault(code, []).append(problem)


def _bare(etag: str) -> str:
    """Return an ETag as listings have it."""
    return etag.strip('"')


def _found(lists: Mapping[str, T | None]) -> dict[str, T]:
    return {name: one for name, one in lists.items() if one is not None}
