"""Expiry headers of Store, the managed service's own. How soon a study goes once it is due is not documented."""

from __future__ import annotations

import time

import pytest

from tests.contract.differences import Difference, equal, expect
from tests.contract.service import Service
from tests.contract.sources import AZURE, GUESS
from tests.kit.dicomweb_messages import STORED_INSTANCE
from tests.kit.files import Sample

pytestmark = pytest.mark.source(f"{AZURE}, Store, expiry headers")

TIME, OPTION, LEVEL = (f"msdicom-expiry-{name}" for name in ("time-milliseconds", "option", "level"))
AN_HOUR = str(60 * 60 * 1000)
SOON = "3000"
PATIENCE_SECONDS = 300


@pytest.mark.parametrize(
    "headers", [{TIME: AN_HOUR, OPTION: "RelativeToNow", LEVEL: "Study"}, {TIME: AN_HOUR}], ids=["all", "time alone"]
)
def test_store(service: Service, headers: dict[str, str]) -> None:
    """A store with an expiry is a store."""
    sample = Sample()
    expect(service.store(sample, **headers), 200)
    expect(service.get(sample.path, STORED_INSTANCE), 200)


@pytest.mark.source(GUESS)
@pytest.mark.parametrize(
    "headers",
    [
        *({TIME: value} for value in ("0", "-1", "1.5", "soon")),
        {TIME: AN_HOUR, OPTION: "Absolute"},
        {TIME: AN_HOUR, LEVEL: "Series"},
    ],
    ids=["0", "-1", "1.5", "soon", "Absolute", "Series"],
)
def test_bad_values(service: Service, headers: dict[str, str]) -> None:
    """A value that the headers cannot have is 400, and nothing is stored."""
    sample = Sample()
    expect(service.store(sample, **headers), 400)
    equal("studies", service.search(f"/studies?StudyInstanceUID={sample.study}"), [])


@pytest.mark.needs("expiry")
def test_expired(service: Service) -> None:
    """A study goes when its time has come, unless a later store to it has no expiry."""
    kept, gone = Sample(), Sample()
    expect(service.store(kept, **{TIME: SOON}), 200)
    service.stored(kept.sibling())
    expect(service.store(gone, **{TIME: SOON}), 200)
    wait_until_gone(service, gone)
    equal("studies", service.search(gone.search_path()), [])
    expect(service.get(kept.path, STORED_INSTANCE), 200)


def wait_until_gone(service: Service, sample: Sample) -> None:
    """Ask for an instance until it is not found."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while expect(service.get(sample.path, STORED_INSTANCE), 200, 404).status_code == 200:
        if time.monotonic() > deadline:
            raise Difference(f"404 within {PATIENCE_SECONDS} seconds", "200")
        time.sleep(0.2)
