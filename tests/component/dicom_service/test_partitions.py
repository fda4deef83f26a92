"""The local DICOM service keeps partitions apart, where they are on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.dicom_service.state import PartitionsInUse, Service, Switches
from tests.kit.service import (
    STORED_INSTANCE,
    Sample,
    ServiceClient,
    opened,
)

DEFAULT = "Microsoft.Default"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceClient]:
    """A service with partitions, shared by the module's tests: each uses partitions of its own."""
    with opened(tmp_path_factory.mktemp("dicom"), partitions=True) as client:
        yield client


def within(partition: str, path: str) -> str:
    """Return a path in a partition."""
    return f"/partitions/{partition}{path}"


def store(service: ServiceClient, partition: str, sample: Sample) -> None:
    """Store a sample in a partition."""
    assert service.store(sample.content, within(partition, "/studies")).status_code == 200


def test_what_was_there_before_is_in_the_default_partition(tmp_path: Path) -> None:
    """Partitions may be turned on later, and off again as long as only the default one is there."""
    sample = Sample()
    with opened(tmp_path) as client:
        client.store_samples(sample)
    with opened(tmp_path, partitions=True) as client:
        assert client.get(within(DEFAULT, sample.path), STORED_INSTANCE).content == sample.content
    with opened(tmp_path) as client:
        assert client.get(sample.path, STORED_INSTANCE).content == sample.content


def test_partitions_in_use_stay_on(tmp_path: Path) -> None:
    """A folder with other partitions is not opened without them: they could not be reached."""
    with opened(tmp_path, partitions=True) as client:
        store(client, "one", Sample())
    for _ in range(2):
        with pytest.raises(PartitionsInUse):
            Service(tmp_path, Switches())
    Service(tmp_path, Switches(partitions=True)).close()
