"""Each app at its whole work with the rights that infra/ gives it: they are enough, and none is given for nothing.

Storage refuses what is not given (tests/kit/rights.py), and so does the DICOM service, by its roles.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from azure.core.exceptions import ResourceExistsError
from azure.storage.queue import QueueClient, QueueServiceClient

from local.azurite import Azurite
from local.ports import Ports
from local.samples import with_other_pixels
from local.stack import Stack
from local.tokens import Role
from query_api.routes import ROUTES
from shared.arrivals import Arrival, Door, name_of_restored, write_message
from shared.purged import pointer_name
from shared.queues import ARRIVALS, BLOB_POISON
from shared.settings import (
    ACCESS_AUDIT,
    ARCHIVE,
    DEFAULT_INBOX,
    QUARANTINE,
    QUARANTINE_REASONS,
    RETENTION_STATE,
    VAULT,
)
from store_on_upload.waiting.put_off import MAX_POISONINGS
from tests.conftest import APPROVAL_KEY, REPLAY_KEY
from tests.infra.apps import ACCESS, MAIN, folder_of
from tests.infra.bicep import INFRA, read
from tests.kit.arrivals import CLOCK_AHEAD_SECONDS, SETTINGS, Arrivals
from tests.kit.drop_box import SOURCES, DropBox, make_instance, probe_files, wait_for
from tests.kit.nights import FIRST_DUE, LIFE_POLICY, STORED, Nights
from tests.kit.purged import Purged
from tests.kit.rights import Rights, granted

_ADD, _WRITE = "containers/blobs/add/action", "containers/blobs/write"
_MAY_MAKE_ANEW = "whoever may delete a blob and make one may replace it: without this, the role were no smaller"
_MAY_WRITE = "whoever may write may make a blob as well: without this, the role were no smaller"
# What nobody needs, and why it is given all the same.
SPARE = {
    ("ingest", DEFAULT_INBOX, _WRITE): _MAY_MAKE_ANEW,
    ("ingest", ARCHIVE, _WRITE): _MAY_MAKE_ANEW,
    ("ingest", QUARANTINE, _WRITE): _MAY_MAKE_ANEW,
    ("ingest", QUARANTINE_REASONS, _ADD): _MAY_WRITE,
}
DICOM_ROLES: dict[str, Role] = {"store": "ingest", "read": "reader", "purge": "retention"}
OWN_SETTINGS = {
    "APPROVAL_KEY": APPROVAL_KEY,
    "REPLAY_KEY": REPLAY_KEY,
    "AUDIT_KEY": "0123456789abcdef",
    "PURGE_MODE": "approve",
    "FEED_LAG_SECONDS": "0",
}
HELD = "642341"
RULES = f"""{LIFE_POLICY}
[[hold]]
name = "litigation"
list = "holds/litigation.csv"
"""
HOLDS = f"study_instance_uid,accession_number,patient_id,issuer,released,released_by\n,,{HELD},,,\n#end,1\n"


@contextmanager
def running(app: str, folder: Path) -> Iterator[tuple[Arrivals, Rights]]:
    """Run an app alone, with its rights and its settings of infra/, as far as these are constant."""
    ports, sources = Ports().chosen(), folder / "sources.toml"
    sources.write_text(SOURCES)
    constant = {name: value for name, value in MAIN.variable(f"{app}Settings").items() if isinstance(value, str)}
    with granted(app, Azurite(folder, first_port=ports.azurite).connection_string) as (ways, rights):
        settings = {
            **constant,
            **SETTINGS,
            **OWN_SETTINGS,
            "SOURCES_PATH": str(sources),
            "ENABLED_FUNCTIONS": folder_of(app),
            "DICOM_STORAGE": "",
            **ways,
        }
        with Stack(
            folder,
            ports=ports,
            auth=True,
            poll_seconds=0.25,
            lock_seconds=3,
            clock_ahead_seconds=CLOCK_AHEAD_SECONDS,
            role=DICOM_ROLES[ACCESS[app]["dicom"][0]],
            settings=settings,
        ) as stack:
            site = Arrivals(DropBox(stack))
            make_what_infra_makes(site.box)
            yield site, rights


def make_what_infra_makes(box: DropBox) -> None:
    """Make the containers and queues of the files' account, as far as the stack has not."""
    data = read(INFRA / "modules/data-storage.bicep")
    with QueueServiceClient.from_connection_string(box.stack.connection_string) as queues:
        makes: dict[str, Callable[[str], object]] = {
            "containers": box.storage.create_container,
            "queues": queues.create_queue,
        }
        for kind, make in makes.items():
            for name in data.variable(kind):
                with suppress(ResourceExistsError):
                    make(name)


def each_verdict(site: Arrivals) -> None:
    """Files that are archived, deleted, set aside and ignored; their receipts can be read."""
    first = make_instance()
    undated = make_instance(StudyDate="20200102").content.replace(b"20200102", b"notadate")
    site.settle("stored.dcm", first.content, "stored")
    site.settle("delete/stored.dcm", make_instance().content, "stored")
    site.settle("undated.dcm", undated, "stored_with_warnings")
    site.settle("again.dcm", first.content, "duplicate")
    site.settle("other.dcm", with_other_pixels(first.content), "conflict")
    site.settle("letter.dcm", b"a letter", "rejected")
    site.settle("picture.jpg", b"a picture", "ignored")
    are_dealt_with(site)
    assert site.box.get("/receipts", params={"name": "stored.dcm"}).json()["verdict"] == "stored"


def are_dealt_with(site: Arrivals) -> None:
    """See that nothing is left in the inbox but what is ignored."""
    inbox = site.box.storage.get_container_client(DEFAULT_INBOX)
    wait_for(lambda: True if set(inbox.list_blob_names()) <= {"picture.jpg"} else None, "a file stays in the inbox")


def a_replacement(site: Arrivals) -> None:
    """Another patient's file replaces nothing; then what is stored gives way."""
    old = make_instance()
    site.box.stack.set_service_clock(-60)  # it is there before the others come
    site.settle("replace/old.dcm", old.content, "stored")
    site.box.stack.set_service_clock(0)
    uids = {"StudyInstanceUID": old.study, "SeriesInstanceUID": old.series, "SOPInstanceUID": old.sop}
    site.settle("replace/theirs.dcm", make_instance(**uids, PatientID="P2").content, "conflict")
    site.settle("replace/new.dcm", with_other_pixels(old.content), "replaced")
    are_dealt_with(site)


def a_replay(site: Arrivals) -> None:
    """A file leaves quarantine once nothing stands in its way."""
    name, first = "replay/other.dcm", make_instance()
    site.settle("replay/first.dcm", first.content, "stored")
    site.settle(name, with_other_pixels(first.content), "conflict")
    are_dealt_with(site)
    site.service.delete(f"/studies/{first.study}")
    assert site.box.replay({"name": name, "dry_run": False}).json()["sent"] == 1
    goes(site, QUARANTINE, name)
    goes(site, QUARANTINE_REASONS, f"{name}.json")


def goes(site: Arrivals, container: str, name: str) -> None:
    """See that a blob is there no longer."""
    wait_for(lambda: True if site.box.blob(container, name) is None else None, f"{name} stays in {container}")


def an_outage(site: Arrivals) -> None:
    """A file waits for its end."""
    site.service.inject(kind="store", fault="status", status=503, requests=None)
    etag = site.drop("waits.dcm", make_instance().content)
    site.box.waiting("waits.dcm")
    site.service.mend()
    assert site.box.receipt("waits.dcm", etag)["verdict"] == "stored"


def a_sweep(site: Arrivals) -> None:
    """It finds a file that no event tells of."""
    are_dealt_with(site)
    etag = site.box.drop("missed.dcm", make_instance().content)
    assert site.sweep()["queued"] == 1
    assert site.box.receipt("missed.dcm", etag)["verdict"] == "stored"


def a_probe(site: Arrivals) -> None:
    """It gets in, and is removed."""
    assert site.probe()["complete"] is True
    wait_for(lambda: None if probe_files(site.box) else True, "something is left of the probe")


def what_is_set_aside(site: Arrivals) -> None:
    """Messages that nobody can read, another app's, and those of a file that ends the app each time."""
    site.next_event(lambda: site.tell(ARRIVALS, "no event"), "arrival_parked")
    theirs = {"Type": "BlobTrigger", "FunctionId": "Host.Functions.theirs", "ContainerName": "theirs"}
    site.next_event(lambda: site.tell(BLOB_POISON, theirs), "foreign_poison_moved")
    name = "ends the app.dcm"
    etag = site.box.drop(name, make_instance().content)
    for number in range(1, MAX_POISONINGS + 1):
        site.set_aside(name, number)
    assert site.box.receipt(name, etag)["verdict"] == "gave_up"


def what_retention_tells(site: Arrivals) -> None:
    """A study that was deleted is kept out; one that is put back is stored from the vault."""
    late, purged = make_instance(), Purged.of([make_instance()])
    site.box.storage.get_blob_client(RETENTION_STATE, pointer_name(None, late.study)).upload_blob(b"{}")
    site.settle("late.dcm", late.content, "rejected")
    for (container, name), content in purged.blobs().items():
        if container == VAULT:
            site.box.storage.get_blob_client(container, name).upload_blob(content)
    [name] = map(purged.name_of, purged.instances)
    site.tell(ARRIVALS, write_message(Arrival((name,), Door.RESTORE, container=VAULT)))
    question = {"name": name_of_restored(name)}
    wait_for(lambda: site.box.get("/receipts", params=question).status_code == 200 or None, "it does not come back")
    are_dealt_with(site)


def each_lookup(site: Arrivals) -> None:
    """Of all routes; each is on record."""
    instance = make_instance()
    site.service.store(instance.content)
    places = {"study": instance.study, "series": instance.series, "instance": instance.sop, "frames": "1"}
    for route in ROUTES:
        if "{partition}" not in route.path:
            assert site.box.get(f"/{route.path.format(**places)}").status_code == 200, route.name
    assert list(site.box.storage.get_container_client(ACCESS_AUDIT).list_blob_names())


def a_life_of_a_study(site: Arrivals) -> None:
    """A first night, an approved plan, a deletion with its copy, a restore; another study is held."""
    nights = Nights(site.box.stack)
    nights.store_on(STORED)
    nights.write("policy.toml", RULES)
    nights.write("holds/litigation.csv", HOLDS)
    study = nights.store(StudyDate="20200102")
    large = nights.store(StudyDate="20200102", Rows=2048, Columns=1024, PixelData=bytes(2048 * 1024))
    nights.store(StudyDate="20200102", PatientID=HELD)
    nights.set_time(FIRST_DUE)
    assert nights.night().event["reason"] == "first_run"
    night = nights.night()
    plan = night.event["plan"]
    for path in ("plans", f"plans/{plan}", f"plans/{plan}.jsonl", f"studies/{study.study}"):
        assert site.box.get(f"/retention/{path}").status_code == 200, path
    assert nights.approve(night).status_code == 200
    assert nights.night().event["deleted"] == 2
    assert set(nights.tombstones()) == {study.study, large.study}
    for copied in (study, large):
        assert nights.vaulted(copied.study) == [copied.content]
    assert site.box.get(f"/retention/studies/{study.study}").status_code == 200
    assert nights.post(f"vault/{study.study}/restore", {"requested_by": "A. Reader"}).json()["sent"] == 1
    with QueueClient.from_connection_string(site.box.stack.connection_string, ARRIVALS) as queue:
        assert len(queue.peek_messages(32)) == 1
    assert nights.pointers() == [pointer_name("Microsoft.Default", large.study)]
    assert nights.next_night().event["event"] == "retention_night"


WORK: dict[str, tuple[Callable[[Arrivals], None], ...]] = {
    "ingest": (
        each_verdict,
        a_replacement,
        a_replay,
        an_outage,
        a_sweep,
        a_probe,
        what_is_set_aside,
        what_retention_tells,
    ),
    "lookups": (each_lookup,),
    "retention": (a_life_of_a_study,),
}


@pytest.mark.timeout(400)
@pytest.mark.parametrize("app", ACCESS)
def test_an_app_does_its_work_with_its_rights(app: str, tmp_path: Path) -> None:
    """Nothing is refused on the way, and each right is used."""
    with running(app, tmp_path) as (site, rights):
        try:
            for work in WORK[app]:
                work(site)
            assert httpx.get(f"{site.box.stack.app_url}/health/ready", trust_env=False).status_code == 200
        finally:
            assert rights.refused == []  # whatever it was that failed
        assert re.findall("AccessDenied|access_denied", site.box.log()) == []
    assert rights.unused == {(where, right) for one, where, right in SPARE if one == app}
