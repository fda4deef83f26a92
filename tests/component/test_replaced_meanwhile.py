"""The producer replaces or deletes a file while the app works on it, at each request that the app sends."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count

import pytest

from shared.settings import ARCHIVE, DEFAULT_INBOX, QUARANTINE, RECEIPTS
from tests.kit.drops import Drop, World
from tests.kit.files import IMPLICIT, Sample, pixels
from tests.kit.gateway import Fault, Moment
from tests.kit.walks import STORED

_MIB = 1024 * 1024
# After its verdict, the newer version is in the place that the policy names.
PLACES = {"keep": DEFAULT_INBOX, "archive": ARCHIVE}


def each_request(
    world: World, policy: str, name: str, content: Callable[[Drop], bytes], act: Callable[[Drop], None]
) -> Iterator[Drop]:
    """Yield a drop for each request of a run, brought to its end after something was done just before that request."""
    settings = {"AFTER_STORE": policy}
    for number in count(1):
        drop = Drop(world, f"{name}/{policy}/{number}.dcm", Sample(elements=pixels(bytes(2 * _MIB), rows=1024)))
        world.drop(drop.name, content(drop))
        fault = Fault(number, Moment.BEFORE, meanwhile=partial(act, drop))
        assert world.run(settings, drop.arrival, fault=fault) == 0
        if len(world.gateway.steps) < number:
            return
        world.bring_to_an_end(settings, drop.arrival)
        yield drop


@pytest.mark.parametrize("policy", PLACES)
def test_a_file_is_replaced_by_another_instance(world: World, policy: str) -> None:
    """The newer one is stored, and it is the newer one that is dealt with; of the older one, the receipt is right."""
    newer = {}

    def replace(drop: Drop) -> None:
        newer[drop.name] = Drop(world, drop.name)
        world.drop(drop.name, newer[drop.name].sample.content)

    for drop in each_request(world, policy, "replaced", lambda drop: drop.sample.content, replace):
        receipt = drop.receipt()
        assert (receipt["state"], receipt["verdict"]) == ("final", "stored")
        assert newer[drop.name].stored() == [newer[drop.name].sample.content]
        [*older] = receipt["earlier"]
        assert len(older) <= 1
        # It was stored, or replaced before it could be: the receipt knows which.
        assert drop.stored() == ([drop.sample.content] if older and older[0]["verdict"] in STORED else [])
        assert newer[drop.name].sample.content in world.blobs(PLACES[policy], drop.name).values()


def test_a_bad_file_is_replaced_by_a_good_one(world: World) -> None:
    """The good one is stored; the bad one is in quarantine, if there was time to put it there, with its reason."""

    def replace(drop: Drop) -> None:
        world.drop(drop.name, drop.sample.content)

    for drop in each_request(world, "keep", "mended", lambda drop: b"half a file", replace):
        assert drop.receipt()["verdict"] == "stored"
        assert drop.stored() == [drop.sample.content]
        quarantined = world.blobs(QUARANTINE, drop.name)
        assert set(quarantined.values()) <= {b"half a file"}
        assert [reason["verdict"] for reason in drop.reasons()] == ["rejected"] * len(quarantined)
        assert world.blobs(DEFAULT_INBOX, drop.name) == {drop.name: drop.sample.content}


AS_SENT: dict[str, Callable[[Sample], bytes]] = {
    "as it is": lambda sample: sample.content,
    "completed": lambda sample: sample.content[132:],
    "transcoded": lambda sample: dataclasses.replace(sample, transfer_syntax=IMPLICIT).content,
}


@pytest.mark.parametrize("sent", AS_SENT)
def test_a_file_is_deleted(world: World, sent: str) -> None:
    """It is stored or not, and if it is, its receipt says so, with the file's hash."""

    def delete(drop: Drop) -> None:
        world.storage.get_blob_client(DEFAULT_INBOX, drop.name).delete_blob()

    def content(drop: Drop) -> bytes:
        return AS_SENT[sent](drop.sample)

    for drop in each_request(world, "archive", f"deleted {sent}", content, delete):
        receipts = world.blobs(RECEIPTS, drop.name)
        assert bool(receipts) == bool(drop.stored())
        if receipts:
            assert drop.receipt()["verdict"] in STORED
            assert drop.receipt()["sha256"] == hashlib.sha256(content(drop)).hexdigest()
        assert not world.blobs(DEFAULT_INBOX, drop.name)
