"""Data partitions: separate spaces of studies within one service."""

from __future__ import annotations

import pytest

from tests.contract.differences import contains, equal, expect
from tests.contract.feed import Feed
from tests.contract.service import Service
from tests.contract.sources import AZURE_PARTITIONS, OPEN_SOURCE
from tests.contract.target import OTHER_PARTITION, PARTITION
from tests.kit.dicomweb_messages import STORED_INSTANCE, items, values
from tests.kit.files import Sample, new_uid

pytestmark = pytest.mark.source(AZURE_PARTITIONS)


@pytest.fixture(scope="module")
def stored(partitioned: Service) -> Sample:
    """An instance that is in the first partition, not in the second."""
    sample = Sample()
    partitioned.stored(sample)
    return sample


@pytest.fixture
def other(partitioned: Service) -> Service:
    """A client of the second partition, which exists."""
    client = partitioned.in_partition(OTHER_PARTITION)
    client.stored(Sample())
    return client


@pytest.mark.needs("partitions")
def test_names(partitioned: Service, stored: Sample, other: Service) -> None:
    """A partition is made by the first store to it, and listed from then on."""
    found = expect(partitioned.get(f"{partitioned.version_url}/partitions"), 200).json()
    names = [value for partition in found for key, value in partition.items() if key.lower() == "partitionname"]
    contains("partitions", names, PARTITION, OTHER_PARTITION)


@pytest.mark.needs("partitions")
def test_urls_name_the_partition(partitioned: Service) -> None:
    """The RetrieveURL of a stored instance names its partition."""
    sample = Sample()
    (item,) = items(expect(partitioned.store(sample), 200), "00081199")
    equal("RetrieveURL", values(item, "00081190"), [f"{partitioned.url}{sample.path}"])
    expect(partitioned.get(values(item, "00081190")[0], STORED_INSTANCE), 200)


@pytest.mark.needs("partitions")
def test_retrieval_is_apart(partitioned: Service, stored: Sample, other: Service) -> None:
    """What is in one partition is not found in another: 404, and 204 for searches."""
    expect(partitioned.get(stored.path, STORED_INSTANCE), 200)
    expect(other.get(stored.path, STORED_INSTANCE), 404)
    expect(other.get(f"{stored.path}/metadata"), 404)
    expect(other.get(f"{stored.path}/rendered", "image/jpeg"), 404)
    expect(other.get(f"/studies?StudyInstanceUID={stored.study}"), 204)
    equal("studies", len(partitioned.search(f"/studies?StudyInstanceUID={stored.study}")), 1)


@pytest.mark.needs("partitions")
def test_the_same_uids_twice(partitioned: Service, other: Service) -> None:
    """An instance may be in two partitions at once; deleting one leaves the other."""
    sample = Sample()
    partitioned.stored(sample)
    expect(other.delete(sample.path), 404)
    other.stored(sample)
    expect(other.delete(sample.study_path), 204)
    expect(partitioned.get(sample.path, STORED_INSTANCE), 200)


@pytest.mark.needs("partitions")
def test_change_feed(partitioned: Service, other: Service) -> None:
    """The change feed spans all partitions, and each entry names its own."""
    feed, sample = Feed(partitioned), Sample()
    partitioned.stored(sample)
    other.stored(sample)
    equal("partitions", [entry["partitionname"] for entry in feed.entries(sample)], [PARTITION, OTHER_PARTITION])


@pytest.mark.needs("partitions")
@pytest.mark.source(OPEN_SOURCE)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/studies"),
        ("GET", "/instances"),
        ("POST", "/studies"),
        ("POST", "/studies/1.2"),
        ("GET", "/studies/1.2/series/1.3/metadata"),
        ("GET", "/studies/1.2/series/1.3/instances/1.4"),
        ("DELETE", "/studies/1.2/series/1.3"),
    ],
)
def test_a_partition_is_needed(partitioned: Service, method: str, path: str) -> None:
    """Where partitions are on, a path without one is 400."""
    expect(partitioned.in_partition(None).send(method, path), 400)


@pytest.mark.needs("partitions")
@pytest.mark.source(OPEN_SOURCE)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/studies"),
        ("GET", "/studies/1.2"),
        ("GET", "/studies/1.2/metadata"),
        ("GET", "/studies/1.2/series/1.3/instances/1.4/frames/1"),
        ("DELETE", "/studies/1.2"),
    ],
)
def test_unknown_partition(partitioned: Service, method: str, path: str) -> None:
    """A partition that nothing was stored to is 400; asking for it does not make it."""
    nowhere = partitioned.in_partition(f"never-made-{new_uid()[-12:]}")
    expect(nowhere.send(method, path, "*/*"), 400)
    expect(nowhere.send(method, path, "*/*"), 400)


@pytest.mark.needs("partitions")
@pytest.mark.parametrize("name", ["a" * 65, "a%20b", "a,b", "%C3%A9", "a:b", "a%0A"])
def test_bad_names(partitioned: Service, name: str) -> None:
    """A name of anything but letters, digits, `_`, `.` and `-`, or of more than 64 characters, is 400."""
    expect(partitioned.in_partition(name).store(Sample()), 400)
    expect(partitioned.in_partition(name).get("/studies"), 400)


@pytest.mark.needs("no-partitions")
@pytest.mark.source(OPEN_SOURCE)
def test_no_partitions(service: Service) -> None:
    """Where partitions are off, a path with one is 400."""
    within = service.in_partition(PARTITION)
    expect(within.get("/studies?limit=1"), 400)
    expect(within.store(Sample()), 400)
