"""Alerts of ingest and lookups: each one's condition is provoked on the local stack, and its own query sees it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from azure.storage.queue import QueueClient

from local.azurite import ACCOUNT, Azurite
from local.ports import Ports
from local.samples import with_other_pixels
from local.stack import Stack
from shared.queues import ARRIVALS, ARRIVALS_POISON, BLOB_POISON, FOREIGN_POISON, PARKED
from shared.settings import ACCESS_AUDIT, CONTROL, DEAD_LETTERS, DEFAULT_INBOX
from store_on_upload.probing.dropped import NAME
from store_on_upload.waiting.put_off import MAX_POISONINGS
from tests.infra.alerts import ALERTS
from tests.kit.arrivals import CLOCK_AHEAD_SECONDS, FAILS_BY_ITSELF, SETTINGS, Arrivals
from tests.kit.connection_strings import through
from tests.kit.drop_box import DropBox, Instance, make_instance, wait_for
from tests.kit.gateway import Fault, Gateway, Moment
from tests.kit.host_messages import storage_event
from tests.kit.workspace import STRAY_FILES_PER_DAY, Workspace, see_both_ways

A_SWEEPS_TIME = timedelta(minutes=5)
A_QUARTER = timedelta(minutes=15)
ALWAYS: dict[str, Any] = {"requests": None}


@dataclass
class Site(Arrivals):
    """A stack whose ways to storage can be closed.

    Args:
        box: what is dropped there.
        ways: of the app and its host to blobs and queues.
        log: what the workspace has.
    """

    ways: Gateway
    log: Workspace

    def close(self, path: str, method: str | None = None) -> None:
        """Have storage let nobody in who asks for this."""
        self.ways.begin(Fault(1, Moment.BEFORE, status=403, times=sys.maxsize, method=method, path=path))

    def go_on(self) -> None:
        """Do all that is done from day to day: a file, a sweep, a lookup, a night, the question whether all is well."""
        instance = make_instance()
        self.settle(f"{instance.sop}.dcm", instance.content, "stored")
        assert self.sweep()["oldest_pending_seconds"] == 0
        assert self.probe()["complete"] is True
        assert self.log.ask("/studies?limit=1").status_code == 200
        self.next_event(lambda: self.box.stack.fire("purge_study"), "retention_night")
        self.log.ask_if_ready()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the app's processes."""
        os.killpg(self.box.stack.part("app").pid, number)

    def mend(self) -> None:
        """Let all go as it should."""
        self.signal(signal.SIGCONT)
        self.ways.begin()
        self.service.mend()


@pytest.fixture(scope="module")
def well(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A stack on which two days have gone by with nothing amiss."""
    folder, ports = tmp_path_factory.mktemp("alerts"), Ports().chosen()
    targets = [f"http://127.0.0.1:{port}/{ACCOUNT}" for port in (ports.azurite, ports.azurite + 1)]
    with Gateway(*targets) as ways:
        account = Azurite(folder, first_port=ports.azurite).connection_string
        storage = through(account, blob=ways.urls[0], queue=ways.urls[1])
        with Stack(
            folder,
            ports=ports,
            auth=True,
            poll_seconds=0.25,
            lock_seconds=3,
            clock_ahead_seconds=CLOCK_AHEAD_SECONDS,
            settings={**SETTINGS, "AUDIT": "required", "AUDIT_KEY": "a key of the tests", "DICOM_STORAGE": storage},
        ) as stack:
            box = DropBox(stack)
            site = Site(box, ways, Workspace(box))
            for until in (timedelta(days=1), timedelta(hours=16), timedelta()):
                site.go_on()
                site.log.later(until)
            yield site


@pytest.fixture
def site(well: Site) -> Iterator[Site]:
    """The same, with a future of its own."""
    yield Site(well.box, well.ways, well.log.from_here())
    well.mend()


def an_inbox_that_cannot_be_listed(site: Site) -> Iterator[None]:
    """A file that cannot be put off either is no alarm, with all that its message is tried; five sweeps' time is."""
    site.service.inject(**FAILS_BY_ITSELF)
    site.close(f"/{ARRIVALS}/messages", "POST")
    name = "not put off.dcm"
    site.next_event(lambda: site.drop(name, make_instance().content), "ingest_failed")
    site.box.storage.get_blob_client(DEFAULT_INBOX, name).delete_blob()
    site.close(f"/{DEFAULT_INBOX}?")
    for _ in range(4):
        assert not site.log.fires("ingest-failing")
        site.log.later(A_SWEEPS_TIME)
        assert site.sweep()["event"] == "sweep_failed"
    yield
    site.mend()


def an_app_that_stands_still(site: Site) -> Iterator[None]:
    """Its process is there, and does nothing."""
    site.signal(signal.SIGSTOP)
    site.log.later(timedelta(minutes=20))
    assert not site.log.fires("no-sweep")
    site.log.later(timedelta(minutes=10))
    yield
    site.mend()


def a_probe_that_cannot_be_dropped(site: Site) -> Iterator[None]:
    """Once is no alarm, twice in a row is."""
    site.close(f"/{DEFAULT_INBOX}/{NAME}")
    for _ in range(2):
        assert not site.log.fires("probe-failed")
        site.log.later(timedelta(minutes=10))
        site.next_event(lambda: site.box.stack.fire("probe_route"), "probe_failed")
    yield
    site.mend()


def an_app_without_probes(site: Site) -> Iterator[None]:
    """Whatever else it does."""
    site.log.later(timedelta(minutes=40))
    assert not site.log.fires("no-probe")
    site.log.later(timedelta(minutes=6))
    yield


def a_service_that_lets_nobody_in(site: Site) -> Iterator[None]:
    """Files that come in half an hour are put off; once the first one passes it is over."""
    site.service.inject(fault="status", status=403, **ALWAYS)
    etags = {}
    for number in range(3):
        assert not site.log.fires("outage")
        site.log.later(A_QUARTER)
        name = f"locked out {number}.dcm"
        etags[name] = site.drop(name, make_instance().content)
        assert site.box.waiting(name)["reason"] in ("access_denied", "outage")
    yield
    site.mend()
    site.log.later(A_QUARTER)
    for name, etag in etags.items():
        assert site.box.receipt(name, etag)["verdict"] == "stored"
    assert site.box.events("outage_ends")
    assert not site.log.fires("outage")


def a_file_that_fails_alone(site: Site) -> Iterator[None]:
    """For the app it came two hours ago."""
    site.service.inject(**FAILS_BY_ITSELF)
    name = "alone.dcm"
    etag = site.drop(name, make_instance().content)
    assert site.box.waiting(name)["reason"] == "service_failed"
    assert site.sweep()["oldest_pending_seconds"] > CLOCK_AHEAD_SECONDS - 60
    yield
    site.mend()
    site.tell(ARRIVALS, storage_event(name))  # sooner than it is due
    assert site.box.receipt(name, etag)["verdict"] == "stored"


def a_stop(site: Site) -> Iterator[None]:
    """Twelve sweeps find it."""
    switch = site.box.storage.get_blob_client(CONTROL, "STOP")
    switch.upload_blob(b"")
    wait_for(lambda: site.sweep().get("reason") == "stopped" or None, "it is not stopped")
    for _ in range(11):
        assert not site.log.fires("ingest-stopped")
        site.log.later(A_SWEEPS_TIME)
        assert site.sweep()["reason"] == "stopped"
    yield
    switch.delete_blob()
    wait_for(lambda: "reason" not in site.sweep() or None, "it does not go on")


def a_message_that_nobody_can_read(site: Site) -> Iterator[None]:
    """It is parked, and lies there until somebody removes it."""
    site.next_event(lambda: site.tell(ARRIVALS, "no event"), "arrival_parked")
    yield from lies_in(site, PARKED)


def a_message_of_another_app(site: Site) -> Iterator[None]:
    """Its blob trigger has set it aside in the queue that all share."""
    message = {"Type": "BlobTrigger", "FunctionId": "Host.Functions.theirs", "ContainerName": "theirs"}
    site.next_event(lambda: site.tell(BLOB_POISON, message), "foreign_poison_moved")
    yield from lies_in(site, FOREIGN_POISON)


def lies_in(site: Site, queue: str) -> Iterator[None]:
    """Hours later, when nothing new has come, the alert is there still; until the queue is cleared."""
    site.log.later(timedelta(hours=5))
    site.sweep()
    yield
    with QueueClient.from_connection_string(site.box.stack.connection_string, queue) as client:
        client.clear_messages()


def queues_that_cannot_be_counted(site: Site) -> Iterator[None]:
    """Nobody could say whether anything lies there; the sweep does its work all the same."""
    site.close(f"/{PARKED}?comp=metadata")
    sweep = site.next_event(lambda: site.box.stack.fire("sweep_inbox"), "sweep", "sweep_failed")
    assert sweep["event"] == "sweep"
    yield
    site.mend()


def an_event_that_could_not_be_delivered(site: Site) -> Iterator[None]:
    """Event Grid has left it in the container for such."""
    letter = site.box.storage.get_blob_client(DEAD_LETTERS, "topic/SUBSCRIPTION/2026/3/2/12/letter.json")
    letter.upload_blob(b"[]")
    site.sweep()
    yield
    letter.delete_blob()


def a_file_that_ends_the_app(site: Site) -> Iterator[None]:
    """The platform sets its message aside after five runs that did not end well."""
    name = "ends the app.dcm"
    etag = site.box.drop(name, make_instance().content)
    site.next_event(lambda: site.tell(ARRIVALS_POISON, storage_event(name)), "blob_deferred")
    assert site.box.waiting(name)["reason"] == "poisoned"
    yield
    site.tell(ARRIVALS, storage_event(name))
    assert site.box.receipt(name, etag)["verdict"] == "stored"


def a_message_that_fails_again(site: Site) -> Iterator[None]:
    """What was set aside cannot be dealt with: the inbox lets nobody see its file."""
    name = "unseen.dcm"
    site.box.drop(name, make_instance().content)
    site.close(f"/{DEFAULT_INBOX}/{name}")
    site.next_event(lambda: site.tell(ARRIVALS_POISON, storage_event(name)), "poison_failed")
    yield
    site.mend()
    site.box.storage.get_blob_client(DEFAULT_INBOX, name).delete_blob()


def a_file_that_ends_the_app_over_and_over(site: Site) -> Iterator[None]:
    """Its message is set aside three times, each time when the file was due."""
    name = "over and over.dcm"
    etag = site.box.drop(name, make_instance().content)
    for number in range(1, MAX_POISONINGS + 1):
        assert not site.log.fires("file-given-up")
        site.set_aside(name, number)
    assert site.box.receipt(name, etag)["verdict"] == "gave_up"
    yield


def more_files_in_conflict_or_rejected_than_usual(site: Site) -> Iterator[None]:
    """As many as are usual are no alarm; one more is."""
    instance = make_instance()
    site.settle("first.dcm", instance.content, "stored")
    site.settle("second.dcm", with_other_pixels(instance.content), "conflict")
    for number in range(STRAY_FILES_PER_DAY):
        assert not site.log.fires("files-refused")
        site.settle(f"rejected {number}.dcm", b"a letter", "rejected")
    yield


def more_files_of_other_names_than_usual(site: Site) -> Iterator[None]:
    """The same of those that are none of ours."""
    for number in range(STRAY_FILES_PER_DAY + 1):
        assert not site.log.fires("files-ignored")
        site.settle(f"{number}.jpg", b"a picture", "ignored")
    yield


def settings_that_are_wrong(site: Site) -> Iterator[None]:
    """`health/ready` answers 503, three times in a row, and `not_ready` says why; to count that is the platform's."""
    site.log.restart(DICOM_SERVICE_URL="nowhere")
    site.log.ask_if_ready(2)
    assert not site.log.fires("not-ready")
    site.log.later(A_QUARTER)
    site.log.ask_if_ready()
    assert "DICOM_SERVICE_URL" in site.box.events("not_ready")[-1]["error"]
    yield
    site.log.restart(DICOM_SERVICE_URL=site.box.stack.dicom_url)


def an_app_that_says_nothing(site: Site) -> Iterator[None]:
    """There is no answer, and no line: what tells of it is the platform's account alone."""
    site.signal(signal.SIGSTOP)
    site.log.later(A_QUARTER)
    site.log.ask_if_ready(3)
    yield
    site.mend()


def a_service_that_fails_searches(site: Site) -> Iterator[None]:
    """Five requests that fail are no alarm, nor are the answers about health; which is the host's account to tell."""
    site.service.inject(kind="search", fault="status", status=403, **ALWAYS)
    for _ in range(6):
        assert not site.log.fires("lookups-failing")
        assert site.log.ask("/studies?limit=1").status_code == 502
    yield
    site.mend()
    assert site.log.ask("/studies?limit=1").status_code == 200


def an_access_record_that_cannot_be_written(site: Site) -> Iterator[None]:
    """Nothing is handed out."""
    site.close(f"/{ACCESS_AUDIT}/")
    response = site.log.ask("/studies?limit=1")
    assert (response.status_code, response.json()["code"]) == (503, "not-recorded")
    yield
    site.mend()
    assert site.log.ask("/studies?limit=1").status_code == 200


CASES: tuple[tuple[str, Callable[[Site], Iterator[None]]], ...] = (
    ("ingest-failing", an_inbox_that_cannot_be_listed),
    ("no-sweep", an_app_that_stands_still),
    ("probe-failed", a_probe_that_cannot_be_dropped),
    ("no-probe", an_app_without_probes),
    ("outage", a_service_that_lets_nobody_in),
    ("files-waiting", a_file_that_fails_alone),
    ("ingest-stopped", a_stop),
    ("message-set-aside", a_message_that_nobody_can_read),
    ("message-set-aside", a_message_of_another_app),
    ("message-set-aside", a_file_that_ends_the_app),
    ("message-set-aside", a_message_that_fails_again),
    ("message-set-aside", queues_that_cannot_be_counted),
    ("events-dead-lettered", an_event_that_could_not_be_delivered),
    ("file-given-up", a_file_that_ends_the_app_over_and_over),
    ("files-refused", more_files_in_conflict_or_rejected_than_usual),
    ("files-ignored", more_files_of_other_names_than_usual),
    ("not-ready", settings_that_are_wrong),
    ("not-ready", an_app_that_says_nothing),
    ("lookups-failing", a_service_that_fails_searches),
    ("access-not-recorded", an_access_record_that_cannot_be_written),
)


@pytest.mark.parametrize(("alert", "case"), CASES)
def test_it_fires_and_is_over(site: Site, alert: str, case: Callable[[Site], Iterator[None]]) -> None:
    """Not before its condition holds, and no longer than the window after."""
    see_both_ways(alert, site.log, contextmanager(case)(site), site.go_on)


@pytest.mark.parametrize("alert", ALERTS)
def test_a_stack_that_is_well_raises_no_alarm(site: Site, alert: str) -> None:
    """None whatever, also where there is no policy of retention."""
    assert not site.log.fires(alert)


def test_a_file_whose_event_was_not_delivered(site: Site) -> None:
    """The sweep has it stored, long before its event is a dead letter."""
    instance: Instance = make_instance()
    etag = site.box.drop("undelivered.dcm", instance.content)
    assert site.sweep()["queued"] == 1
    assert site.box.receipt("undelivered.dcm", etag)["verdict"] == "stored"
    assert site.box.events("blob_decided")[-1]["door"] == "sweep"
