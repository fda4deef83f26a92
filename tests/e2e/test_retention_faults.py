"""Policy, lists, memory and clocks that fail, on the whole local stack: nothing goes, and once all is well it does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from shared.settings import RETENTION_POLICY, RETENTION_RECORDS, RETENTION_STATE
from tests.kit.rough_nights import HOLDS, POLICY, SEEN, RoughNights, rough_nights

# So long after a change the ledger looks at it a second time.
A_WHILE = timedelta(minutes=20)


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RoughNights]:
    with rough_nights(tmp_path_factory.mktemp("faults")) as nights:
        yield nights


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/retention-policy", "policy_unreadable"),
        ("/retention-policy/policy.toml", "policy_unreadable"),
        (f"/retention-policy/{HOLDS}", "list_unreadable"),
        (f"/retention-policy/{SEEN}", "list_unreadable"),
        ("prefix=restored", "list_unreadable"),
    ],
)
def test_what_storage_does_not_give(nights: RoughNights, path: str, code: str) -> None:
    """A policy, a list or the holds of restores that the app may not read are not taken for none."""
    study = nights.fall_due()
    nights.answer(403, path)
    night = nights.in_vain()
    assert (night.refusals, night.plan) == ((code,), ())
    nights.goes(study)


def test_a_container_that_is_gone(nights: RoughNights) -> None:
    """Without a policy nothing is due; with the same one again, nothing has changed."""
    study = nights.fall_due()
    container = nights.box.storage.get_container_client(RETENTION_POLICY)
    container.delete_container()
    assert nights.in_vain().refusals == ("no_policy",)
    container.create_container()
    nights.write("policy.toml", POLICY)
    nights.write_lists()
    nights.goes(study)


@pytest.mark.parametrize("name", [HOLDS, SEEN])
@pytest.mark.parametrize("share", [0.5, 1.0], ids=["half", "end"])
def test_a_list_that_is_half_written(nights: RoughNights, name: str, share: float) -> None:
    """One that had an end before is not all there without it, whatever else it has."""
    study = nights.fall_due()
    lines = nights.box.storage.get_blob_client(RETENTION_POLICY, name).download_blob().readall().splitlines()
    nights.write(name, b"\n".join(lines[: max(1, int(share * (len(lines) - 1)))]))
    night = nights.in_vain()
    assert (night.refusals, night.plan) == (("list_unfinished",), ())
    nights.write_lists()
    nights.goes(study)


def test_a_hold_that_matches_nothing_any_more(nights: RoughNights) -> None:
    """Its study went, and not by retention: nobody knows what the line holds now, until it is released."""
    held = nights.fall_due()
    nights.hold(held)
    nights.goes(nights.fall_due())
    study = nights.fall_due()
    nights.service.delete(f"/studies/{held}")
    nights.later(A_WHILE)
    for _ in range(2):
        night = nights.in_vain()
        assert (night.refusals, night.due) == (("hold_matches_nothing",), [study])
        assert night.plan[0]["unmatched_holds"] == [f"{HOLDS}, line 2"]
    nights.hold(held, released="2037-12-01,the court")
    free = nights.in_vain()
    assert (free.event["reason"], free.refusals) == ("list_changed", ())
    nights.goes(study)


def test_a_hold_on_what_retention_has_deleted(nights: RoughNights) -> None:
    """A line that matches no more than a tombstone is in nobody's way."""
    gone = nights.fall_due()
    nights.goes(gone)
    nights.hold(gone)
    for _ in range(2):
        nights.goes(nights.fall_due())
        nights.later(A_WHILE)


@pytest.mark.parametrize(("memory", "reason"), [("lists-", "list_changed"), ("nights", "first_run")])
def test_a_memory_that_is_half_written(nights: RoughNights, memory: str, reason: str) -> None:
    """Nothing is compared with what cannot be read, nor is that overwritten; without it the next run is a report."""
    study = nights.fall_due()
    container = nights.box.storage.get_container_client(RETENTION_STATE)
    [name] = container.list_blob_names(name_starts_with=f"memory/{memory}")
    spoilt = nights.state(name)[:-20]
    container.upload_blob(name, spoilt, overwrite=True)
    for _ in range(2):
        night = nights.in_vain()
        assert (night.refusals, night.due) == (("memory_unreadable",), [study])
    assert nights.state(name) == spoilt
    container.delete_blob(name)
    assert nights.in_vain().event["reason"] == reason
    nights.goes(study)


def test_the_last_plan_is_another_one(nights: RoughNights) -> None:
    """Where somebody has changed it, nobody knows what is newly due."""
    study = nights.fall_due()
    container = nights.box.storage.get_container_client(RETENTION_RECORDS)
    last = json.loads(nights.state("memory/nights.json"))["accepted"]["plan_id"]
    name = f"plans/{last}.jsonl"
    was = nights.records(name)
    container.upload_blob(name, was + b"\n", overwrite=True)
    assert nights.in_vain().refusals == ("memory_unreadable",)
    container.upload_blob(name, was, overwrite=True)
    nights.goes(study)


def test_a_clock_that_is_two_days_slow(nights: RoughNights) -> None:
    """The ledger cannot follow the feed into what it takes for the future, and both are told."""
    study = nights.fall_due()
    slow = nights.now() - timedelta(days=2) - datetime.now(UTC)
    nights.stack.restart_app(clock_ahead_seconds=slow.total_seconds())
    night = nights.in_vain()
    assert (set(night.refusals), night.due) == ({"clock_off", "feed_behind"}, [study])
    nights.later(timedelta())
    nights.goes(study)


def test_a_mode_that_only_reports(nights: RoughNights) -> None:
    """It says what would go, and that goes once the mode is another."""
    study = nights.fall_due()
    nights.later(timedelta(), settings={"PURGE_MODE": "report"})
    night = nights.in_vain()
    assert (night.event["reason"], night.refusals, night.due) == ("mode_report", (), [study])
    nights.later(timedelta(), settings={"PURGE_MODE": "delete"})
    nights.goes(study)
