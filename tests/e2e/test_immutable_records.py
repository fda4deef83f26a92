"""A study's whole life with records in an account that lets nobody change or delete them, on the local stack."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from local.azurite import Azurite
from local.ports import Ports
from local.stack import Stack
from shared.settings import ACCESS_AUDIT, RETENTION_RECORDS, RETENTION_STATE
from tests.conftest import APPROVAL_KEY
from tests.kit.documents import table_in
from tests.kit.immutability import Immutability, immutable
from tests.kit.life_of_a_study import LifeOfAStudy

DOCUMENT = Path(__file__).parents[2] / "docs/retention.md"


@pytest.fixture(scope="module")
def governed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LifeOfAStudy, Immutability]]:
    """A stack whose records are immutable, and the policy by which the account refuses."""
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
            yield LifeOfAStudy(stack), policy


@pytest.fixture
def life(governed: tuple[LifeOfAStudy, Immutability]) -> LifeOfAStudy:
    return governed[0]


def test_a_life(governed: tuple[LifeOfAStudy, Immutability]) -> None:
    """Deleted by leave, kept out, put back, held, and deleted once more: each on record for good, and no other way."""
    life, policy = governed
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
    assert set(policy.refused) <= {f"PUT {RETENTION_RECORDS}"}
    assert len(policy.refused) == 2


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
