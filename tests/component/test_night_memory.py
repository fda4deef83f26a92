"""What is remembered between nights, on a real account; nothing is deleted where that cannot be understood."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from purge_study.planning.night_memory import NIGHTS, Memory, recall_nights, remember_nights
from purge_study.planning.plan import PLANS, plan_id
from shared.clients import Clients
from shared.settings import RETENTION_RECORDS, RETENTION_STATE
from tests.kit.plans import MADE_AT, decision, item, jsonl, memory, night, plan

OF = plan([item(1), item(2, held_by=("litigation",)), item(3)])
NAME = plan_id(OF, MADE_AT)
NOTED = decision(OF, memory=Memory((night(2, 4), night(1, None, "hindered", planned=3)))).noted(NAME, 0)


@pytest.fixture(autouse=True)
async def remembered(clients: Clients) -> None:
    """A night is remembered, and its plan stands in storage."""
    await write(clients, f"{PLANS}{NAME}.jsonl", jsonl(OF))
    await remember_nights(clients, NOTED)


async def write(clients: Clients, name: str, content: bytes) -> None:
    container = clients.container(RETENTION_STATE if name == NIGHTS else RETENTION_RECORDS)
    await container.get_blob_client(name).upload_blob(content, overwrite=True)


async def written(clients: Clients) -> Any:
    download = await clients.container(RETENTION_STATE).get_blob_client(NIGHTS).download_blob()
    return json.loads(await download.readall())


async def test_it_is_read_as_it_was_written(clients: Clients) -> None:
    found = await recall_nights(clients)
    assert found == NOTED
    assert found.accepted is not None
    assert found.accepted.keys == {OF.items[0].key, OF.items[2].key}


async def test_before_the_first_night(clients: Clients) -> None:
    await clients.container(RETENTION_STATE).delete_blob(NIGHTS)
    found = await recall_nights(clients)
    assert found == Memory()
    assert decision(plan(1), memory=found).stops == ("first_run",)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b'{"nights": []}', b'{"nights": [{}], "accepted": null}', b"\xff\xfe"]
)
async def test_something_that_cannot_be_understood(clients: Clients, content: bytes) -> None:
    await write(clients, NIGHTS, content)
    found = await recall_nights(clients)
    made = decision(plan(3), memory=found)
    assert (found.is_readable, made.items, made.stops) == (False, (), ("memory_unreadable",))
    await remember_nights(clients, made.noted("x", 0))
    download = await clients.container(RETENTION_STATE).get_blob_client(NIGHTS).download_blob()
    assert await download.readall() == content


@pytest.mark.parametrize("content", [None, b"", jsonl(OF)[:-1], jsonl(plan(30))])
async def test_a_plan_that_is_not_as_it_was(clients: Clients, content: bytes | None) -> None:
    if content is None:
        await clients.container(RETENTION_RECORDS).delete_blob(f"{PLANS}{NAME}.jsonl")
    else:
        await write(clients, f"{PLANS}{NAME}.jsonl", content)
    assert decision(plan(3), memory=await recall_nights(clients)).stops == ("memory_unreadable",)


async def test_it_does_not_grow_for_ever(clients: Clients) -> None:
    known = replace(memory(known=OF.to_delete, plan_hash=OF.hash), nights=())
    assert known.accepted is not None
    known = replace(known, accepted=replace(known.accepted, plan_id=NAME))
    for number in range(405, 0, -1):
        known = known.with_night(night(number, 0, "tripped"), None)
    await remember_nights(clients, known)
    assert len((await written(clients))["nights"]) == 400
    found = await recall_nights(clients)
    assert (found.nights[-1], found.accepted) == (night(1, 0, "tripped"), known.accepted)
