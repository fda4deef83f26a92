"""Expiry headers of Store, the managed service's own. When a study goes is not documented, and not tested."""

from __future__ import annotations

import pytest

from tests.contract.differences import equal, expect
from tests.contract.service import Service
from tests.contract.sources import AZURE, GUESS
from tests.dicom_samples import Sample
from tests.dicomweb_messages import STORED_INSTANCE

pytestmark = pytest.mark.source(f"{AZURE}, Store, expiry headers")

TIME, OPTION, LEVEL = (f"msdicom-expiry-{name}" for name in ("time-milliseconds", "option", "level"))
AN_HOUR = str(60 * 60 * 1000)


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
