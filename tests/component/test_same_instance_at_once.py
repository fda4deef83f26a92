"""Several files with the same instance at the same moment, each in a process of its own, in many interleavings.

One is stored, whichever it is; the others are its duplicates, or conflicts, whatever the policy.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator

import pytest

from shared.clients import Clients
from shared.settings import OnConflict
from store_on_upload.receipts.receipt import Receipt
from tests.kit.files import Sample
from tests.kit.runs import Place, an_hour_ago, other, place_at

# More of them take longer: RACE_SEEDS=100.
SEEDS = range(int(os.environ.get("RACE_SEEDS", "6")))
POLICIES = list(OnConflict)
LONGEST_DELAY_SECONDS = 0.15


@pytest.fixture
async def place(clients: Clients, service: str) -> AsyncIterator[Place]:
    async with place_at(clients, service) as place:
        yield place


async def race(place: Place, label: str, contents: list[bytes], chance: random.Random) -> dict[str, Receipt]:
    """Drop files, and handle each in a process of its own, while answers of the service come late by chance."""
    files = {f"{label}/{number}.dcm": content for number, content in enumerate(contents)}
    for name, content in files.items():
        await place.drop(name, content)
    for _ in range(2 * len(files)):
        kind = chance.choice(("store", "store", "retrieve", "changefeed"))
        await place.inject(fault="delay", kind=kind, seconds=chance.uniform(0.01, LONGEST_DELAY_SECONDS))

    async def arrive(name: str) -> Receipt:
        await asyncio.sleep(chance.choice((0, chance.uniform(0, LONGEST_DELAY_SECONDS))))
        return await place.settled(name)

    order = chance.sample(list(files), len(files))
    receipts = dict(zip(order, await asyncio.gather(*map(arrive, order)), strict=True))
    return {name: receipts[name] for name in files}


def contents_of(sample: Sample, chance: random.Random) -> list[bytes]:
    """Return two to four files: the same bytes twice or more, or each with its own."""
    alike = [sample.content] * chance.randint(0, 2)
    return [sample.content, *alike, *(other(sample, b"%d" % number) for number in range(chance.randint(1, 2)))]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("policy", POLICIES)
async def test_one_is_stored(place: Place, policy: OnConflict, seed: int) -> None:
    """What the service has afterwards is its content; the same bytes are duplicates, other bytes are in quarantine."""
    sample, chance = Sample(), random.Random(seed)
    place = place.with_settings(on_conflict=policy)
    contents = contents_of(sample, chance)
    label = f"{policy}-{seed}"
    receipts = await race(place, label, contents, chance)
    stored = await place.stored(sample)
    check(receipts, contents, stored, "stored")
    conflicts = {f"{label}/{at}.dcm": content for at, content in enumerate(contents) if content != stored}
    assert await place.quarantined(f"{label}/") == conflicts


@pytest.mark.parametrize("seed", SEEDS)
async def test_one_replaces(place: Place, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """An older instance gives way to one of them, once; to the others it is as if that had been stored."""
    sample, chance = Sample(), random.Random(seed)
    place = place.with_settings(on_conflict=OnConflict.REPLACE)
    old = other(sample, b"old")
    with an_hour_ago(monkeypatch):
        await place.put(sample, old)
    contents = contents_of(sample, chance)
    label = f"replacing-{seed}"
    receipts = await race(place, label, contents, chance)
    stored = await place.stored(sample)
    check(receipts, contents, stored, "replaced")
    assert list((await place.copies(sample)).values()) == [old]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("first", [0, 1])
async def test_either_order(place: Place, policy: OnConflict, first: int) -> None:
    """Of two files that are both there, the one that is handled first is stored, also where that is the newer one."""
    sample = Sample()
    place = place.with_settings(on_conflict=policy)
    contents = [sample.content, other(sample)]
    names = [f"order-{policy}-{first}/{number}.dcm" for number in range(2)]
    for name, content in zip(names, contents, strict=True):
        await place.drop(name, content)
    assert (await place.settled(names[first])).verdict == "stored"
    assert (await place.settled(names[1 - first])).verdict == "conflict"
    assert await place.stored(sample) == contents[first]


def check(receipts: dict[str, Receipt], contents: list[bytes], stored: bytes, winner: str) -> None:
    verdicts = [str(receipt.verdict) for receipt in receipts.values()]
    assert verdicts.count(winner) == 1
    for verdict, content in zip(verdicts, contents, strict=True):
        assert verdict in ((winner, "duplicate") if content == stored else ("conflict",))
