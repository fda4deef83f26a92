"""One kind of failure after the other, on one stack: after each, nothing is lost or doubled, and it all adds up."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from azure.storage.queue import QueueClient

from local import identity
from local.azurite import ACCOUNT, Azurite
from local.ports import Ports
from local.samples import with_other_pixels
from local.stack import Stack
from store_on_upload.probing.dropped import NAME
from tests.kit.connection_strings import through
from tests.kit.drop_box import DropBox, Instance, make_instance, wait_for
from tests.kit.gateway import Fault, Gateway, Moment
from tests.kit.host_messages import storage_event
from tests.kit.stack_service import Service
from tests.kit.tcp_proxy import TcpProxy

FILES = 3
A_DAY = 86_400.0


@dataclass
class Place:
    """A stack whose app reaches everything by ways that can be closed.

    Args:
        box: the stack.
        storage: the way to blobs and queues, for the app and its host.
        tokens: the way to the token endpoint.
        dicom: the way to the DICOM service.
        days: how far the app's clock is ahead.
        instances: what was dropped: name to instance and version.
    """

    box: DropBox
    storage: Gateway
    tokens: TcpProxy
    dicom: TcpProxy
    days: int = 1
    instances: dict[str, tuple[Instance, str]] = field(default_factory=dict)

    @property
    def service(self) -> Service:
        return Service(self.box.stack)

    def drop(self, name: str, files: int = FILES, **attributes: Any) -> list[str]:
        """Drop some new files and return their names."""
        names = [f"{name}/{number}.dcm" for number in range(files)]
        for each in names:
            instance = make_instance(**attributes)
            self.instances[each] = (instance, self.box.drop(each, instance.content))
        return names

    def mend(self) -> None:
        """End every fault."""
        self.service.mend()
        self.storage.begin()
        self.tokens.down = self.dicom.down = False
        self.dicom.cut_after = None

    def next_day(self) -> None:
        """Kill the app, start it a day later, and let the sweep send on all that is due by then."""
        self.days += 1
        self.box.stack.restart_app(clock_ahead_seconds=self.days * A_DAY)
        self.box.stack.fire("sweep_inbox")

    def all_is_well(self, *names: str) -> None:
        """See that the files are stored, once and whole, and that all dropped so far adds up."""
        for name in names:
            instance, etag = self.instances[name]
            assert self.box.receipt(name, etag)["verdict"] in ("stored", "duplicate")
            stored = self.box.get(instance.path, headers={"Accept": "application/dicom"})
            assert stored.content == instance.content
            assert len(self.box.get(f"/instances?SOPInstanceUID={instance.sop}").json()) == 1
        report = self.box.adds_up()
        assert report.versions == sum(report.verdicts.values()) >= len(self.instances)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder, ports = tmp_path_factory.mktemp("failures"), Ports().chosen()
    account = f"http://127.0.0.1:{{}}/{ACCOUNT}"
    services = (account.format(ports.azurite), account.format(ports.azurite + 1))
    with (
        Gateway(*services) as storage,
        TcpProxy(identity.url(ports.identity)) as tokens,
        TcpProxy(f"http://127.0.0.1:{ports.dicom}/v2") as dicom,
    ):
        azurite = Azurite(folder, first_port=ports.azurite).connection_string
        settings = {
            "DICOM_STORAGE": through(azurite, blob=storage.urls[0], queue=storage.urls[1]),
            "DICOM_SERVICE_URL": dicom.url,
            "IDENTITY_ENDPOINT": tokens.url,
            "GIVE_UP_AFTER_DAYS": "1",  # a weekend is longer
            "PROBE_SCHEDULE": "0 0 0 1 1 *",
        }
        with Stack(
            folder,
            ports=ports,
            auth=True,
            poll_seconds=0.25,
            lock_seconds=3,
            clock_ahead_seconds=A_DAY,
            settings=settings,
            in_memory=True,
        ) as stack:
            yield Place(DropBox(stack), storage, tokens, dicom)


@pytest.fixture(autouse=True)
def mended(place: Place) -> Iterator[None]:
    yield
    place.mend()


def test_the_service_is_down_for_longer_than_the_host_tries(place: Place) -> None:
    """Five events of each file come and are dealt with, none is poisoned, and the files are there the day after."""
    place.service.inject(fault="status", status=503, requests=None)
    names = place.drop("down")
    for name in names:
        assert place.box.waiting(name)["reason"] in ("service_busy", "outage")
        place.box.repeat_event(name, place.instances[name][1], times=5)
    wait_for(
        lambda: place.box.log().count("store_on_upload  succeeded") >= 6 * FILES or None, "the events did not come"
    )
    place.mend()
    place.next_day()
    place.all_is_well(*names)


def test_a_short_outage_is_waited_out(place: Place) -> None:
    """Lookups say so meanwhile, the app itself is up, and no plan is written: half a one would look like a whole."""
    place.dicom.down = True
    [name] = place.drop("patience", files=1)
    waiting = place.box.waiting(name)
    assert (waiting["verdict"], waiting["attempts"]) == (None, 1)
    assert waiting["advice"].endswith("It is tried again.")
    lookup = place.box.get("/studies")
    assert (lookup.status_code, lookup.json()["code"]) == (502, "service-response-lost")
    assert place.box.get("/health/live").status_code == 200
    place.box.stack.fire("purge_study")
    [failure] = wait_for(lambda: place.box.events("retention_failed") or None, "nothing failed")
    assert not list(place.box.storage.get_container_client("retention-records").list_blob_names())
    place.mend()
    place.all_is_well(name)
    failures = [failure, *place.box.events("blob_failed")]
    assert all(each["error"].startswith(("RequestNotSent: ", "ResponseLost: ")) for each in failures[-2:])
    assert name not in json.dumps(failures)


def test_an_outage_begins_and_ends(place: Place) -> None:
    place.service.inject(fault="status", status=403, requests=None)
    names = place.drop("denied")
    wait_for(lambda: place.box.events("outage_begins") or None, "there is no outage")
    place.mend()
    place.all_is_well(*names)
    assert place.box.events("outage_ends")


@pytest.mark.parametrize("retry_after", ["1", None])
def test_throttled(place: Place, retry_after: str | None) -> None:
    """With Retry-After and without."""
    place.service.inject(fault="status", status=429, retry_after=retry_after, requests=2 * FILES)
    place.all_is_well(*place.drop(f"throttled {retry_after}"))


def test_answers_that_are_cut_short_or_lost(place: Place) -> None:
    """Once the instance is in the service, its file ends as stored or as a duplicate, never as a conflict."""
    for fault in ({"fault": "drop_after_commit"}, {"fault": "truncate"}, {"fault": "cut", "bytes": 20}):
        place.service.inject(kind="store", **fault)
    place.all_is_well(*place.drop("answers"))


def test_a_lookup_that_is_cut_is_seen_to_be_cut(place: Place) -> None:
    """The caller's transfer breaks off instead of ending short, and an event says why; no stack trace is written."""
    [name] = place.drop("to be cut", files=1, Rows=2048, Columns=2048, PixelData=bytes(2048 * 2048))
    place.all_is_well(name)
    path = place.instances[name][0].path
    place.dicom.cut_after = 1024 * 1024
    with pytest.raises(httpx.RemoteProtocolError):
        place.box.get(path)
    [cut] = wait_for(lambda: cuts(place.box) or None, "no event")
    assert cut["error"].startswith("ResponseLost: retrieve instance")
    assert cut["status"] == 200
    assert "Traceback" not in place.box.log()


def cuts(box: DropBox) -> list[dict[str, Any]]:
    """The lookups that the app cut short. One whose caller has all of it and goes may count as not complete, too."""
    lookups = [one for one in box.events("lookup") if not one["complete"] and one["status"] == 200]
    return [one for one in lookups if one["error"] and "ClientDisconnect" not in one["error"]]


def test_locked_out_for_a_weekend(place: Place) -> None:
    """The role is missing from Friday to Monday; files wait, and that time does not count against them."""
    place.service.inject(fault="status", status=403, requests=None)
    names = place.drop("locked out")
    for _ in range(3):
        before = {name: place.box.waiting(name)["deferrals"] for name in names}
        place.next_day()
        wait_for(
            lambda before=before: all(deferrals(place, name) > before[name] for name in names) or None,  # type: ignore[misc]
            "not all were tried",
        )
    assert {place.box.waiting(name)["failing_seconds"] for name in names} == {0}
    place.mend()
    place.next_day()
    place.all_is_well(*names)


def deferrals(place: Place, name: str) -> int:
    return int(json.loads(place.box.blob("dicom-receipts", name) or b"{}")["deferrals"])


def test_storage_is_down(place: Place) -> None:
    """For the app and its host: nothing can be read or written, not even that a file waits."""
    names = place.drop("storage")
    place.storage.begin(Fault(1, Moment.BEFORE, 503, times=sys.maxsize))
    wait_for(lambda: len(place.storage.steps) > 20 or None, "nobody asks")
    place.mend()
    place.all_is_well(*names)


def test_no_token_can_be_had(place: Place) -> None:
    """The one in use is refused, and the endpoint that gives others hangs up."""

    def unreachable() -> int:
        return [told["reason"] for told in place.box.events("blob_deferred")].count("service_unreachable")

    place.tokens.down = True
    place.service.inject(fault="status", status=401)
    before = unreachable()
    [name] = place.drop("no token", files=1)
    assert place.box.waiting(name)["reason"] in ("service_unreachable", "outage")  # an outage, once the circuit is open
    wait_for(lambda: unreachable() > before or None, "the service is not said to be unreachable")
    place.mend()
    place.next_day()
    place.all_is_well(name)


def test_the_same_event_again_and_again_by_both_doors(place: Place) -> None:
    """Five times by the blob trigger, five times by the queue, all at once: each file is stored once."""
    names = place.drop("again")
    with QueueClient.from_connection_string(place.box.stack.connection_string, "dicom-arrivals") as queue:
        for name in names:
            place.box.repeat_event(name, place.instances[name][1], times=5)
            for _ in range(5):
                queue.send_message(json.dumps(storage_event(name)))
    place.all_is_well(*names)


def test_a_file_is_replaced_while_it_is_stored(place: Place) -> None:
    """The first version is stored, and says so; the second one, with other bytes, is in conflict with it."""
    place.service.forget_requests()
    place.service.inject(fault="delay", kind="store", seconds=2)
    instance = make_instance()
    first = place.box.drop("replaced.dcm", instance.content)
    wait_for(lambda: place.service.requests().get("store") or None, "it is not stored")
    second = place.box.drop("replaced.dcm", with_other_pixels(instance.content))
    receipt = place.box.receipt("replaced.dcm", second)
    [earlier] = receipt["earlier"]
    assert (receipt["verdict"], earlier["etag"], earlier["verdict"]) == ("conflict", first, "stored")
    place.all_is_well()


def test_killed_in_the_middle_of_ingest(place: Place) -> None:
    """The app dies with files in flight, and again; in the end each is stored once, and comes back whole."""
    rows = 1536
    names = place.drop("killed", files=8, Rows=rows, Columns=rows, PixelData=os.urandom(rows * rows))
    for wanted in (1, 4):
        wait_for(lambda wanted=wanted: receipts(place, names) >= wanted or None, "no progress")  # type: ignore[misc]
        place.box.stack.restart_app(clock_ahead_seconds=place.days * A_DAY)
    place.all_is_well(*names)


def receipts(place: Place, names: list[str]) -> int:
    """Count the receipts that are there."""
    there = set(place.box.storage.get_container_client("dicom-receipts").list_blob_names())
    return len(there & set(names))


@pytest.mark.parametrize(
    ("path", "act", "event"),
    [
        ("/dicom-inbox?", "sweep_inbox", "sweep_failed"),
        (f"/dicom-inbox/{NAME}", "probe_route", "probe_failed"),
        ("/dicom-arrivals-parked?comp=metadata", "sweep_inbox", "set_aside_unknown"),
        ("/dicom-inbox/unseen.dcm", "", "poison_failed"),
    ],
)
def test_what_cannot_be_done_is_told(place: Place, path: str, act: str, event: str) -> None:
    """By the line of the log that an alert waits for."""
    box, before = place.box, len(place.box.events(event))
    etag = box.drop("unseen.dcm", b"a letter") if not act else ""
    place.storage.begin(Fault(1, Moment.BEFORE, status=403, times=sys.maxsize, path=path))
    if act:
        box.stack.fire(act)
    else:
        with QueueClient.from_connection_string(box.stack.connection_string, "dicom-arrivals-poison") as queue:
            queue.send_message(json.dumps(storage_event("unseen.dcm")))
    wait_for(lambda: box.events(event)[before:] or None, f"no {event}")
    place.mend()
    if etag:
        assert box.receipt("unseen.dcm", etag)["verdict"] == "rejected"
