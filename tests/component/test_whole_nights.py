"""Whole nights, from the feed to the deletions, over a real storage account and the local service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobServiceClient

from purge_study.ledger.row import StudyKey
from purge_study.night import run_night
from shared.clients import Clients
from shared.dicomweb import DICOMwebClient
from shared.settings import OWN_CONTAINERS, RETENTION_POLICY, load
from tests.component.archive import Archive, archive_in, sample_of
from tests.component.executing.deleting_process import without_pauses

POLICY = """
[policy]
time_zone = "UTC"

[[rule]]
name = "all"
keep_years = 5

[brakes]
max_share = 1.0
"""


@dataclass
class Nights:
    """An archive, and the retention that is run over it."""

    archive: Archive
    blobs: BlobServiceClient
    settings: dict[str, str] = field(default_factory=lambda: {"LEDGER_KEY": token_hex(), "PURGE_MODE": "delete"})

    def write(self, name: str, content: str) -> None:
        """Put the policy, or a list, into its container."""
        self.blobs.get_blob_client(RETENTION_POLICY, name).upload_blob(content.encode(), overwrite=True)

    async def night(self, **settings: str) -> None:
        """Run a night, ten minutes from now, when the feed's lag is over."""
        self.archive.wait(minutes=10)
        async with self.clients(**settings) as clients:
            await run_night(clients)

    @asynccontextmanager
    async def clients(self, **settings: str) -> AsyncIterator[Clients]:
        """Yield what the app works with."""
        loaded = load(
            {
                "DICOM_SERVICE_URL": f"{self.archive.service.root}/v2",
                "DICOM_STORAGE": self.archive.storage,
                **self.settings,
                **settings,
            }
        )
        async with aclosing(Clients.over(loaded, DICOMwebClient(loaded.dicom_service_url))) as clients:
            yield clients

    def has(self, key: StudyKey) -> bool:
        """Say whether the service has a study."""
        return self.archive.service.get(f"/partitions/{key.partition}/studies/{key.uid}/metadata").status_code == 200


@pytest.fixture
def nights(azurite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nights]:
    """An empty archive, and an account in which there was never a night."""
    without_pauses(monkeypatch)
    with (
        archive_in(tmp_path, azurite, monkeypatch) as archive,
        BlobServiceClient.from_connection_string(azurite) as blobs,
    ):
        for name in OWN_CONTAINERS:
            container = blobs.get_container_client(name)
            if container.exists():
                for blob in container.list_blob_names():
                    with suppress(ResourceNotFoundError):
                        container.delete_blob(blob)
            else:
                container.create_container()
        nights = Nights(archive, blobs)
        nights.write("policy.toml", POLICY)
        yield nights


async def test_an_instance_that_the_feed_has_not_told_of(nights: Nights) -> None:
    """A study is kept that has an instance which was received after the last that is folded in."""
    archive = nights.archive
    one = sample_of("1", "20100305")
    former = one.sibling(elements=one.elements)
    key, other = archive.store(one), archive.store(sample_of("2", "20100305"))
    archive.store(former)
    await nights.night()
    archive.wait(days=6 * 365)
    archive.delete(former.path)  # for which it is read again
    archive.wait(minutes=8)
    archive.store(one.sibling(elements=one.elements))
    archive.wait(minutes=-8)
    await nights.night()
    assert not nights.has(other)
    assert nights.has(key)
