"""What goes wrong while a night deletes, on the whole local stack: the study stays, or its deletion is on record."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from azure.storage.blob import BlobLeaseClient

from shared.dicomweb.partitions import DEFAULT_PARTITION
from shared.settings import RETENTION_RECORDS, RETENTION_STATE, VAULT
from tests.kit.drop_box import wait_for
from tests.kit.rough_nights import RoughNights, rough_nights

PLANNED = ("PUT", "/retention-state/memory/nights.json")  # a night's last step before the first deletion
COPYING = ("PUT", "/dicom-vault/")
READING_BACK = ("GET", "/dicom-vault/")
COUNTING = ("GET", "/dicom-vault?")
INTENDING = ("PUT", "/retention-state/intents/")
RECORDING = ("PUT", "/retention-records/tombstones/")
KEEPING_OUT = ("PUT", "/retention-state/purged/")
DELETING = ("DELETE", "/studies/")
Act = Callable[[RoughNights, str], object]


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RoughNights]:
    with rough_nights(tmp_path_factory.mktemp("halts")) as nights:
        yield nights


@pytest.fixture(autouse=True)
def mended(nights: RoughNights) -> Iterator[None]:
    """Nothing is left that stands in another test's way."""
    yield
    nights.mend()
    assert nights.intents() == []


@pytest.mark.parametrize(("method", "path"), [COPYING, READING_BACK, COUNTING, INTENDING])
def test_a_vault_or_records_that_give_way(nights: RoughNights, method: str, path: str) -> None:
    """What cannot be copied, read back, counted and written down is not deleted, nor is anything else."""
    studies = nights.fall_due(), nights.fall_due()
    nights.answer(403, path, method)
    assert nights.in_vain().told == (("retention_halted", "storage_failed"),)
    nights.goes(*studies)


@pytest.mark.parametrize(("step", "ending"), [(RECORDING, "found_gone"), (KEEPING_OUT, "deleted")])
def test_a_deletion_that_cannot_be_recorded(nights: RoughNights, step: tuple[str, str], ending: str) -> None:
    """The intent stands in for tombstone and pointer, and nothing else is deleted; the next night writes them."""
    studies = {nights.fall_due(), nights.fall_due()}
    before = nights.studies()
    nights.answer(403, step[1], step[0])
    assert nights.night().told == (("retention_halted", "storage_failed"),)
    [gone] = before - nights.studies()
    assert not [name for name in nights.pointers() if gone in name]
    assert len(nights.intents()) == 1
    nights.mend()
    [left] = studies - {gone}
    assert nights.goes(left).told == (("study_purged", "found_gone"), ("study_purged", "deleted"))
    assert nights.tombstones()[gone]["ending"] == ending


def test_a_stop_in_the_middle(nights: RoughNights) -> None:
    """It stops what has begun."""
    study = nights.fall_due()
    nights.meanwhile(*INTENDING, lambda: nights.write("STOP", ""))
    assert nights.in_vain().told == (("retention_halted", "rules_changed"),)
    nights.take_away("STOP")
    nights.goes(study)


def test_a_hold_in_the_middle(nights: RoughNights) -> None:
    """It acts before the night is over, for it and for all others."""
    held, study = nights.fall_due(), nights.fall_due()
    nights.meanwhile(*COPYING, lambda: nights.hold(held))
    assert nights.in_vain().told == (("retention_halted", "rules_changed"),)
    nights.goes(study)


def test_a_lease_that_is_lost(nights: RoughNights) -> None:
    """A run that is not the only one any more deletes nothing."""
    study = nights.fall_due()
    lease = BlobLeaseClient(nights.box.storage.get_blob_client(RETENTION_STATE, "lease.json"))

    def take() -> None:
        lease.break_lease(lease_break_period=0)
        lease.acquire(lease_duration=60)

    nights.meanwhile(*COPYING, take)
    assert nights.in_vain().told == (("retention_halted", "lease_lost"),)
    lease.release()
    nights.goes(study)


def test_two_timers_at_once(nights: RoughNights) -> None:
    """The second finds the first at work, and leaves it alone."""
    study = nights.fall_due()

    def again() -> None:
        nights.stack.fire("purge_study")
        wait_for(lambda: nights.box.events("retention_busy") or None, "the second does not give way")

    nights.meanwhile(*PLANNED, again)
    assert nights.goes(study).told == (("retention_busy", None), ("study_purged", "deleted"))


def test_a_service_that_lets_nobody_delete(nights: RoughNights) -> None:
    """It is asked for no second study."""
    studies = nights.fall_due(), nights.fall_due()
    nights.service.inject(kind="delete", fault="status", status=403, requests=None)
    nights.ways.begin()
    night = nights.night()
    assert sum(step.method == "DELETE" and DELETING[1] in step.path for step in nights.ways.steps) == 1
    assert (night.told, night.event["deleted"]) == ((("retention_halted", "service_denies"),), 0)
    nights.mend()
    nights.goes(*studies)


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (503, ("retention_halted", "service_busy")),
        (500, ("purge_failed", "service_failed")),
        (204, ("purge_failed", "not_gone")),
    ],
)
def test_a_deletion_that_may_be_on_its_way(nights: RoughNights, status: int, told: tuple[str, str]) -> None:
    """Whatever the service answers to it, nothing is deleted until it must have arrived; then all is looked at anew."""
    study = nights.fall_due()
    nights.service.inject(kind="delete", fault="status", status=status, requests=None)
    assert nights.in_vain().told == (told,)
    waiting = nights.in_vain()
    assert (waiting.told, waiting.event["reason"]) == ((("retention_halted", "intent_open"),), "intent_open")
    nights.later(timedelta(minutes=11))
    assert nights.goes(study).told == (("purge_dropped", "intent_open"), ("study_purged", "deleted"))


def test_an_intent_that_cannot_be_read(nights: RoughNights) -> None:
    """Nobody knows what it was about; nothing is deleted until somebody has looked."""
    study = nights.fall_due()
    name = f"intents/{DEFAULT_PARTITION}/{study}.json"
    blob = nights.box.storage.get_blob_client(RETENTION_STATE, name)
    nights.meanwhile(*COPYING, lambda: blob.upload_blob(b'{"deletion_id": "another"}'))
    assert nights.in_vain().told == (("purge_failed", "intent_open"),)
    assert nights.in_vain().told == (("retention_halted", "intent_open"),)
    blob.delete_blob()
    nights.goes(study)


def _spoil_copy(nights: RoughNights, study: str) -> None:
    [name] = nights.copies(study)
    copy = nights.vaulted(study)[0]
    nights.box.storage.get_blob_client(VAULT, name).upload_blob(copy[:-1] + b"!", overwrite=True)


def _add_copy(nights: RoughNights, study: str) -> None:
    [name] = nights.copies(study)
    nights.box.storage.get_blob_client(VAULT, f"{name}.dcm").upload_blob(b"!")


@pytest.mark.parametrize(
    ("step", "act", "reason"),
    [
        (READING_BACK, _spoil_copy, "copy_differs"),
        (COUNTING, _add_copy, "copies_missing"),
        (
            PLANNED,
            lambda nights, study: nights.service.inject(kind="search", fault="status", status=204, requests=None),
            "patient_not_found",
        ),
    ],
)
def test_a_study_that_fails_alone(nights: RoughNights, step: tuple[str, str], act: Act, reason: str) -> None:
    """It stays, and goes another night."""
    study = nights.fall_due()
    nights.meanwhile(*step, lambda: act(nights, study))
    assert nights.in_vain().told == (("purge_failed", reason),)
    nights.goes(study)


def _put_back(nights: RoughNights, study: str) -> None:
    record = {"deletion_id": "1", "requested_by": "somebody", "restored_at": "2038-01-02T03:00:00+00:00"}
    blob = nights.box.storage.get_blob_client(RETENTION_RECORDS, f"restored/{DEFAULT_PARTITION}/{study}/1/2.json")
    blob.upload_blob(json.dumps(record | {"until": "2038-02-01"}))


def _come_again(nights: RoughNights, study: str) -> None:
    nights.store(PatientID=nights.patient_of(study), StudyDate="20371231")


@pytest.mark.parametrize(
    ("step", "act", "reason"),
    [
        (PLANNED, RoughNights.extend, "attributes"),
        (COPYING, RoughNights.extend, "contents"),
        (PLANNED, _come_again, "judgement"),
        (INTENDING, _put_back, "hold"),
    ],
)
def test_a_study_that_changes_meanwhile(nights: RoughNights, step: tuple[str, str], act: Act, reason: str) -> None:
    """It is dropped from the night, and kept by what has changed; another one goes."""
    study = nights.fall_due()
    before = nights.studies()
    nights.meanwhile(*step, lambda: act(nights, study))
    night = nights.night()
    assert (night.told, night.event["deleted"]) == ((("purge_dropped", reason),), 0)
    assert before <= nights.studies()
    nights.goes(nights.fall_due())


def test_a_study_that_somebody_else_deletes(nights: RoughNights) -> None:
    """Before it is looked at again, there is nothing to record; in the same moment, the tombstone says so."""
    study = nights.fall_due()
    nights.meanwhile(*PLANNED, lambda: nights.service.delete(f"/studies/{study}"))
    assert nights.night().told == (("purge_dropped", "already_gone"),)
    assert study not in nights.tombstones()
    study = nights.fall_due()
    nights.meanwhile(*DELETING, lambda: nights.service.delete(f"/studies/{study}"))
    assert nights.night().told == (("study_purged", "already_gone"),)
    assert nights.tombstones()[study]["ending"] == "already_gone"


def test_an_instance_that_comes_too_late_to_be_seen(nights: RoughNights) -> None:
    """It goes with its study, and the next night tells, once."""
    study = nights.fall_due()
    nights.meanwhile(*DELETING, lambda: nights.extend(study))
    assert nights.goes(study).told == (("study_purged", "deleted"),)
    nights.let_a_second_pass()
    assert nights.goes().told == (("purged_late_instance", None),)
    assert nights.goes().told == ()


def test_a_study_that_cannot_be_read(nights: RoughNights) -> None:
    """It is kept, and keeps its patient's others, since its instances may be of a later day; it keeps no other."""
    study, other = nights.fall_due(), nights.fall_due()
    unread = nights.store(PatientID=nights.patient_of(study)).study
    nights.answer(500, f"/studies/{unread}/metadata")
    nights.let_a_second_pass()
    told = set(nights.goes(other).told)
    assert told == {("study_unreadable", None), ("purge_failed", "service_failed"), ("study_purged", "deleted")}
    nights.mend()
    nights.goes(study)
