"""Alerts of retention: each one's condition is provoked on the local stack, and its own query sees it there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import pytest

from shared.settings import RETENTION_RECORDS
from tests.infra.alerts import ALERTS
from tests.kit.drop_box import wait_for
from tests.kit.rough_nights import POLICY, RoughNights, rough_nights
from tests.kit.workspace import Workspace, see_both_ways

PLANNED = ("PUT", "/retention-state/memory/nights.json")  # a night's last step before the first deletion
INTENDING = ("PUT", "/retention-state/intents/")
DELETING = ("DELETE", "/studies/")


@dataclass
class Site:
    """Retention on a stack.

    Args:
        nights: one after another, all of one day for the app; for the log they are as far apart as it is told.
        log: what the workspace has.
    """

    nights: RoughNights
    log: Workspace

    def go_on(self) -> None:
        """Do all that is done from day to day: a sweep, a lookup, a night with a study that goes, and the question."""
        box = self.nights.box
        swept = len(box.events("sweep"))
        self.nights.stack.fire("sweep_inbox")
        wait_for(lambda: box.events("sweep")[swept:] or None, "no sweep")
        assert self.log.ask("/studies?limit=1").status_code == 200
        self.nights.goes(self.nights.fall_due())
        self.log.ask_if_ready()


@pytest.fixture(scope="module")
def well(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A stack on which two days have gone by with nothing amiss."""
    with rough_nights(tmp_path_factory.mktemp("retention alerts")) as nights:
        site = Site(nights, Workspace(nights.box))
        for until in (timedelta(days=1), timedelta(hours=16), timedelta()):
            site.go_on()
            site.log.later(until)
        yield site


@pytest.fixture
def site(well: Site) -> Iterator[Site]:
    """The same, with a future of its own."""
    yield Site(well.nights, well.log.from_here())
    well.nights.mend()


def nights_without_a_plan(site: Site) -> Iterator[None]:
    """The second one that is missing is seen; the one alone is not."""
    nights = site.nights
    site.log.later(timedelta(days=1))
    nights.write("policy.toml", "no policy")
    assert nights.in_vain().plan == ()
    site.log.later(timedelta(hours=5))
    assert not site.log.fires("no-plan")
    site.log.later(timedelta(hours=2))
    yield
    nights.write("policy.toml", POLICY)
    nights.goes()
    assert not site.log.fires("no-plan")


def more_due_than_the_share(site: Site) -> Iterator[None]:
    """Nine of forty at once, where a fifth may; they go once the policy allows for it."""
    nights = site.nights
    studies = [nights.fall_due() for _ in range(9)]
    assert nights.in_vain().refusals == ("over_max_share",)
    yield
    nights.write("policy.toml", POLICY.replace("max_share = 0.2", "max_share = 0.9"))
    assert nights.in_vain().event["reason"] == "policy_changed"
    nights.goes(*studies)


def a_policy_that_cannot_be_read(site: Site) -> Iterator[None]:
    """Its reason is no brake's."""
    site.nights.write("policy.toml", "no policy")
    assert site.nights.in_vain().refusals == ("policy_invalid",)
    assert not site.log.fires("brake-tripped")
    yield
    site.nights.write("policy.toml", POLICY)


def an_approval_that_cannot_be_read(site: Site) -> Iterator[None]:
    """Of the plan of a night before."""
    plan = site.nights.goes().event["plan"]
    approval = site.nights.box.storage.get_blob_client(RETENTION_RECORDS, f"approvals/{plan}.json")
    approval.upload_blob(b"{}")
    assert site.nights.goes().told == (("approval_ignored", "invalid"),)
    yield
    approval.delete_blob()


def records_that_give_way(site: Site) -> Iterator[None]:
    """In the middle of a night."""
    study = site.nights.fall_due()
    site.nights.answer(403, INTENDING[1], INTENDING[0])
    assert site.nights.in_vain().told == (("retention_halted", "storage_failed"),)
    yield
    site.nights.goes(study)


def a_service_that_is_down(site: Site) -> Iterator[None]:
    """From the beginning of a night."""
    site.nights.service.inject(fault="status", status=500, requests=None)
    event = site.nights.night().event
    assert event["event"] == "retention_failed"
    yield
    site.nights.mend()


def a_study_that_cannot_be_deleted(site: Site) -> Iterator[None]:
    """In two nights is no alarm, in three it is; the night after it goes."""
    nights = site.nights
    study = nights.fall_due()
    for _ in range(3):
        assert not site.log.fires("study-failing")
        fault = {"kind": "search", "fault": "status", "status": 204, "requests": None}
        nights.meanwhile(*PLANNED, lambda fault=fault: nights.service.inject(**fault))  # type: ignore[misc]
        assert nights.in_vain().told == (("purge_failed", "patient_not_found"),)
    yield
    nights.goes(study)


def an_instance_that_comes_too_late(site: Site) -> Iterator[None]:
    """Between the last look at its study and the deletion; the next night tells."""
    nights = site.nights
    study = nights.fall_due()
    nights.meanwhile(*DELETING, lambda: nights.extend(study))
    nights.goes(study)
    nights.let_a_second_pass()
    assert not site.log.fires("instance-purged-late")
    assert nights.goes().told == (("purged_late_instance", None),)
    yield


def a_patient_who_returns_too_late(site: Site) -> Iterator[None]:
    """After the last search before the deletion of an older study; the same night tells."""
    nights = site.nights
    study = nights.fall_due()
    newer = {"PatientID": nights.patient_of(study), "StudyDate": "20371231"}
    nights.meanwhile(*DELETING, lambda: nights.store(**newer))
    assert not site.log.fires("purged-too-soon")
    assert nights.night().told == (("study_purged", "deleted"), ("purged_too_soon", "vault"))
    assert study in nights.tombstones()
    assert not site.log.fires("instance-purged-late")
    yield


def a_stop_that_is_forgotten(site: Site) -> Iterator[None]:
    """One night is somebody's will."""
    nights = site.nights
    study = nights.fall_due()
    nights.write("STOP", "")
    for _ in range(2):
        assert not site.log.fires("retention-stopped")
        site.log.later(timedelta(days=1))
        assert "stopped" in nights.in_vain().refusals
    yield
    nights.take_away("STOP")
    nights.goes(study)


def a_plan_that_nobody_has_approved(site: Site) -> Iterator[None]:
    """Where nothing goes without."""
    study = site.nights.fall_due()
    site.log.restart(PURGE_MODE="approve")
    assert site.nights.in_vain().event["awaiting_approval"] == 1
    yield
    site.log.restart(PURGE_MODE="delete")
    site.nights.goes(study)


CASES: tuple[tuple[str, Callable[[Site], Iterator[None]]], ...] = (
    ("no-plan", nights_without_a_plan),
    ("retention-refused", a_policy_that_cannot_be_read),
    ("retention-refused", an_approval_that_cannot_be_read),
    ("retention-stopped", a_stop_that_is_forgotten),
    ("retention-halted", records_that_give_way),
    ("retention-halted", a_service_that_is_down),
    ("study-failing", a_study_that_cannot_be_deleted),
    ("instance-purged-late", an_instance_that_comes_too_late),
    ("purged-too-soon", a_patient_who_returns_too_late),
    ("plan-to-approve", a_plan_that_nobody_has_approved),
    ("brake-tripped", more_due_than_the_share),
)


@pytest.mark.parametrize(("alert", "case"), CASES)
def test_it_fires_and_is_over(site: Site, alert: str, case: Callable[[Site], Iterator[None]]) -> None:
    """Not before its condition holds, and no longer than the window after."""
    see_both_ways(alert, site.log, contextmanager(case)(site), site.go_on)


# Nothing is probed here: tests/e2e/test_alerts.py has that alert.
@pytest.mark.parametrize("alert", [alert for alert in ALERTS if alert != "no-probe"])
def test_nights_that_are_well_raise_no_alarm(site: Site, alert: str) -> None:
    """None whatever, though a study goes in each."""
    assert not site.log.fires(alert)
