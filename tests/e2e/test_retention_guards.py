"""What keeps a night from deleting anything, one after another on the whole local stack, and that it goes on after."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from local.stack import Stack
from tests.conftest import APPROVAL_KEY
from tests.kit.nights import Nights

STORED = datetime(2030, 1, 1, 12, tzinfo=UTC)
DUE = datetime(2038, 1, 2, 3, tzinfo=UTC)
HEAD = """
[policy]
time_zone = "Europe/Paris"

[brakes]
max_share = 0.5
"""
RULE = """
[[rule]]
name = "everything"
keep_years = 8
"""
HOLD = """
[[hold]]
name = "litigation"
list = "holds/litigation.csv"
"""
ANCHORED = """
[[rule]]
name = "everything"
keep_years = 8
from = ["study_date", "last seen"]

[[anchor]]
name = "last seen"
list = "last_seen.csv"
max_age_days = {max_age_days}
"""
POLICY = HEAD + RULE
STUDIES = 12
LAST_SEEN = "patient_id,date\nP000,2029-01-01\nP001,2036-01-01\nP002,2039-01-01\n"


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nights]:
    """Twelve studies that are due, and a ledger that knows them."""
    settings = {"PURGE_MODE": "delete", "FEED_LAG_SECONDS": "0", "APPROVAL_KEY": APPROVAL_KEY}
    with Stack(tmp_path_factory.mktemp("guards"), auth=True, poll_seconds=0.25, settings=settings) as stack:
        nights = Nights(stack)
        nights.store_on(STORED)
        for number in range(STUDIES):
            nights.store(PatientID=f"P{number:03}", AccessionNumber=f"A{number}")
        nights.set_time(DUE)
        yield nights


@pytest.fixture(autouse=True)
def nothing_goes(nights: Nights) -> Iterator[None]:
    """Nothing was deleted by a test but where it says so, and what it wrote is no longer in the way of the next."""
    before = nights.studies()
    yield
    nights.service.mend()
    assert nights.studies() == before


_changes = count(1)


def with_plain_policy(nights: Nights) -> None:
    """Have the plain policy read once, as a changed one, so that the next night could delete."""
    nights.write("policy.toml", f"{POLICY}# {next(_changes)}\n")
    assert nights.night().event["deleted"] == 0


def test_without_a_policy_nothing_is_due(nights: Nights) -> None:
    """And that is said."""
    night = nights.night()
    assert (night.refusals, night.plan, night.event["deleted"]) == (("no_policy",), (), 0)


@pytest.mark.parametrize(
    ("policy", "lists", "reason"),
    [
        (HEAD + "[[rule]]\nname = 'x'\nkeep_years = 'eight'", {}, "policy_invalid"),
        (HEAD + RULE + "[[hold]]\nname = 'cut off", {}, "policy_invalid"),
        (POLICY + HOLD, {}, "list_unreadable"),
        (POLICY + HOLD, {"holds/litigation.csv": "study_instance_uid,reason\n1.2,x\n"}, "list_invalid"),
        (POLICY + HOLD, {"holds/litigation.csv": "patient_id,issuer\n,Hospital\n"}, "list_invalid"),
        (POLICY + HOLD, {"holds/litigation.csv": "patient_id\nP1\n#end,2\n"}, "list_unfinished"),
        (
            HEAD + ANCHORED.format(max_age_days=7),
            {"last_seen.csv": LAST_SEEN},
            "list_too_old",
        ),
    ],
)
def test_a_fault_of_the_rulebook(nights: Nights, policy: str, lists: dict[str, str], reason: str) -> None:
    """Each stops the night before there is a plan."""
    nights.write("policy.toml", policy)
    for name, content in lists.items():
        nights.write(name, content)
    night = nights.night()
    assert (night.refusals, night.plan) == ((reason,), ())
    for name in lists:
        nights.take_away(name)


def test_the_first_run_and_a_changed_policy_are_reports(nights: Nights) -> None:
    """Whatever the mode; the plan says what will go."""
    nights.write("policy.toml", POLICY)
    first = nights.night()
    assert (first.event["reason"], first.event["due"], first.refusals) == ("first_run", STUDIES, ())
    nights.write("policy.toml", POLICY + "# changed\n")
    assert nights.night().event["reason"] == "policy_changed"


def test_a_stop_beside_the_policy(nights: Nights) -> None:
    """There is a plan, and nothing of it is done."""
    with_plain_policy(nights)
    nights.write("STOP", "")
    night = nights.night()
    nights.take_away("STOP")
    assert (night.refusals, len(night.due)) == (("stopped",), STUDIES)


def test_a_clock_that_is_wrong_by_a_year(nights: Nights) -> None:
    """The service's own tells."""
    with_plain_policy(nights)
    ahead = (DUE - datetime.now(UTC) + timedelta(days=365)).total_seconds()
    nights.stack.restart_app(clock_ahead_seconds=ahead)
    assert nights.night().refusals == ("clock_off",)
    nights.set_time(DUE)


def test_a_service_that_is_down(nights: Nights) -> None:
    """The night fails, with an event."""
    with_plain_policy(nights)
    nights.service.inject(kind="any", fault="status", status=500, requests=None)
    assert nights.night().event["event"] == "retention_failed"


def test_holds(nights: Nights) -> None:
    """By the study, its accession number or its patient; what vanishes is missed, what is released first reported."""
    lines = [f"{min(nights.studies())},,,,", ",a1,,,", ",,p002,,"]
    names = "study_instance_uid,accession_number,patient_id,released,released_by\n"
    nights.write("holds/litigation.csv", names + "\n".join(lines))
    nights.write("policy.toml", POLICY + HOLD)
    held = nights.night()
    assert held.event["due"] == STUDIES - sum(bool(item["held_by"]) for item in held.plan[1:])
    assert STUDIES - 3 <= held.event["due"] < STUDIES - 1
    nights.write("holds/litigation.csv", names + "\n".join(lines[:2]))
    assert nights.night().refusals == ("hold_vanished",)
    nights.write("policy.toml", POLICY)
    assert nights.night().refusals == ("hold_vanished",)
    released = [line.removesuffix(",,") + ",2037-12-31,the court" for line in lines]
    nights.write("policy.toml", POLICY + HOLD)
    nights.write("holds/litigation.csv", names + "\n".join(released))
    free = nights.night()
    assert (free.event["reason"], free.refusals, free.event["due"]) == ("list_changed", (), STUDIES)


def test_dates_from_a_list(nights: Nights) -> None:
    """Whoever is not in it is kept and listed, and whoever was seen later is kept longer."""
    nights.write("last_seen.csv", LAST_SEEN)
    nights.write("policy.toml", HEAD + ANCHORED.format(max_age_days=36_500))
    night = nights.night()
    [item] = night.plan[1:]
    assert item["dates"] == {"last seen": "2029-01-01", "study_date": "2020-01-02"}
    assert night.plan[0]["listed"] == {"undated": STUDIES - 2}
    nights.write("last_seen.csv", "patient_id,date\nP000,2035-01-01\n")
    assert nights.night().due == []
