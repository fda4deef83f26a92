"""The client and the local service together: what each step of a study's life gives, and faults on request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import httpx
import pytest

from shared.dicomweb import (
    Body,
    DICOMwebClient,
    ResponseLost,
    StoreReason,
    StoreStatus,
)
from tests.component.dicomweb.client_under_test import (
    InstanceUIDs,
    SeriesUIDs,
    StudyUIDs,
    client_of,
)
from tests.kit.service import Sample, running


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


# What the service does wrong, and what comes of it.


async def store(client: DICOMwebClient, sample: Sample) -> object:
    return (await client.store_instance(Body.from_bytes(sample.content))).outcome_of(sample.sop).status


async def search(client: DICOMwebClient, sample: Sample) -> int:
    return len(await client.search_for_instances(**study_of(sample)))


async def metadata(client: DICOMwebClient, sample: Sample) -> object:
    return len((await client.retrieve_study_metadata(**study_of(sample))).datasets)


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
