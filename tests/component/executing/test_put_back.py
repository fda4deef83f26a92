"""A study that had come back is deleted again, while somebody asks for what its first deletion has taken."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from purge_study.executing.execute import Outcome
from purge_study.executing.warrant import Warrant
from purge_study.records.restored import RESTORED, holds_of_restore, read_restored
from purge_study.requests.restoring import restore
from shared import clock
from shared.clients import Clients
from shared.dicomweb import DICOMwebClient
from shared.problems import Refused
from shared.queues import ARRIVALS
from shared.settings import load
from tests.kit.deletions import Deletions, Victim
from tests.kit.gateway import Fault, Moment

pytestmark = pytest.mark.anyio


async def ask(victim: Victim) -> str:
    """Ask for a study, past the gateway, and return what came of it."""
    settings = load(victim.deletions.direct)
    async with aclosing(Clients.over(settings, DICOMwebClient(settings.dicom_service_url))) as clients:
        try:
            await restore(clients, victim.key, "A. Reader")
        except Refused as refused:
            return refused.code
        finally:
            # What was sent is for ingest, and nothing of it runs here.
            await clients.queues.get_queue_client(ARRIVALS).clear_messages()
    return "begun"


async def deleted_and_back(deletions: Deletions, warrant: Warrant) -> Victim:
    victim = await deletions.due(warrant=warrant)
    assert await deletions.run(victim, warrant=warrant) == [Outcome.DELETED]
    await victim.check_deleted()
    deletions.store(*victim.samples)
    return await victim.planned_anew(warrant)


async def delete_while_asked(victim: Victim, warrant: Warrant, number: int) -> tuple[Outcome, str]:
    told: list[str] = []
    asking = Fault(number, Moment.BEFORE, meanwhile=lambda: told.append(asyncio.run(ask(victim))))
    [outcome] = await victim.deletions.run(victim, warrant=warrant, fault=asking)
    return outcome, told[0]


async def check(victim: Victim, outcome: Outcome, told: str) -> None:
    """See that it is held in any case; that what is there was not deleted again, and what is gone is kept out.

    Unless that last deletion is what is being taken back.
    """
    assert victim.deletions.own is not None
    clients = victim.deletions.own.clients
    restored = await read_restored(clients, victim.key)
    assert restored is not None
    assert await holds_of_restore(clients, victim.key, clock.now().date()) == (RESTORED,)
    assert victim.intent is None
    assert victim.is_there == (outcome is Outcome.CHANGED)
    assert len(victim.tombstones) == 1 + (outcome is Outcome.DELETED)
    if told == "begun":
        assert victim.pointer is None
        assert restored.deletion_id == victim.tombstones[-1]["deletion_id"]
    else:
        assert victim.pointer is not None
        assert victim.pointer["deletion_id"] == victim.tombstones[-1]["deletion_id"]


async def test_before_each_request(deletions: Deletions) -> None:
    """Either the study stays, or its second deletion is on record, and only that one can be taken back."""
    warrant = await deletions.warrant()  # the holds of other studies' restores, which grow, are not read each time
    assert await deletions.run(await deleted_and_back(deletions, warrant), warrant=warrant) == [Outcome.DELETED]
    steps = deletions.gateway.steps
    intent = next(step.number for step in steps if step.method == "PUT" and "/intents/" in step.path)
    endings = set()
    for number in (1, *range(intent - 1, len(steps) + 1)):  # of the many requests before, one will do
        victim = await deleted_and_back(deletions, warrant)
        ending = await delete_while_asked(victim, warrant, number)
        await check(victim, *ending)
        endings.add(ending)
    assert endings == {
        (Outcome.CHANGED, "begun"),
        (Outcome.CHANGED, "deletion-unfinished"),
        (Outcome.DELETED, "deletion-unfinished"),
        (Outcome.DELETED, "begun"),
    }
