"""The ways that a file can take through the app, each with what must be true at its end, whatever failed meanwhile."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest

from shared.arrivals import Arrival, Door, write_message
from shared.purged import pointer_name
from shared.settings import ARCHIVE, CONTROL, DEFAULT_INBOX, QUARANTINE, REPLACED, RETENTION_STATE
from tests.kit.app_process import Work
from tests.kit.drops import Drop
from tests.kit.files import IMPLICIT, Sample, pixels
from tests.kit.runs import an_hour_ago, copies_of

STORED = ("stored", "duplicate")  # which one depends on whether the store whose answer was lost had happened
_MIB = 1024 * 1024
_DICOM_RETRIES = 3


@dataclass(frozen=True)
class Walk:
    """One way, and its end.

    Args:
        prepare: does all that comes before the run that is looked at, and returns what that run is to do.
        verdicts: one of them it ends with.
        place: the one container that its file is in then; None if that is gone.
        in_service: whether the service has its instance, or another one under the same UIDs.
        settings: of the app.
        make: what is dropped.
        earlier: how many versions of the same name had come to their verdicts before.
    """

    prepare: Callable[[Drop], Work]
    verdicts: tuple[str, ...] = STORED
    place: str | None = DEFAULT_INBOX
    in_service: bool = True
    settings: Mapping[str, str] = field(default_factory=dict)
    make: Callable[[], Sample] = Sample
    earlier: int = 0

    def check_killed(self, drop: Drop) -> None:
        """See that a run that was killed has lost nothing, even if no other one follows."""

    def check(self, drop: Drop) -> None:
        """See that nothing was lost, doubled, or left lying about."""
        receipt = drop.receipt()
        assert (receipt["state"], receipt["verdict"] in self.verdicts) == ("final", True), drop.name
        assert len(receipt["earlier"]) == self.earlier
        places = drop.places()
        assert set(places) == ({self.place} if self.place else set()), drop.name
        hashes = {hashlib.sha256(content).hexdigest() for content in places.values()}
        assert hashes <= {receipt["sha256"]}
        reasons = drop.reasons()
        assert [reason["verdict"] for reason in reasons] == (
            [receipt["verdict"]] if self.place == QUARANTINE else []
        ), drop.name
        stored = [hashlib.sha256(content).hexdigest() for content in drop.stored()]
        if receipt["verdict"] in STORED:
            assert stored == [receipt["sent_sha256"]]
        else:
            assert len(stored) == self.in_service
            assert receipt["sha256"] not in stored


@dataclass(frozen=True)
class Replacing(Walk):
    """The way of a file that takes the place of what is stored, whose only copy is then in a container of its own."""

    def check_killed(self, drop: Drop) -> None:
        """See that the service has the old bytes still, or a copy of them that the note before the PUT names."""
        if drop.stored() != [drop.sample.content]:
            notes = map(json.loads, drop.world.blobs(CONTROL, "instances/").values())
            [kept_as] = [note["replaced"]["kept_as"] for note in notes if note.get("blob") == drop.name]
            assert drop.world.blobs(REPLACED, kept_as) == {kept_as: drop.sample.content}

    def check(self, drop: Drop) -> None:
        """See that the old bytes are kept, the new ones stored once, and that the receipt tells of both."""
        receipt = drop.receipt()
        assert (receipt["state"], receipt["verdict"]) == ("final", "replaced"), drop.name
        found = drop.world.blobs(REPLACED, copies_of(drop.sample))
        copies = {name: content for name, content in found.items() if name.endswith(".dcm")}
        kept_as = receipt["replaced"]["kept_as"]
        assert copies[kept_as] == drop.sample.content
        # A run that was killed may have left another one that was not read back.
        assert len(copies) <= 2
        assert [*found.keys() - copies.keys()] == [kept_as.replace(".dcm", ".json")]
        assert drop.world.blobs(QUARANTINE, drop.name) == {}
        assert [hashlib.sha256(content).hexdigest() for content in drop.stored()] == [receipt["sent_sha256"]]
        assert list(drop.world.blobs(DEFAULT_INBOX, drop.name)) == [drop.name]


def _dropped(drop: Drop) -> Arrival:
    drop.world.drop(drop.name, drop.sample.content)
    return drop.arrival


def _no_dicom(drop: Drop) -> Arrival:
    drop.world.drop(drop.name, b"a letter")
    return drop.arrival


def _other_bytes(drop: Drop) -> Arrival:
    drop.world.service.store_samples(drop.sample)
    return _dropped(Drop(drop.world, drop.name, _changed(drop.sample)))


def _newer_bytes(drop: Drop) -> Arrival:
    with pytest.MonkeyPatch.context() as patch, an_hour_ago(patch):
        arrival = _other_bytes(drop)
    # With something new in the change feed, it takes the same number of requests to read it each time.
    drop.world.service.store_samples(Sample())
    return arrival


def _other_version(drop: Drop) -> Arrival:
    drop.world.bring_to_an_end({}, _dropped(drop))
    return _dropped(Drop(drop.world, drop.name, _changed(drop.sample)))


def _changed(sample: Sample) -> Sample:
    return sample.sibling(sop=sample.sop, elements={**sample.elements, 0x00200011: ("IS", b"7")})


def _service_is_down(drop: Drop) -> Arrival:
    arrival = _dropped(drop)
    drop.world.is_down(_DICOM_RETRIES)
    return arrival


def _deferred_before(drop: Drop) -> bytes:
    drop.world.run({"AFTER_STORE": "archive"}, _service_is_down(drop))
    return write_message(Arrival((drop.name,), Door.DEFERRAL)).encode()  # the run's own message comes, too


def _purged_and_let_in_again(drop: Drop) -> Arrival:
    pointer = drop.world.storage.get_blob_client(RETENTION_STATE, pointer_name(None, drop.sample.study))
    pointer.upload_blob(b"{}")
    drop.world.bring_to_an_end({}, _dropped(drop))
    pointer.delete_blob()
    return drop.replay


def _refused_again(drop: Drop) -> Arrival:
    # Under another policy, so that the second receipt differs from the first even within the same second.
    drop.world.bring_to_an_end({"AFTER_STORE": "archive"}, _no_dicom(drop))
    return drop.replay


def _in_implicit_vr() -> Sample:
    return Sample(transfer_syntax=IMPLICIT)


def _large() -> Sample:
    return Sample(elements=pixels(bytes(3 * _MIB // 2), rows=1024, columns=1536))


WALKS = {
    "stored and kept": Walk(_dropped),
    "stored and archived": Walk(_dropped, place=ARCHIVE, settings={"AFTER_STORE": "archive"}),
    "stored and deleted": Walk(_dropped, place=None, settings={"AFTER_STORE": "delete"}),
    "read in several pieces": Walk(_dropped, place=None, settings={"AFTER_STORE": "delete"}, make=_large),
    "transcoded": Walk(_dropped, place=ARCHIVE, make=_in_implicit_vr),
    "rejected": Walk(_no_dicom, ("rejected",), QUARANTINE, in_service=False),
    "in conflict": Walk(_other_bytes, ("conflict",), QUARANTINE),
    "replacing": Replacing(_newer_bytes, settings={"ON_CONFLICT": "replace"}),
    "in conflict with its earlier version": Walk(_other_version, ("conflict",), QUARANTINE, earlier=1),
    "put off": Walk(_service_is_down, place=ARCHIVE, settings={"AFTER_STORE": "archive"}),
    "put off before": Walk(_deferred_before, place=ARCHIVE, settings={"AFTER_STORE": "archive"}),
    "replayed, stored and kept": Walk(_purged_and_let_in_again, place=ARCHIVE),
    "replayed, stored and deleted": Walk(_purged_and_let_in_again, place=None, settings={"AFTER_STORE": "delete"}),
    "replayed, and rejected again": Walk(_refused_again, ("rejected",), QUARANTINE, in_service=False),
}
