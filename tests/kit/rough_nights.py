"""Nights of retention in which something goes wrong: ways to storage and to the DICOM service that can fail."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from azure.storage.blob import BlobServiceClient

from local.azurite import ACCOUNT, Azurite
from local.ports import Ports
from local.stack import Stack
from shared.settings import RETENTION_STATE
from tests.kit.connection_strings import through
from tests.kit.drop_box import make_instance
from tests.kit.gateway import Fault, Gateway, Moment
from tests.kit.immutability import Immutability
from tests.kit.nights import FIRST_DUE, STORED, Night, Nights

HOLDS, SEEN = "holds/litigation.csv", "anchors/last_seen.csv"
POLICY = f"""
[policy]
time_zone = "Europe/Paris"

[[rule]]
name = "everything"
keep_years = 8
from = ["study_date", "patient_last_study", "last seen"]

[[hold]]
name = "litigation"
list = "{HOLDS}"

[[anchor]]
name = "last seen"
list = "{SEEN}"
max_age_days = 36500

[brakes]
max_share = 0.2
"""
_STUDIES = 40
_ALWAYS = 1_000_000  # requests


class RoughNights(Nights):
    """Retention on a stack, with studies of which one after another falls due.

    Nobody knows when their patients were last seen, until the list says so; a line more in it acts at once.

    Args:
        stack: whose app reaches blobs and the DICOM service by the ways.
        ways: to both.
    """

    def __init__(self, stack: Stack, ways: Gateway) -> None:
        super().__init__(stack)
        self.ways = ways
        self.held: dict[str, str] = {}  # by study, when and by whom it was released
        self._seen: list[str] = []  # lines of the list of dates
        self.store_on(STORED)
        self._studies = [self.store(PatientID=f"P{number:03}").study for number in range(_STUDIES)]
        self.write("policy.toml", POLICY)
        self.write_lists()
        self.set_time(FIRST_DUE)
        assert self.night().event["reason"] == "first_run"

    def write_lists(self) -> None:
        """Write both lists as they should be, each with its end."""
        for name, head, lines in (
            (HOLDS, "study_instance_uid,released,released_by", list(map(",".join, self.held.items()))),
            (SEEN, "patient_id,date", self._seen),
        ):
            self.write(name, "\n".join([head, *lines, f"#end,{len(lines)}"]))

    def fall_due(self) -> str:
        """Have one more study be due, and return its UID."""
        number = len(self._seen)
        self._seen.append(f"P{number:03},2029-01-01")
        self.write_lists()
        return self._studies[number]

    def hold(self, study: str, released: str = ",") -> None:
        """Have the list hold a study, or say when and by whom it was released."""
        self.held[study] = released
        self.write_lists()

    def patient_of(self, study: str) -> str:
        """Return the PatientID of a study."""
        return f"P{self._studies.index(study):03}"

    def extend(self, study: str) -> None:
        """Store one more instance of a study."""
        self.service.store(make_instance(StudyInstanceUID=study, PatientID=self.patient_of(study)).content)

    def answer(self, status: int, path: str, method: str | None = None) -> None:
        """Have requests be answered with a status before they get anywhere: those with this in their path."""
        self.ways.begin(Fault(1, Moment.BEFORE, status=status, times=_ALWAYS, method=method, path=path))

    def let_a_second_pass(self) -> None:
        """Have what was stored be of the next night: the service's clock is read by the second, and stops the fold."""
        time.sleep(1)

    def meanwhile(self, method: str, path: str, act: Callable[[], object]) -> None:
        """Have something done before the next request of a method with this in its path passes."""

        def once() -> None:
            self.ways.begin()
            act()

        self.ways.begin(Fault(1, Moment.BEFORE, times=_ALWAYS, meanwhile=once, method=method, path=path))

    def mend(self) -> None:
        """Have all pass again."""
        self.ways.begin()
        self.service.mend()

    def in_vain(self) -> Night:
        """Return a night in which something stands in the way: nothing goes, and nothing says so."""
        left = self.studies(), self.tombstone_names(), self.pointers()
        night = self.night()
        self.mend()
        assert night.event.get("deleted", 0) == 0, (night.event, night.told)
        assert (self.studies(), self.tombstone_names(), self.pointers()) == left
        return night

    def goes(self, *studies: str) -> Night:
        """See that all is well again: a night deletes these studies and no other."""
        before = self.studies()
        night = self.night()
        assert (night.refusals, night.event["deleted"]) == ((), len(studies)), (night.event, night.told)
        assert self.studies() == before - set(studies)
        assert self.tombstones(*studies).keys() == set(studies)
        return night

    def intents(self) -> list[str]:
        """Return the names of the intents that are open."""
        container = self.box.storage.get_container_client(RETENTION_STATE)
        return list(container.list_blob_names(name_starts_with="intents/"))


@contextmanager
def rough_nights(folder: Path) -> Iterator[RoughNights]:
    """Start a stack for them, in a folder of its own."""
    ports = Ports().chosen()
    account, dicom = f"http://127.0.0.1:{ports.azurite}/{ACCOUNT}", f"http://127.0.0.1:{ports.dicom}/v2"
    azurite = Azurite(folder, first_port=ports.azurite)
    policy = Immutability(BlobServiceClient.from_connection_string(azurite.connection_string))
    with policy.storage, Gateway(account, dicom, forbids=policy.forbids) as ways:
        settings = {
            "PURGE_MODE": "delete",
            "FEED_LAG_SECONDS": "0",
            "DICOM_STORAGE": through(azurite.connection_string, blob=ways.urls[0]),
            "DICOM_SERVICE_URL": ways.urls[1],
        }
        with Stack(folder, ports=ports, auth=True, poll_seconds=0.25, settings=settings, in_memory=True) as stack:
            yield RoughNights(stack, ways)
    assert set(policy.refused) <= {"PUT retention-records"}  # a tombstone that a killed run has written
