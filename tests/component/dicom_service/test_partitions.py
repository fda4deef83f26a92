"""The local DICOM service keeps partitions apart, where they are on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.dicom_service.state import PartitionsInUse, Service, Switches
from tests.kit.service import (
    STORED_INSTANCE,
    STORED_INSTANCES,
    Sample,
    ServiceClient,
    new_uid,
    opened,
    pixels,
    values,
)

DEFAULT = "Microsoft.Default"
FRAME = "application/octet-stream; transfer-syntax=*"


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


def test_same_uids_in_two_partitions_are_two_instances(service: ServiceClient, names: tuple[str, str]) -> None:
    """Each is retrieved, framed and described by itself, at every level."""
    pairs = list(zip(names, twins(), strict=True))
    for name, sample in pairs:
        store(service, name, sample)
    for (name, sample), patient, frame in zip(pairs, ("ONE", "TWO"), (b"first!", b"second"), strict=True):
        assert service.get(within(name, sample.path), STORED_INSTANCE).content == sample.content
        assert service.get(within(name, f"{sample.path}/frames/1"), FRAME).content == frame
        for path in (sample.path, sample.series_path, sample.study_path):
            assert sample.content in service.get(within(name, path), STORED_INSTANCES).content
            (metadata,) = service.get(within(name, f"{path}/metadata")).json()
            assert values(metadata, "00100020") == [patient]


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


def test_deleting_stays_within_its_partition(service: ServiceClient, names: tuple[str, str]) -> None:
    """A delete leaves the instance of the same UIDs in the other partition as it was."""
    one, two = twins()
    for path in (one.path, one.series_path, one.study_path):
        store(service, names[0], one)
        if path == one.path:
            store(service, names[1], two)
        assert service.delete(within(names[0], path)) == 204
        assert service.delete(within(names[0], path)) == 404
        assert service.get(within(names[0], f"{path}/metadata")).status_code == 404
        assert service.get(within(names[1], two.path), STORED_INSTANCE).content == two.content


def test_duplicates_are_those_of_the_partition(service: ServiceClient, names: tuple[str, str]) -> None:
    """An instance is a duplicate only in the partition that has it."""
    one, two = twins()
    store(service, names[0], one)
    store(service, names[1], two)
    assert service.store(two.content, within(names[0], "/studies")).status_code == 409


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


def test_default_partition(service: ServiceClient) -> None:
    """It is a partition like any other."""
    sample = Sample()
    assert service.get(within(DEFAULT, f"{sample.path}/metadata")).status_code == 404
    store(service, DEFAULT, sample)
    assert service.get(within(DEFAULT, sample.path), STORED_INSTANCE).content == sample.content


@pytest.mark.parametrize("name", ["A.b_c-9", "-", "9" * 64])
def test_good_names(service: ServiceClient, name: str) -> None:
    """Anything else is a name."""
    store(service, name, Sample())


def test_change_feed_spans_all_partitions(tmp_path: Path) -> None:
    """One feed has the changes of all partitions, and the state of each instance in its own."""
    one, two = twins()
    with opened(tmp_path, partitions=True) as client:
        store(client, "one", one)
        store(client, "two", two)
        client.delete(within("one", one.study_path))
        entries = client.get("/changefeed").json()
        assert client.get("/changefeed/latest").json()["partitionName"] == "one"
    found = [(entry["action"], entry["partitionName"], entry["state"]) for entry in entries]
    assert found == [("Create", "one", "Deleted"), ("Create", "two", "Current"), ("Delete", "one", "Deleted")]
    assert values(entries[1]["metadata"], "00100020") == ["TWO"]


def test_partitions_are_off_unless_asked_for(tmp_path: Path) -> None:
    """Without the switch a path with a partition is 400, and so is their list."""
    with opened(tmp_path) as client:
        assert client.get("/partitions").status_code == 400
        assert client.get(within(DEFAULT, "/studies")).status_code == 400
        assert client.store(Sample().content, within("one", "/studies")).status_code == 400
        assert client.search("/studies") == []


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
