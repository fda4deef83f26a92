"""The rulebook, read from storage: the policy with its lists, as they stand there tonight."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Final, TypeVar

from azure.core.exceptions import AzureError
from azure.storage.blob.aio import BlobClient

from purge_study.ledger.hashing import Hasher
from purge_study.ledger.row import StudyKey
from purge_study.lists.anchors import Anchors, read_anchors
from purge_study.lists.holds import Holds, read_holds
from purge_study.lists.sheet import INVALID, MOST_BYTES, UNFINISHED, ListFault
from purge_study.policy.mistakes import future_days
from purge_study.policy.model import AnchorList, HoldList, Policy
from purge_study.policy.reading import MOST_BYTES as MOST_POLICY_BYTES
from purge_study.policy.reading import TOO_LARGE, PolicyError, read_policy
from purge_study.records.restored import RESTORED, held_by_restore
from purge_study.run import today_of
from shared import clock
from shared.clients import Clients
from shared.settings import RETENTION_POLICY
from shared.small_blobs import TooLarge

from .cache import ParseCache, Parser, Version
from .rulebook import Rulebook, RulebookFault

T = TypeVar("T")
STOP: Final = "STOP"
_UNREADABLE = "list_unreadable"
_TOO_OLD = "list_too_old"
_LIST_CODES = (_UNREADABLE, INVALID, UNFINISHED, _TOO_OLD)


async def read_rulebook(
    clients: Clients,
    hasher: Hasher,
    cache: ParseCache | None = None,
    studies: Collection[StudyKey] | None = None,
) -> Rulebook:
    """Read the policy and its lists; the lists' names are those of blobs in the same container.

    Args:
        clients: of the process.
        hasher: of the ledger.
        cache: what earlier calls have parsed; storage is still asked for each blob's version. None: read all of it.
        studies: the only studies that will be judged; restores of others are not read. None: any study.

    Raises:
        RulebookFault: they cannot be used; of lists, all that is wrong with any.
    """
    reader = _Reader(clients, hasher, cache or ParseCache())
    policy = await reader.policy()
    holds = {table.name: await reader.holds(table) for table in policy.hold}
    anchors = {table.name: await reader.anchors(table) for table in policy.anchor}
    restored = await reader.restored(studies)
    reader.check()
    expires_at = min(reader.expiries, default=None)
    return Rulebook(policy, reader.hashes, reader.etags, _found(holds), _found(anchors), restored, expires_at)


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


class _Reader:
    """Reads the policy, then the lists, each as a whole, and gathers what is wrong with any list."""

    def __init__(self, clients: Clients, hasher: Hasher, cache: ParseCache) -> None:
        self.hashes: dict[str, str] = {}
        self.etags: dict[str, str] = {}
        self.expiries: list[datetime] = []
        self._clients = clients
        self._hasher = hasher
        self._cache = cache
        self._problems: dict[str, list[str]] = {}

    async def policy(self) -> Policy:
        """Read the policy.

        Raises:
            RulebookFault: it cannot be used.
        """
        name = self._clients.settings.retention_policy
        parser = Parser("policy", read_policy, MOST_POLICY_BYTES)
        try:
            policy = await self._cache.read(self._blob(name), parser, partial(self._note, name))
        except TooLarge:
            raise RulebookFault("policy_invalid", [TOO_LARGE]) from None
        except PolicyError as error:
            raise RulebookFault("policy_invalid", error.problems) from None
        except AzureError:
            raise RulebookFault("policy_unreadable", ["storage does not give it"]) from None
        if policy is None:
            raise RulebookFault("no_policy", ["there is no such blob"])
        self._today = today_of(policy)
        if problems := future_days(policy, self._today):
            raise RulebookFault("policy_invalid", problems)
        lists = [*(table.list for table in policy.hold), *(table.list for table in policy.anchor)]
        self._cache.keep_only([self._blob(one) for one in (name, *lists)])
        return policy

    async def holds(self, table: HoldList) -> Holds | None:
        """Read a list of holds; None where something is wrong with it."""
        parse = partial(read_holds, table.list, hasher=self._hasher, today=self._today)
        depends_on = (self._hasher.key_id, self._today)
        parser = Parser("holds", parse, MOST_BYTES, depends_on, lambda holds: len(holds.lines))
        return await self._read(table.list, parser, partial(self._note, table.list))

    async def anchors(self, table: AnchorList) -> Anchors | None:
        """Read a list of dates; None where something is wrong with it."""

        def seen(version: Version) -> None:
            self._note(table.list, version)
            expires_at = version.last_modified + timedelta(days=table.max_age_days)
            self.expiries.append(expires_at)
            if clock.now() > expires_at:
                self._find(_TOO_OLD, f"{table.list}: it was written more than {table.max_age_days} days ago")

        parse = partial(read_anchors, table.list, hasher=self._hasher)
        depends_on = (self._hasher.key_id,)
        parser = Parser("anchors", parse, MOST_BYTES, depends_on, lambda anchors: len(anchors.dates))
        return await self._read(table.list, parser, seen)

    async def restored(self, studies: Collection[StudyKey] | None) -> frozenset[StudyKey]:
        """Read which studies were restored lately: which of some, or of all."""
        try:
            return await held_by_restore(self._clients, self._today, studies)
        except AzureError:
            self._find(_UNREADABLE, f"{RESTORED}/: storage does not list it")
            return frozenset()

    def check(self) -> None:
        """Raise RulebookFault where something was wrong."""
        problems = [problem for code in _LIST_CODES for problem in self._problems.get(code, ())]
        if problems:
            raise RulebookFault(next(code for code in _LIST_CODES if code in self._problems), problems)

    async def _read(self, name: str, parser: Parser[T], seen: Callable[[Version], None]) -> T | None:
        try:
            found = await self._cache.read(self._blob(name), parser, seen)
            if found is None:
                self._find(_UNREADABLE, f"{name}: there is no such blob")
            return found
        except TooLarge:
            self._find(INVALID, f"{name}: it has more than {MOST_BYTES // 1024**2} MiB")
        except AzureError:
            self._find(_UNREADABLE, f"{name}: storage does not give it")
        except ListFault as fault:
            for problem in fault.problems:
                self._find(fault.code, f"{name}{', ' if problem.startswith('line ') else ': '}{problem}")
        return None

    def _note(self, name: str, version: Version) -> None:
        """Note what is read; a blob that changes meanwhile is a fault, since two lists may name it."""
        if self.etags.setdefault(name, _bare(version.etag)) != _bare(version.etag):
            self._find(_UNREADABLE, f"{name}: it changed while it was read")
        self.hashes[name] = version.sha256

    def _blob(self, name: str) -> BlobClient:
        return self._clients.container(RETENTION_POLICY).get_blob_client(name)

    def _find(self, code: str, problem: str) -> None:
        self._problems.setdefault(code, []).append(problem)


def _bare(etag: str) -> str:
    """Return an ETag as listings have it."""
    return etag.strip('"')


def _found(lists: Mapping[str, T | None]) -> dict[str, T]:
    return {name: one for name, one in lists.items() if one is not None}
