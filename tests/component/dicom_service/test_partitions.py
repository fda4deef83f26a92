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
    new_uid,
    opened,
    pixels,
    values,
)

DEFAULT = "Microsoft.Default"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceClient]:
    """A service with partitions, shared by the module's tests: each uses partitions of its own."""
    with opened(tmp_path_factory.mktemp("dicom"), partitions=True) as client:
        yield client


@pytest.fixture
def names() -> tuple[str, str]:
    """The names of two partitions that no other test uses."""
    return f"one_{new_uid()}"[:64], f"two-{new_uid()}"[:64]


def within(partition: str, path: str) -> str:
    """Return a path in a partition."""
    return f"/partitions/{partition}{path}"


def store(service: ServiceClient, partition: str, sample: Sample) -> None:
    """Store a sample in a partition."""
    assert service.store(sample.content, within(partition, "/studies")).status_code == 200


def twins() -> tuple[Sample, Sample]:
    """Return two different instances of the same UIDs."""
    one = Sample(elements=pixels(b"first!") | {0x00100020: ("LO", b"ONE")})
    return one, Sample(one.study, one.series, one.sop, pixels(b"second") | {0x00100020: ("LO", b"TWO")})


def test_search_stays_within_its_partition(service: ServiceClient, names: tuple[str, str]) -> None:
    """No resource of Search finds what is in another partition."""
    pairs = list(zip(names, twins(), strict=True))
    for name, sample in pairs:
        store(service, name, sample)
    for (name, sample), patient in zip(pairs, ("ONE", "TWO"), strict=True):
        for path in ("/studies", "/series", "/instances"):
            found = service.search(within(name, f"{path}?StudyInstanceUID={sample.study}&includefield=PatientID"))
            assert [values(each, "00100020") for each in found] == [[patient]]
            assert len(service.search(within(name, path))) == 1
        for path in (
            f"{sample.study_path}/series",
            f"{sample.study_path}/instances",
            f"{sample.series_path}/instances",
        ):
            assert len(service.search(within(name, path))) == 1
        assert len(service.search(within(name, f"/studies?PatientID={patient}"))) == 1
    assert service.search(within(names[0], "/studies?PatientID=TWO")) == []


def test_counts_stay_within_their_partition(service: ServiceClient, names: tuple[str, str]) -> None:
    """What is computed from the instances of a study is computed from those of the partition."""
    one, two = twins()
    store(service, names[0], one)
    store(service, names[0], one.sibling())
    store(service, names[1], two)
    for name, number in zip(names, (2, 1), strict=True):
        (study,) = service.search(within(name, "/studies?includefield=NumberOfStudyRelatedInstances"))
        assert values(study, "00201208") == [number]


def test_partitions_are_listed(service: ServiceClient, names: tuple[str, str]) -> None:
    """The default partition is there from the start; a store makes another, once."""
    before = service.get("/partitions").json()
    assert (before[0]["partitionKey"], before[0]["partitionName"]) == (1, DEFAULT)
    assert before[0].keys() == {"partitionKey", "partitionName", "createdDate"}
    store(service, names[0], Sample())
    store(service, names[0], Sample())
    after = service.get("/partitions").json()
    assert after[:-1] == before
    assert after[-1]["partitionName"] == names[0]
    assert after[-1]["createdDate"] > before[0]["createdDate"]


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


def test_partitions_outlive_a_restart(tmp_path: Path) -> None:
    """Their names, keys and studies are there again."""
    sample = Sample()
    lists = []
    for _ in range(2):
        with opened(tmp_path, partitions=True) as client:
            client.store(sample.content, within("one", "/studies"))
            lists.append(client.get("/partitions").json())
            assert client.get(within("one", sample.path), STORED_INSTANCE).content == sample.content
    assert lists[0] == lists[1]
