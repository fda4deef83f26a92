"""An account with a hierarchical namespace, as SFTP needs one: a folder is listed there, and is no file."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from local.azurite import Azurite
from local.ports import Ports
from local.stack import Stack
from shared.settings import DEFAULT_INBOX
from store_on_upload.probing.dropped import NAME
from tests.conftest import APPROVAL_KEY
from tests.kit.arrivals import NEVER
from tests.kit.drop_box import make_instance, wait_for
from tests.kit.hierarchical import hierarchical
from tests.kit.life_of_a_study import LifeOfAStudy


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LifeOfAStudy]:
    """A stack whose records lie in another account, with a study that is long due."""
    folder, ports = tmp_path_factory.mktemp("hierarchical"), Ports().chosen()
    account = Azurite(folder, first_port=ports.azurite).connection_string
    with hierarchical(account) as storage:
        settings = {
            "DICOM_STORAGE": storage,
            "RECORDS_STORAGE": account,
            "AFTER_STORE": "archive",
            "PURGE_MODE": "approve",
            "APPROVAL_KEY": APPROVAL_KEY,
            "FEED_LAG_SECONDS": "0",
            "SWEEP_MIN_AGE_SECONDS": "900",
            "SWEEP_SCHEDULE": NEVER,
            "PROBE_SCHEDULE": NEVER,
        }
        with Stack(folder, ports=ports, auth=True, poll_seconds=0.25, settings=settings) as stack:
            yield LifeOfAStudy(stack)


def test_a_study_is_deleted_and_put_back(life: LifeOfAStudy) -> None:
    """With a copy in the vault, twice; what is open, and what is purged, is told by files alone."""
    nights = life.nights
    assert nights.night().event["reason"] == "first_run"
    life.delete()
    assert life.is_kept_out()
    life.restore()
    assert nights.pointers() == []
    nights.later(timedelta(days=33))
    life.delete()


def test_files_in_folders_get_in(life: LifeOfAStudy) -> None:
    """And are archived, kept in quarantine, swept, probed; it all adds up, and nothing waits for a person."""
    box = life.nights.box
    assert box.settle("a/b/stored.dcm", make_instance().content)["verdict"] == "stored"
    assert box.settle("a/c/rejected.dcm", b"a letter")["verdict"] == "rejected"
    for function in ("sweep", "probe"):
        before = len(box.events(function))
        life.nights.stack.fire({"sweep": "sweep_inbox", "probe": "probe_route"}[function])
        [said] = wait_for(lambda: box.events(function)[before:] or None, "nothing was said")  # noqa: B023
        assert said["complete"] is True
    assert not list(box.storage.get_container_client(DEFAULT_INBOX).list_blob_names(name_starts_with=NAME))
    box.adds_up()
    assert not box.events("set_aside", "set_aside_unknown")
