"""A run of retention that carries out a plan, in a process that can be killed; it waits for nothing it need not."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from multiprocessing.context import ForkServerProcess

import pytest
from azure.core.pipeline.policies import AsyncRetryPolicy

from purge_study import pace
from purge_study.executing import resolving
from purge_study.executing.execute import Outcome, delete_study
from purge_study.executing.resolving import resolve_open_intents
from purge_study.executing.warrant import Warrant
from purge_study.ledger.hashing import Hasher
from purge_study.ledger.ledger import Ledger
from purge_study.planning.plan import Item
from purge_study.run import Run
from shared import storage
from shared.clients import Clients
from shared.leases import held
from shared.settings import RETENTION_STATE, load
from tests.kit.app_process import _retry_at_once, open_clients

LEASE = "lease.json"
PARTITIONS = ("Microsoft.Default", "site-a", "site-b")
_AGES = 10_000.0

# Each process is forked from one that has imported all of this, which spares it most of a second.
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([__name__])


def start(environment: Mapping[str, str], items: Sequence[Item], warrant: Warrant) -> ForkServerProcess:
    """Start a process that deletes studies, or, without any, resolves later what others left; 0 if all went well."""
    process = _context.Process(target=_run, args=(dict(environment), items, warrant))
    process.start()
    return process


def without_pauses(patch: pytest.MonkeyPatch) -> None:
    """Have nothing wait before it tries again."""
    patch.setattr(storage, "_retry", _retry_at_once)
    patch.setattr(AsyncRetryPolicy, "BACKOFF_MAX", 0)  # of the tables
    patch.setattr(pace, "_LONGEST_PAUSE_SECONDS", 0.0)


def later(patch: pytest.MonkeyPatch) -> None:
    """Have nothing be on its way any more, as after a while."""
    patch.setattr(resolving, "_ON_ITS_WAY", timedelta(days=-2))  # longer than a run may take


@asynccontextmanager
async def opened(environment: Mapping[str, str]) -> AsyncIterator[Run]:
    settings = load(environment)
    async with open_clients(settings) as clients:
        yield Run(clients, await _ledger(clients), Hasher(settings.ledger_key or ""), PARTITIONS, _end())


@asynccontextmanager
async def leased(environment: Mapping[str, str]) -> AsyncIterator[Run]:
    settings = load(environment)
    async with open_clients(settings) as clients:
        blob = clients.container(RETENTION_STATE).get_blob_client(LEASE)
        async with held(blob) as lease:
            hasher = Hasher(settings.ledger_key or "")
            yield Run(clients, await _ledger(clients), hasher, PARTITIONS, _end(), lease)


async def delete(environment: Mapping[str, str], items: Sequence[Item], warrant: Warrant) -> list[Outcome]:
    """Do what a night does with its plan."""
    async with leased(environment) as run:
        return [await delete_study(run, item, warrant) for item in items]


async def resolve(environment: Mapping[str, str]) -> None:
    """Do what a night begins with."""
    async with leased(environment) as run:
        await resolve_open_intents(run)


async def _ledger(clients: Clients) -> Ledger:
    return await Ledger.open(clients)


def _end() -> float:
    return asyncio.get_running_loop().time() + _AGES


def _run(environment: Mapping[str, str], items: Sequence[Item], warrant: Warrant) -> None:
    patch = pytest.MonkeyPatch()
    without_pauses(patch)
    if items:
        outcomes = asyncio.run(delete(environment, items, warrant))
        assert all(outcome is Outcome.DELETED for outcome in outcomes)
    else:
        later(patch)
        asyncio.run(resolve(environment))
