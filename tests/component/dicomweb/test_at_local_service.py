"""The client and the local service together: what each step of a study's life gives, and faults on request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import httpx
import PIL.Image
import pytest

from shared.dicomweb import (
    Body,
    DICOMwebClient,
    NotFound,
    ResponseLost,
    StatusError,
    StoreReason,
    StoreStatus,
)
from tests.component.dicomweb.client_under_test import (
    InstanceUIDs,
    SeriesUIDs,
    StudyUIDs,
    client_of,
)
from tests.kit.service import Sample, pixels, running


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service, shared by this module's tests: each uses UIDs of its own."""
    with running(tmp_path_factory.mktemp("dicom")) as url:
        yield url


@pytest.fixture
async def client(root: str) -> AsyncIterator[DICOMwebClient]:
    """A client of it."""
    async with client_of(f"{root}/v2") as client:
        yield client


def study_of(sample: Sample) -> StudyUIDs:
    return {"study_instance_uid": sample.study}


def series_of(sample: Sample) -> SeriesUIDs:
    return {**study_of(sample), "series_instance_uid": sample.series}


def uids_of(sample: Sample) -> InstanceUIDs:
    return {**series_of(sample), "sop_instance_uid": sample.sop}


async def stored(client: DICOMwebClient, *samples: Sample) -> None:
    for sample in samples:
        result = await client.store_instance(Body.from_bytes(sample.content))
        assert result.outcome_of(sample.sop).status is StoreStatus.STORED


def picture() -> Sample:
    """Three frames of two by three pixels."""
    return Sample(elements=pixels(bytes(range(0, 180, 10)), frames=3))


async def test_a_study_comes_back(client: DICOMwebClient) -> None:
    """What is stored comes back byte for byte, as an instance, in its series and in its study, and frame by frame."""
    first = picture()
    second = first.sibling(series=Sample().series)
    await stored(client, first, second)
    async with client.retrieve_instance(**uids_of(first)) as part:
        assert await part.read() == first.content
        assert part.transfer_syntax_uid == first.transfer_syntax
    async with client.retrieve_series(**series_of(second)) as parts:
        assert [await part.read() async for part in parts] == [second.content]
    async with client.retrieve_study(**study_of(first)) as parts:
        assert {await part.read() async for part in parts} == {first.content, second.content}
    async with client.retrieve_frames([3, 1], **uids_of(first)) as parts:
        assert [list(await part.read()) async for part in parts] == [
            [120, 130, 140, 150, 160, 170],
            [0, 10, 20, 30, 40, 50],
        ]


async def test_pictures(client: DICOMwebClient) -> None:
    """An instance and a frame are drawn, as JPEG or PNG, in the size they have."""
    sample = picture()
    await stored(client, sample)
    async with client.retrieve_instance_rendered(**uids_of(sample), quality=100) as part:
        assert PIL.Image.open(BytesIO(await part.read()), formats=["JPEG"]).size == (3, 2)
    async with client.retrieve_frame_rendered(2, **uids_of(sample), media_type="image/png") as part:
        assert PIL.Image.open(BytesIO(await part.read()), formats=["PNG"]).size == (3, 2)
    with pytest.raises(NotFound):
        async with client.retrieve_frame_rendered(4, **uids_of(sample)):
            pass


async def test_metadata_until_they_change(client: DICOMwebClient) -> None:
    """Metadata are sent again only once an instance has come or gone, at each level."""
    sample = Sample()
    await stored(client, sample)
    study = await client.retrieve_study_metadata(**study_of(sample))
    series = await client.retrieve_series_metadata(**series_of(sample))
    instance = await client.retrieve_instance_metadata(**uids_of(sample))
    assert [len(metadata.datasets) for metadata in (study, series, instance)] == [1, 1, 1]
    assert not (await client.retrieve_study_metadata(**study_of(sample), if_none_match=study.etag)).is_modified
    await stored(client, sample.sibling())
    assert len((await client.retrieve_study_metadata(**study_of(sample), if_none_match=study.etag)).datasets) == 2
    assert len((await client.retrieve_series_metadata(**series_of(sample), if_none_match=series.etag)).datasets) == 2
    same = await client.retrieve_instance_metadata(**uids_of(sample), if_none_match=instance.etag)
    assert not same.is_modified


async def test_what_was_deleted(client: DICOMwebClient) -> None:
    """Deletion takes an instance, a series and a study, each for good and each once."""
    samples = [Sample()]
    samples += [samples[0].sibling(), samples[0].sibling(series=Sample().series), Sample()]
    await stored(client, *samples)
    await client.delete_instance(**uids_of(samples[0]))
    with pytest.raises(NotFound):
        await client.delete_instance(**uids_of(samples[0]))
    assert len(await client.search_for_instances(**series_of(samples[1]))) == 1
    await client.delete_series(**series_of(samples[1]))
    assert len(await client.search_for_series(**study_of(samples[2]))) == 1
    await client.delete_study(**study_of(samples[2]))
    assert await client.search_for_series(**study_of(samples[2])) == []
    assert len(await client.search_for_instances(**study_of(samples[3]))) == 1


async def test_replacing(client: DICOMwebClient) -> None:
    """What replaces an instance is all that comes back from then on, and its metadata have changed."""
    sample = Sample()
    await stored(client, sample)
    etag = (await client.retrieve_instance_metadata(**uids_of(sample))).etag
    other = replace(sample, elements={0x00100010: ("PN", b"Other")})
    result = await client.store_instance(Body.from_bytes(other.content), replace=True)
    assert result.outcome_of(sample.sop).status is StoreStatus.STORED
    async with client.retrieve_instance(**uids_of(sample)) as part:
        assert await part.read() == other.content
    assert (await client.retrieve_instance_metadata(**uids_of(sample), if_none_match=etag)).is_modified


async def gone(client: DICOMwebClient, sample: Sample) -> None:
    async with asyncio.timeout(10):
        while await client.search_for_instances(**study_of(sample)):  # noqa: ASYNC110 - the service tells nobody
            await asyncio.sleep(0.01)


async def test_expiry_taken_back(client: DICOMwebClient) -> None:
    """A study whose latest store says nothing of expiry stays, past the end of one that was to go later."""
    stays, goes, soon = Sample(), Sample(), timedelta(milliseconds=200)
    await client.store_instance(Body.from_bytes(stays.content), expire_after=soon)
    await stored(client, last := stays.sibling())
    await client.store_instance(Body.from_bytes(goes.content), expire_after=soon)
    await gone(client, goes)
    assert last.sop in {found.SOPInstanceUID for found in await client.search_for_instances(**study_of(stays))}


async def test_partitions(tmp_path: Path) -> None:
    """Each partition has its own studies, under the same UIDs if need be."""
    sample = Sample()
    other = replace(sample, elements={0x00100010: ("PN", b"Other")})
    with running(tmp_path, partitions=True) as root:
        async with client_of(f"{root}/v2") as client:
            one, two = client.partition("one"), client.partition("two")
            await stored(one, sample)
            await stored(two, other)
            async with one.retrieve_instance(**uids_of(sample)) as part:
                assert await part.read() == sample.content
            await two.delete_study(**study_of(sample))
            assert await two.search_for_studies() == []
            assert len(await one.search_for_studies()) == 1
            assert [partition.name for partition in await client.list_partitions()] == [
                "Microsoft.Default",
                "one",
                "two",
            ]
            changes = [(change.partition_name, change.action) async for change in client.change_feed.iter()]
            assert changes == [("one", "create"), ("two", "create"), ("two", "delete")]
            with pytest.raises(StatusError):
                await client.search_for_studies()


# What the service does wrong, and what comes of it.


async def store(client: DICOMwebClient, sample: Sample) -> object:
    return (await client.store_instance(Body.from_bytes(sample.content))).outcome_of(sample.sop).status


async def search(client: DICOMwebClient, sample: Sample) -> int:
    return len(await client.search_for_instances(**study_of(sample)))


async def metadata(client: DICOMwebClient, sample: Sample) -> object:
    return len((await client.retrieve_study_metadata(**study_of(sample))).datasets)


async def delete(client: DICOMwebClient, sample: Sample) -> None:
    await client.delete_study(**study_of(sample))


async def test_store_after_a_lost_answer(root: str, client: DICOMwebClient) -> None:
    """What was stored although its answer was lost is there already at the second time."""
    sample = Sample()
    async with httpx.AsyncClient(base_url=f"{root}/admin") as admin:
        await admin.post("/faults", json={"fault": "drop_after_commit", "kind": "store"})
        with pytest.raises(ResponseLost):
            await store(client, sample)
    outcome = (await client.store_instance(Body.from_bytes(sample.content))).outcome_of(sample.sop)
    assert (outcome.status, outcome.reason) == (StoreStatus.FAILED, StoreReason.ALREADY_STORED)


async def test_store_after_one_died_midway(root: str, client: DICOMwebClient) -> None:
    """An instance that is stuck in its creation cannot be stored until it was deleted."""
    sample = Sample()
    async with httpx.AsyncClient(base_url=f"{root}/admin") as admin:
        await admin.post("/faults", json={"fault": "stuck_creation", "kind": "store"})
        with pytest.raises(ResponseLost):
            await store(client, sample)
    outcome = (await client.store_instance(Body.from_bytes(sample.content))).outcome_of(sample.sop)
    assert (outcome.status, outcome.reason) == (StoreStatus.FAILED, StoreReason.BEING_STORED)
    assert await search(client, sample) == 0
    await client.delete_instance(**uids_of(sample))
    await stored(client, sample)
