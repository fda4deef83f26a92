"""The rulebook, read from storage: the policy with its lists, as they stand there tonight."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Concatenate, Final, ParamSpec, TypeVar

from azure.core.exceptions import AzureError

from purge_study.ledger.hashing import Hasher
from purge_study.ledger.row import StudyKey
from purge_study.lists.anchors import Anchors, read_anchors
from purge_study.lists.holds import Holds, read_holds
from purge_study.lists.sheet import INVALID, MOST_BYTES, UNFINISHED, ListFault
from purge_study.policy.mistakes import future_days
from purge_study.policy.model import AnchorList, HoldList
from purge_study.policy.policy import local_day
from purge_study.policy.reading import MOST_BYTES as MOST_POLICY_BYTES
from purge_study.policy.reading import TOO_LARGE, PolicyError, read_policy
from purge_study.records.restored import RESTORED, held_by_restore
from shared import clock
from shared.clients import Clients
from shared.settings import RETENTION_POLICY
from shared.small_blobs import TooLarge, Whole, read_whole

from .rulebook import Rulebook, RulebookFault

P = ParamSpec("P")
T = TypeVar("T")
STOP: Final = "STOP"
_UNREADABLE = "list_unreadable"
_TOO_OLD = "list_too_old"
_LIST_CODES = (_UNREADABLE, INVALID, UNFINISHED, _TOO_OLD)


async def read_rulebook(clients: Clients, hasher: Hasher) -> Rulebook:
    """Read the policy and its lists; the lists' names are those of blobs in the same container.

    Raises:
        RulebookFault: they cannot be used; of lists, all that is wrong with any.
    """
    whole = await _read_policy_blob(clients)
    try:
        policy = await asyncio.to_thread(read_policy, whole.content)  # ingest goes on meanwhile
    except PolicyError as error:
        raise RulebookFault("policy_invalid", error.problems) from None
    today = local_day(policy, clock.now())
    if problems := future_days(policy, today):
        raise RulebookFault("policy_invalid", problems)
    reader = _Reader(clients, hasher, today)
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
        whole = await read_whole(blob, MOST_POLICY_BYTES)
    except TooLarge:
        raise RulebookFault("policy_invalid", [TOO_LARGE]) from None
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
