"""A study's whole life with records in an account that lets nobody change or delete them, on the local stack."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.azurite import Azurite
from local.stack import Ports, Stack
from shared.settings import ACCESS_AUDIT, RETENTION_RECORDS, RETENTION_STATE
from tests.conftest import APPROVAL_KEY
from tests.e2e.drop_box import Instance, make_instance, wait_for
from tests.e2e.nights import Night, Nights
from tests.e2e.test_nights import FIRST_DUE, STORED
from tests.immutability import Immutability, immutable
from tests.unit.test_documents import table_in

POLICY = """
[policy]
time_zone = "Europe/Paris"

[[rule]]
name = "all"
keep_years = 8
from = ["study_date"]

[brakes]
min_age_days = 0
max_share = 1.0
"""
DOCUMENT = Path(__file__).parents[2] / "docs/retention.md"


class LifeOfAStudy:
    """A stack whose records are immutable, with a study that is long due.

    Args:
        stack: that runs.
        policy: by which the account refuses.
    """

    def __init__(self, stack: Stack, policy: Immutability) -> None:
        self.nights = Nights(stack)
        self.policy = policy
        self.nights.store_on(STORED)
        self.nights.write("policy.toml", POLICY)
        self.study: Instance = self.nights.store(StudyDate="20200102")
        self.nights.set_time(FIRST_DUE)

    @property
    def is_there(self) -> bool:
        """Whether the service has it."""
        return self.study.study in self.nights.studies()

    def post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        """Ask retention for something that needs both keys."""
        stack = self.nights.stack
        headers = {"x-functions-key": stack.function_key, "x-approval-key": APPROVAL_KEY}
        url = f"{stack.app_url}/retention/{path}"
        return httpx.post(url, json=body, headers=headers, timeout=30, trust_env=False)

    def approve(self, night: Night) -> None:
        """Approve a night's plan, once."""
        plan = night.event["plan"]
        summary = json.loads(self.nights.records(f"plans/{plan}.json"))
        body = {"approver": "Dr. A", "hash": summary["hash"], "count": summary["to_delete"]}
        assert [self.post(f"plans/{plan}/approve", body).status_code for _ in range(2)] == [200, 409]

    def delete(self) -> None:
        """Have the study deleted by a night whose plan is approved."""
        self.approve(self.nights.night())
        night = self.nights.night()
        assert (night.told, night.event["deleted"]) == ((("study_purged", "deleted"),), 1), night
        assert not self.is_there

    def restore(self) -> None:
        """Have it put back."""
        response = self.post(f"vault/{self.study.study}/restore", {"requested_by": "A. Reader"})
        assert (response.status_code, response.json()["sent"]) == (202, 1)
        wait_for(lambda: True if self.is_there else None, "it does not come back")

    def is_kept_out(self) -> bool:
        """Say whether an instance of the study that somebody drops is refused, and have it dropped."""
        name = f"late/{self.nights.now():%f}.dcm"
        late = make_instance(StudyInstanceUID=self.study.study, StudyDate="20200102")
        return bool(self.nights.box.settle(name, late.content)["reason"] == "purged")


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LifeOfAStudy]:
    folder, ports = tmp_path_factory.mktemp("immutable"), Ports().chosen()
    with immutable(Azurite(folder, first_port=ports.azurite).connection_string) as (records, policy):
        settings = {
            "RECORDS_STORAGE": records,
            "PURGE_MODE": "approve",
            "AUDIT": "required",
            "AUDIT_KEY": "0123456789abcdef",
            "APPROVAL_KEY": APPROVAL_KEY,
            "FEED_LAG_SECONDS": "0",
        }
        with Stack(folder, ports=ports, auth=True, poll_seconds=0.25, settings=settings) as stack:
            yield LifeOfAStudy(stack, policy)


def test_a_life(life: LifeOfAStudy) -> None:
    """Deleted by leave, kept out, put back, held, and deleted once more: each on record for good, and no other way."""
    nights = life.nights
    assert nights.night().event["reason"] == "first_run"
    life.delete()
    [first] = nights.tombstones().values()
    assert life.is_kept_out()
    life.restore()
    assert nights.pointers() == []
    assert not life.is_kept_out()
    assert nights.next_night().plan[1]["held_by"] == ["restored"]
    nights.later(timedelta(days=33))
    life.delete()
    [second] = nights.tombstones().values()
    assert second["deletion_id"] != first["deletion_id"]
    assert json.loads(nights.records(_tombstone_of(first))) == first
    # What was tried of what is forbidden: to approve a plan for the second time, which is for the app to refuse.
    assert set(life.policy.refused) <= {f"PUT {RETENTION_RECORDS}"}
    assert len(life.policy.refused) == 2


def test_what_is_where(life: LifeOfAStudy) -> None:
    """Each blob that such a life leaves has a row in the document, each row a blob, and the intent is gone."""
    _, _, text = DOCUMENT.read_text().partition("## What is where\n")
    expected = {RETENTION_RECORDS: set[str](), RETENTION_STATE: set[str]()}
    for name, (container, *_) in table_in(text).items():
        expected[container.strip("`")].add(name)
    for container, names in expected.items():
        blobs = list(life.nights.box.storage.get_container_client(container).list_blob_names())
        patterns = {name: re.sub(r"<[^>]+>", "[^/]+", re.escape(name).replace(r"\ ", " ")) for name in names}
        found = {blob: {name for name, one in patterns.items() if re.fullmatch(one, blob)} for blob in blobs}
        assert all(len(rows) == 1 for rows in found.values()), found
        assert names - set().union(*found.values()) <= {"intents/<partition>/<study>.json"}


def test_who_saw_it(life: LifeOfAStudy) -> None:
    """Lookups are recorded all the while."""
    container = life.nights.box.storage.get_container_client(ACCESS_AUDIT)
    lines = [
        line for name in container.list_blob_names() for line in container.download_blob(name).readall().splitlines()
    ]
    assert {json.loads(line)["phase"] for line in lines} == {"begins", "ends"}


def _tombstone_of(tombstone: dict[str, Any]) -> str:
    return "tombstones/{partition}/{study_instance_uid}/{deletion_id}.json".format(**tombstone)
