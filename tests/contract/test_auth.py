"""Access: bearer tokens, and the roles Data Owner and Data Reader."""

from __future__ import annotations

import pytest

from tests.contract.differences import equal, expect
from tests.contract.service import Bearer, Service
from tests.contract.sources import AZURE_ACCESS
from tests.contract.target import Target
from tests.kit.dicomweb_messages import STORED_INSTANCE, STORED_INSTANCES
from tests.kit.files import Sample

pytestmark = pytest.mark.source(AZURE_ACCESS)


@pytest.fixture(scope="module")
def stored(service: Service) -> Sample:
    """An instance to ask for."""
    sample = Sample()
    service.stored(sample)
    return sample


@pytest.fixture
def reader(service: Service, target: Target) -> Service:
    """A client that may only read."""
    return service.with_auth(target.reader)


@pytest.mark.parametrize("token", [None, "nonsense"])
def test_no_valid_token(service: Service, stored: Sample, token: str | None) -> None:
    """Without a valid token everything is 401 with a Bearer challenge."""
    stranger = service.with_auth(Bearer(lambda: token) if token else None)
    for response in (stranger.get(f"/studies?StudyInstanceUID={stored.study}"), stranger.delete(stored.path)):
        expect(response, 401)
        equal("challenge", response.headers.get("WWW-Authenticate", "")[:6], "Bearer")
    expect(stranger.store(Sample()), 401)


@pytest.mark.needs("reader")
@pytest.mark.parametrize(
    "path",
    [
        "/studies?StudyInstanceUID={0.study}",
        "/series?StudyInstanceUID={0.study}",
        "/instances?StudyInstanceUID={0.study}",
        "{0.study_path}/series",
        "{0.series_path}/instances",
        "{0.path}/metadata",
    ],
)
def test_reader_reads(reader: Service, stored: Sample, path: str) -> None:
    """A reader may search, and retrieve metadata."""
    expect(reader.get(path.format(stored)), 200)


@pytest.mark.needs("reader")
def test_reader_retrieves(reader: Service, stored: Sample) -> None:
    """A reader may retrieve studies, series and instances, and read the change feed."""
    expect(reader.get(stored.study_path, STORED_INSTANCES), 200)
    expect(reader.get(stored.series_path, STORED_INSTANCES), 200)
    expect(reader.get(stored.path, STORED_INSTANCE), 200)
    for resource in ("/changefeed?limit=1&includeMetadata=false", "/changefeed/latest?includeMetadata=false"):
        expect(reader.get(f"{reader.version_url}{resource}"), 200)


@pytest.mark.needs("reader")
def test_reader_changes_nothing(service: Service, reader: Service, stored: Sample) -> None:
    """A reader may neither store nor delete: 403, and nothing has changed."""
    new = Sample()
    expect(reader.store(new), 403)
    expect(service.get(new.path, STORED_INSTANCE), 404)
    for path in (stored.path, stored.series_path, stored.study_path):
        expect(reader.delete(path), 403)
    expect(service.get(stored.path, STORED_INSTANCE), 200)
