"""One kind of failure after the other, on one stack: after each, nothing is lost or doubled, and it all adds up.

Two further ones, the service gone and its answers lost, are in `test_outages.py`; the app killed in `test_restart.py`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
import pytest
from azure.storage.queue import QueueClient

from local import identity
from local.azurite import ACCOUNT, Azurite
from local.ports import Ports
from local.samples import with_other_pixels
from local.stack import Stack
from tests.kit.connection_strings import through
from tests.kit.drop_box import DropBox, Instance, make_instance, wait_for
from tests.kit.gateway import Fault, Gateway, Moment
from tests.kit.host_messages import storage_event
from tests.kit.stack_service import Service
from tests.kit.tcp_proxy import TcpProxy

FILES = 3
A_DAY = 86_400.0
STORED = ("stored", "duplicate")


@dataclass
class Place:
    """A stack whose app reaches storage and the token endpoint by ways that can be closed.

    Args:
        box: the stack.
        storage: the way to blobs and queues, for the app and its host.
        tokens: the way to the token endpoint.
        days: how far the app's clock is ahead.
        instances: what was dropped: name to instance and version.
    """

    box: DropBox
    storage: Gateway
    tokens: TcpProxy
    days: int = 1
    instances: dict[str, tuple[Instance, str]] = field(default_factory=dict)

    def drop(self, name: str, files: int = FILES) -> list[str]:
        """Drop some new files and return their names."""
        names = [f"{name}/{number}.dcm" for number in range(files)]
        for each in names:
            instance = make_instance()
            self.instances[each] = (instance, self.box.drop(each, instance.content))
        return names

    def inject(self, **fault: object) -> None:
        """Have the DICOM service fail: for one request unless `requests` says otherwise, None for all."""
        Service(self.box.stack).inject(**fault)

    def mend(self) -> None:
        """End every fault."""
        Service(self.box.stack).mend()
        self.storage.begin()
        self.tokens.down = False

    def next_day(self) -> None:
        """Kill the app, start it a day later, and let the sweep send on all that is due by then."""
        self.days += 1
        self.box.stack.restart_app(clock_ahead_seconds=self.days * A_DAY)
        self.box.stack.fire("sweep_inbox")

    def all_is_well(self, *names: str) -> None:
        """See that the files have passed, and that all dropped so far adds up."""
        for name in names:
            instance, etag = self.instances[name]
            assert self.box.receipt(name, etag)["verdict"] in STORED
            stored = self.box.get(instance.path, headers={"Accept": "application/dicom"})
            assert stored.content == instance.content
        report = self.box.adds_up()
        assert report.versions == sum(report.verdicts.values()) >= len(self.instances)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder, ports = tmp_path_factory.mktemp("matrix"), Ports().chosen()
    account = f"http://127.0.0.1:{{}}/{ACCOUNT}"
    services = (account.format(ports.azurite), account.format(ports.azurite + 1))
    with Gateway(*services) as storage, TcpProxy(identity.url(ports.identity)) as tokens:
        settings = {
            "DICOM_STORAGE": through(
                Azurite(folder, first_port=ports.azurite).connection_string, blob=storage.urls[0], queue=storage.urls[1]
            ),
            "IDENTITY_ENDPOINT": tokens.url,
            "GIVE_UP_AFTER_DAYS": "1",  # a weekend is longer
        }
        with Stack(
            folder,
            ports=ports,
            auth=True,
            poll_seconds=0.25,
            lock_seconds=3,
            clock_ahead_seconds=A_DAY,
            settings=settings,
        ) as stack:
            yield Place(DropBox(stack), storage, tokens)


@pytest.fixture(autouse=True)
def mended(place: Place) -> Iterator[None]:
    yield
    place.mend()


def test_the_service_is_down_for_longer_than_the_host_tries(place: Place) -> None:
    """Five events of each file come and are dealt with, none is poisoned, and the files are there the day after."""
    place.inject(fault="status", status=503, requests=None)
    names = place.drop("down")
    for name in names:
        assert place.box.waiting(name)["reason"] in ("service_busy", "outage")
        place.box.repeat_event(name, place.instances[name][1], times=5)
    wait_for(lambda: True if runs(place.box) >= 6 * FILES else None, "the events did not come")
    place.mend()
    place.next_day()
    place.all_is_well(*names)


def runs(box: DropBox) -> int:
    """Count how often the blob trigger's function has ended well since the app was started."""
    return box.log().count("store_on_upload  succeeded")


def deferrals(place: Place, name: str) -> int:
    return int(json.loads(place.box.blob("dicom-receipts", name) or b"{}")["deferrals"])


@pytest.mark.parametrize("retry_after", ["1", None])
def test_throttled(place: Place, retry_after: str | None) -> None:
    """With Retry-After and without."""
    place.inject(fault="status", status=429, retry_after=retry_after, requests=2 * FILES)
    place.all_is_well(*place.drop(f"throttled {retry_after}"))


def test_answers_that_are_cut_short_or_lost(place: Place) -> None:
    """Once the instance is in the service, its file ends as stored or as a duplicate, never as a conflict."""
    for fault in ({"fault": "drop_after_commit"}, {"fault": "truncate"}, {"fault": "cut", "bytes": 20}):
        place.inject(kind="store", **fault)
    place.all_is_well(*place.drop("answers"))


def test_locked_out_for_a_weekend(place: Place) -> None:
    """The role is missing from Friday to Monday; files wait, and that time does not count against them."""
    place.inject(fault="status", status=403, requests=None)
    names = place.drop("locked out")
    for _ in range(3):
        before = [place.box.waiting(name)["deferrals"] for name in names]
        place.next_day()
        for name, count in zip(names, before, strict=True):
            wait_for(lambda name=name, count=count: deferrals(place, name) > count or None, "it was not tried")  # type: ignore[misc]
    assert {place.box.waiting(name)["failing_seconds"] for name in names} == {0}
    place.mend()
    place.next_day()
    place.all_is_well(*names)


def test_storage_is_down(place: Place) -> None:
    """For the app and its host: nothing can be read or written, not even that a file waits."""
    names = place.drop("storage")
    place.storage.begin(Fault(1, Moment.BEFORE, 503, times=sys.maxsize))
    wait_for(lambda: True if len(place.storage.steps) > 20 else None, "nobody asks")
    place.mend()
    place.all_is_well(*names)


def unreachable(place: Place) -> int:
    """Return how often the app deferred a file because it could not reach the service."""
    return [told["reason"] for told in place.box.events("blob_deferred")].count("service_unreachable")


def test_no_token_can_be_had(place: Place) -> None:
    """The one in use is refused, and the endpoint that gives others hangs up."""
    place.tokens.down = True
    place.inject(fault="status", status=401)
    before = unreachable(place)
    [name] = place.drop("no token", files=1)
    assert place.box.waiting(name)["reason"] in ("service_unreachable", "outage")  # an outage, once the circuit is open
    wait_for(lambda: unreachable(place) > before or None, "the service is not said to be unreachable")
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
    for name in names:
        found = place.box.get(f"/instances?SOPInstanceUID={place.instances[name][0].sop}")
        assert len(found.json()) == 1


def test_a_file_is_replaced_while_it_is_stored(place: Place) -> None:
    """The first version is stored, and says so; the second one, with other bytes, is in conflict with it."""
    requests = place.box.stack.dicom_url.removesuffix("/v2") + "/admin/requests"
    httpx.delete(requests, trust_env=False).raise_for_status()
    place.inject(fault="delay", kind="store", seconds=2)
    instance = make_instance()
    first = place.box.drop("replaced.dcm", instance.content)
    wait_for(lambda: httpx.get(requests, trust_env=False).json()["store"]["requests"] or None, "it is not stored")
    second = place.box.drop("replaced.dcm", with_other_pixels(instance.content))
    receipt = place.box.receipt("replaced.dcm", second)
    assert receipt["verdict"] == "conflict"
    [earlier] = receipt["earlier"]
    assert (earlier["etag"], earlier["verdict"]) == (first, "stored")
    place.all_is_well()
