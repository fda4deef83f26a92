"""A study's whole life with retention: deleted by leave, kept out, put back, held, deleted once more.

Its records lie in an account that lets nobody change or delete them, its files in one with a hierarchical namespace.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.azurite import Azurite
from local.ports import Ports
from local.stack import Stack
from shared.settings import ACCESS_AUDIT, DEFAULT_INBOX, QUARANTINE_REASONS, RETENTION_RECORDS, RETENTION_STATE
from store_on_upload.probing.dropped import NAME
from tests.conftest import APPROVAL_KEY, REPLAY_KEY
from tests.kit.arrivals import NEVER
from tests.kit.documents import table_in
from tests.kit.drop_box import DropBox, Instance, make_instance, wait_for
from tests.kit.hierarchical import hierarchical
from tests.kit.immutability import Immutability, immutable
from tests.kit.nights import FIRST_DUE, LIFE_POLICY, STORED, Night, Nights

DOCUMENT = Path(__file__).parents[2] / "docs/retention.md"
CANARY = "CANARY^Jane"


class Life:
    """A study that is long due.

    Args:
        nights: of a stack that deletes what is approved.
        policy: by which the account of records refuses.
    """

    def __init__(self, nights: Nights, policy: Immutability) -> None:
        self.nights, self.policy = nights, policy
        self.box: DropBox = nights.box
        nights.store_on(STORED)
        nights.write("policy.toml", LIFE_POLICY)
        self.study: Instance = nights.store(StudyDate="20200102", PatientName=CANARY)
        nights.set_time(FIRST_DUE)

    def is_there(self) -> bool:
        return self.study.study in self.nights.studies()

    def delete(self, night: Night) -> None:
        """Approve a night's plan, once, and see that the next night deletes the study."""
        assert [self.nights.approve(night).status_code for _ in range(2)] == [200, 409]
        night = self.nights.night()
        assert (night.told, night.event["deleted"]) == ((("study_purged", "deleted"),), 1), night
        assert not self.is_there()

    def is_kept_out(self, name: str) -> bool:
        """Say whether an instance of the study that somebody drops is refused, and have it dropped."""
        late = make_instance(StudyInstanceUID=self.study.study, StudyDate="20200102")
        return bool(self.box.settle(name, late.content)["reason"] == "purged")

    def restore(self, **keys: str) -> httpx.Response:
        return self.nights.post(f"vault/{self.study.study}/restore", {"requested_by": CANARY}, **keys)


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    folder, ports = tmp_path_factory.mktemp("life"), Ports().chosen()
    account = Azurite(folder, first_port=ports.azurite).connection_string
    with immutable(account) as (records, policy), hierarchical(account) as files:
        settings = {
            "DICOM_STORAGE": files,
            "RECORDS_STORAGE": records,
            "AFTER_STORE": "archive",
            "PURGE_MODE": "approve",
            "AUDIT": "required",
            "AUDIT_KEY": "0123456789abcdef",
            "APPROVAL_KEY": APPROVAL_KEY,
            "REPLAY_KEY": REPLAY_KEY,
            "FEED_LAG_SECONDS": "0",
            "SWEEP_MIN_AGE_SECONDS": "900",
            "SWEEP_SCHEDULE": NEVER,
            "PROBE_SCHEDULE": NEVER,
        }
        with Stack(folder, ports=ports, auth=True, poll_seconds=0.25, settings=settings, in_memory=True) as stack:
            yield Life(Nights(stack), policy)


def problem(response: httpx.Response) -> tuple[int, str]:
    """Return status and code of a problem, which has nothing of the caller's in it."""
    assert response.headers["content-type"] == "application/problem+json"
    assert "CANARY" not in response.text
    return response.status_code, response.json()["code"]


def test_a_life(life: Life) -> None:
    """Each step is on record for good, and there is no other way to it."""
    nights, box, uid = life.nights, life.box, life.study.study
    assert nights.night().event["reason"] == "first_run"
    # The plan can be read, and is what is approved.
    night = nights.night()
    plan = night.event["plan"]
    assert plan in {one["id"] for one in box.get("/retention/plans").json()["plans"]}
    told = box.get(f"/retention/plans/{plan}").json()
    assert hashlib.sha256(box.get(f"/retention/plans/{plan}.jsonl").content).hexdigest() == told["hash"]
    page = box.get(f"/retention/plans/{plan}", headers={"accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert page.headers["content-type"].startswith("text/html")
    for key in ("wrong", REPLAY_KEY):
        assert problem(nights.approve(night, approval_key=key)) == (403, "wrong-approval-key")
    assert nights.approve(night, key="wrong").status_code == 401
    assert problem(nights.approve(night, count=2)) == (409, "count-differs")
    life.delete(night)
    [first] = nights.tombstones().values()
    assert nights.vaulted(uid) == [life.study.content]
    # It is kept out, whether it is dropped or replayed.
    name = f"late/{CANARY}.dcm"
    assert life.is_kept_out(name)
    wait_for(lambda: True if box.blob(DEFAULT_INBOX, name) is None else None, "it is still in the inbox")
    reason = box.storage.get_blob_client(QUARANTINE_REASONS, f"{name}.json")
    before = reason.get_blob_properties().etag
    assert box.replay({"name": name, "dry_run": False}).json()["sent"] == 1
    wait_for(lambda: reason.get_blob_properties().etag != before or None, "it was not looked at again")
    assert not life.is_there()
    # It is put back as it was, and held for a while.
    assert problem(life.restore(approval_key="wrong")) == (403, "wrong-approval-key")
    response = life.restore()
    assert (response.status_code, response.json()["sent"]) == (202, 1)
    wait_for(lambda: life.is_there() or None, "it does not come back")
    stored = box.get(life.study.path, headers={"accept": 'application/dicom; transfer-syntax="*"'})
    assert stored.content == life.study.content
    assert nights.pointers() == []
    assert not life.is_kept_out("late/again.dcm")
    # Each request is a line of the log, without whom or what it was about.
    asked = [line["transaction"] for line in box.events("request")]
    assert asked[-3:] == ["replay quarantine", "restore study", "restore study"]
    assert not any(name in box.log() for name in ("CANARY", uid))
    assert nights.next_night().plan[1]["held_by"] == ["restored"]
    nights.later(timedelta(days=33))
    life.delete(nights.night())
    [second] = nights.tombstones().values()
    assert second["deletion_id"] != first["deletion_id"]
    assert json.loads(nights.records(_tombstone_of(first))) == first
    # What was tried of what is forbidden: to approve a plan for the second time, which is for the app to refuse.
    assert set(life.policy.refused) <= {f"PUT {RETENTION_RECORDS}"}
    assert len(life.policy.refused) == 2


def _tombstone_of(tombstone: dict[str, Any]) -> str:
    return "tombstones/{partition}/{study_instance_uid}/{deletion_id}.json".format(**tombstone)


def test_what_is_where(life: Life) -> None:
    """Each blob that such a life leaves has a row in the document, each row a blob, and the intent is gone."""
    _, _, text = DOCUMENT.read_text().partition("## What is where\n")
    expected = {RETENTION_RECORDS: set[str](), RETENTION_STATE: set[str]()}
    for name, (container, *_) in table_in(text).items():
        expected[container.strip("`")].add(name)
    for container, names in expected.items():
        blobs = list(life.box.storage.get_container_client(container).list_blob_names())
        patterns = {name: re.sub(r"<[^>]+>", "[^/]+", re.escape(name).replace(r"\ ", " ")) for name in names}
        found = {blob: {name for name, one in patterns.items() if re.fullmatch(one, blob)} for blob in blobs}
        assert all(len(rows) == 1 for rows in found.values()), found
        assert names - set().union(*found.values()) <= {"intents/<partition>/<study>.json"}


def test_who_saw_it_is_on_record(life: Life) -> None:
    container = life.box.storage.get_container_client(ACCESS_AUDIT)
    lines = [
        line for name in container.list_blob_names() for line in container.download_blob(name).readall().splitlines()
    ]
    assert {json.loads(line)["phase"] for line in lines} == {"begins", "ends"}


def test_files_in_folders_get_in(life: Life) -> None:
    """And are archived, kept in quarantine, swept, probed; it all adds up, and nothing waits for a person."""
    box = life.box
    assert box.settle("a/b/stored.dcm", make_instance().content)["verdict"] == "stored"
    assert box.settle("a/c/rejected.dcm", b"a letter")["verdict"] == "rejected"
    for event, function in (("sweep", "sweep_inbox"), ("probe", "probe_route")):
        before = len(box.events(event))
        box.stack.fire(function)
        [said] = wait_for(lambda event=event, before=before: box.events(event)[before:] or None, "nothing was said")  # type: ignore[misc]
        assert said["complete"] is True
    assert not list(box.storage.get_container_client(DEFAULT_INBOX).list_blob_names(name_starts_with=NAME))
    box.adds_up()
    assert not box.events("set_aside", "set_aside_unknown")
