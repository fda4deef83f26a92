"""Nights of retention on the whole local stack: whatever goes wrong, nothing is deleted; once all is well it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from azure.storage.blob import BlobClient, BlobLeaseClient

from shared.settings import RETENTION_POLICY, RETENTION_RECORDS, RETENTION_STATE, VAULT
from tests.kit.drop_box import wait_for
from tests.kit.rough_nights import HOLDS, POLICY, RoughNights, rough_nights

PLANNED = ("PUT", "/retention-state/memory/nights.json")  # a night's last step before the first deletion
COPYING = ("PUT", "/dicom-vault/")
READING_BACK = ("GET", "/dicom-vault/")
INTENDING = ("PUT", "/retention-state/intents/")
RECORDING = ("PUT", "/retention-records/tombstones/")
KEEPING_OUT = ("PUT", "/retention-state/purged/")
Act = Callable[[RoughNights, str], object]
STORAGE_FAILED = (("retention_halted", "storage_failed"),)
RULES_CHANGED = (("retention_halted", "rules_changed"),)


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RoughNights]:
    with rough_nights(tmp_path_factory.mktemp("retention")) as nights:
        yield nights


@pytest.fixture(autouse=True)
def mended(nights: RoughNights) -> Iterator[None]:
    yield
    nights.mend()
    assert nights.intents() == []


@dataclass(frozen=True)
class Case:
    """What stands in a night's way.

    Args:
        given: has it happen, to a study that is due.
        refusals: why nothing may be deleted.
        told: what else the night says, by event and reason.
        reason: of the night's own event.
        undo: ends it.
    """

    given: Act
    refusals: frozenset[str] = frozenset()
    told: tuple[tuple[str, str | None], ...] = ()
    reason: str | None = None
    undo: Act = lambda nights, study: nights.mend()


def refused(given: Act, *refusals: str, undo: Act = Case.undo) -> Case:
    return Case(given, frozenset(refusals), undo=undo)


def not_given(path: str, code: str) -> Case:
    """Storage does not let the app read something."""
    return refused(lambda nights, study: nights.answer(403, path), code)


def without_end(nights: RoughNights, study: str) -> None:
    """Cut off the end of a list, which had one before: nobody knows whether it is all there."""
    lines = blob(nights, RETENTION_POLICY, HOLDS).download_blob().readall().splitlines()
    nights.write(HOLDS, b"\n".join(lines[:-1]))


def blob(nights: RoughNights, container: str, name: str) -> BlobClient:
    return nights.box.storage.get_blob_client(container, name)


def without_policies(nights: RoughNights, study: str) -> None:
    nights.box.storage.get_container_client(RETENTION_POLICY).delete_container()


def with_policies(nights: RoughNights, study: str) -> None:
    nights.box.storage.get_container_client(RETENTION_POLICY).create_container()
    nights.write("policy.toml", POLICY)
    nights.write_lists()


def spoil(container: str, name: Callable[[RoughNights], str]) -> tuple[Act, Act]:
    """Cut the end of a blob off, and put it back."""
    kept: dict[str, bytes] = {}

    def cut(nights: RoughNights, study: str) -> None:
        each = blob(nights, container, name(nights))
        kept[each.blob_name] = each.download_blob().readall()
        each.upload_blob(kept[each.blob_name][:-20], overwrite=True)

    def put_back(nights: RoughNights, study: str) -> None:
        [(found, content)] = kept.items()
        blob(nights, container, found).upload_blob(content, overwrite=True)

    return cut, put_back


def last_plan(nights: RoughNights) -> str:
    return "plans/{plan_id}.jsonl".format(**json.loads(nights.state("memory/nights.json"))["accepted"])


def slow_clock(nights: RoughNights, study: str) -> None:
    """Two days behind: the ledger cannot follow the feed into what it takes for the future."""
    slow = nights.now() - timedelta(days=2) - datetime.now(UTC)
    nights.stack.restart_app(clock_ahead_seconds=slow.total_seconds())


def mode(name: str) -> Act:
    return lambda nights, study: nights.later(timedelta(), settings={"PURGE_MODE": name})


def meanwhile(step: tuple[str, str], act: Act) -> Act:
    return lambda nights, study: nights.meanwhile(*step, lambda: act(nights, study))


def take_lease(nights: RoughNights, study: str) -> None:
    lease = BlobLeaseClient(blob(nights, RETENTION_STATE, "lease.json"))
    lease.break_lease(lease_break_period=0)
    lease.acquire(lease_duration=60)


def give_lease_back(nights: RoughNights, study: str) -> None:
    BlobLeaseClient(blob(nights, RETENTION_STATE, "lease.json")).break_lease(lease_break_period=0)


def spoil_copy(nights: RoughNights, study: str) -> None:
    latest = nights.copies(study)[-1]
    blob(nights, VAULT, latest).upload_blob(nights.vaulted(study)[-1][:-1] + b"!", overwrite=True)


def service(**fault: object) -> Act:
    return lambda nights, study: nights.service.inject(**{"fault": "status", "requests": None, **fault})


CASES = {
    "the policy cannot be read": not_given("/retention-policy/policy.toml", "policy_unreadable"),
    "a list of holds cannot be read": not_given(f"/retention-policy/{HOLDS}", "list_unreadable"),
    "holds of restores cannot be read": not_given("prefix=restored", "list_unreadable"),
    "there are no policies": refused(without_policies, "no_policy", undo=with_policies),
    "a list without its end": refused(without_end, "list_unfinished", undo=lambda nights, study: nights.write_lists()),
    "the memory of nights is spoilt": refused(
        (one := spoil(RETENTION_STATE, lambda nights: "memory/nights.json"))[0], "memory_unreadable", undo=one[1]
    ),
    "the last plan is another one": refused(
        (two := spoil(RETENTION_RECORDS, last_plan))[0], "memory_unreadable", undo=two[1]
    ),
    "a clock that is two days slow": refused(slow_clock, "clock_off", "feed_behind", undo=mode("delete")),
    "a stop": refused(
        lambda nights, study: nights.write("STOP", ""), "stopped", undo=lambda nights, study: nights.take_away("STOP")
    ),
    "a mode that only reports": Case(mode("report"), reason="mode_report", undo=mode("delete")),
    "a policy that has changed": Case(
        lambda nights, study: nights.write("policy.toml", POLICY + "# changed\n"), reason="policy_changed"
    ),
    "no copy can be written": Case(lambda nights, study: nights.answer(403, *COPYING[::-1]), told=STORAGE_FAILED),
    "no intent can be written": Case(lambda nights, study: nights.answer(403, *INTENDING[::-1]), told=STORAGE_FAILED),
    "a stop in the middle": Case(
        meanwhile(INTENDING, lambda nights, study: nights.write("STOP", "")),
        told=RULES_CHANGED,
        undo=lambda nights, study: nights.take_away("STOP"),
    ),
    "a lease that is lost": Case(
        meanwhile(COPYING, take_lease), told=(("retention_halted", "lease_lost"),), undo=give_lease_back
    ),
    "a copy that differs": Case(meanwhile(READING_BACK, spoil_copy), told=(("purge_failed", "copy_differs"),)),
    "no study of the patient is found": Case(
        meanwhile(PLANNED, service(kind="search", status=204)), told=(("purge_failed", "patient_not_found"),)
    ),
    "the service lets nobody delete": Case(
        service(kind="delete", status=403), told=(("retention_halted", "service_denies"),)
    ),
}


def test_more_than_the_share(nights: RoughNights) -> None:
    """Nine of forty at once, where a fifth may: they go once the policy allows for it, and a night has said so."""
    studies = [nights.fall_due() for _ in range(9)]
    assert nights.in_vain().refusals == ("over_max_share",)
    nights.write("policy.toml", POLICY.replace("max_share = 0.2", "max_share = 0.9"))
    assert nights.in_vain().event["reason"] == "policy_changed"
    nights.goes(*studies)
    nights.write("policy.toml", POLICY)
    assert nights.in_vain().event["reason"] == "policy_changed"


@pytest.fixture(scope="module")
def due(nights: RoughNights) -> str:
    return nights.fall_due()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_stands_in_the_way(nights: RoughNights, due: str, case: Case) -> None:
    """Nothing is deleted meanwhile."""
    case.given(nights, due)
    night = nights.in_vain()
    assert (frozenset(night.refusals), night.told) == (case.refusals, case.told)
    assert case.reason in (None, night.event.get("reason"))
    case.undo(nights, due)


def test_nothing_stands_in_the_way_any_more(nights: RoughNights, due: str) -> None:
    nights.goes(due)


def test_a_service_that_is_down(nights: RoughNights) -> None:
    study = nights.fall_due()
    nights.service.inject(fault="status", status=500, requests=None)
    assert nights.night().event["event"] == "retention_failed"
    nights.mend()
    nights.goes(study)


def test_a_hold(nights: RoughNights) -> None:
    """It acts before the night is over; a line that vanishes is missed; one that is released is reported first."""
    held, study = nights.fall_due(), nights.fall_due()
    nights.meanwhile(*COPYING, lambda: nights.hold(held))
    assert nights.in_vain().told == RULES_CHANGED
    nights.goes(study)
    del nights.held[held]
    nights.write_lists()
    assert nights.in_vain().refusals == ("hold_vanished",)
    nights.hold(held, released="2037-12-01,the court")
    assert nights.in_vain().event["reason"] == "list_changed"
    nights.goes(held)


@pytest.mark.parametrize(("step", "ending"), [(RECORDING, "found_gone"), (KEEPING_OUT, "deleted")])
def test_a_deletion_that_cannot_be_recorded(nights: RoughNights, step: tuple[str, str], ending: str) -> None:
    """The intent stands in for tombstone and pointer, and nothing else is deleted; the next night writes them."""
    studies = {nights.fall_due(), nights.fall_due()}
    before = nights.studies()
    nights.answer(403, *step[::-1])
    assert nights.night().told == STORAGE_FAILED
    [gone] = before - nights.studies()
    assert not [name for name in nights.pointers() if gone in name]
    assert len(nights.intents()) == 1
    nights.mend()
    [left] = studies - {gone}
    assert nights.goes(left).told == (("study_purged", "found_gone"), ("study_purged", "deleted"))
    assert nights.tombstones()[gone]["ending"] == ending


def test_two_timers_at_once(nights: RoughNights) -> None:
    """The second finds the first at work, and leaves it alone."""
    study = nights.fall_due()

    def again() -> None:
        nights.stack.fire("purge_study")
        wait_for(lambda: nights.box.events("retention_busy") or None, "the second does not give way")

    nights.meanwhile(*PLANNED, again)
    assert nights.goes(study).told == (("retention_busy", None), ("study_purged", "deleted"))


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
