"""What is new and gone, as callers are told, from a real change feed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.dicom_service.change_feed import timestamps
from query_api.changes.reading import OVERLAP
from shared.dicomweb import Body, DICOMwebClient
from store_on_upload.probing.instance import CONTENT, STUDY_INSTANCE_UID
from tests.kit.lookups import lookups_at
from tests.kit.principals import principal
from tests.kit.service import Sample, running


@pytest.fixture
def url(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a service with a feed of the test's own, with partitions where the test says so."""
    with running(tmp_path, partitions=getattr(request, "param", False)) as root:
        yield f"{root}/v2"


@pytest.fixture
async def app(azurite: str, url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    async with lookups_at(url, azurite, monkeypatch) as http:
        yield http


@pytest.fixture
async def dicom(url: str) -> AsyncIterator[DICOMwebClient]:
    async with DICOMwebClient(url) as client:
        yield client


async def store(dicom: DICOMwebClient, *samples: Sample) -> None:
    for sample in samples:
        await dicom.store_instance(Body.from_bytes(sample.content))


async def changes(app: httpx.AsyncClient, path: str = "/changes", **query: Any) -> dict[str, Any]:
    """Return an answer."""
    response = await app.get(path, params=query)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    answer: dict[str, Any] = response.json()
    assert list(answer) == ["changes", "next", "more"]
    return answer


def sops(answer: dict[str, Any]) -> list[str]:
    return [change["sop_instance_uid"] for change in answer["changes"]]


async def test_what_was_stored_and_deleted(app: httpx.AsyncClient, dicom: DICOMwebClient) -> None:
    """Each change with what it was about, and what has become of it; then nothing, and the token goes on."""
    sample = Sample()
    await store(dicom, sample)
    await dicom.delete_study(study_instance_uid=sample.study)
    answer = await changes(app)
    assert [(change["action"], change["state"]) for change in answer["changes"]] == [
        ("created", "deleted"),
        ("deleted", "deleted"),
    ]
    first = answer["changes"][0]
    assert datetime.fromisoformat(first.pop("timestamp")).tzinfo is not None
    assert isinstance(first.pop("sequence"), int)
    assert first == {
        "action": "created",
        "state": "deleted",
        "partition": "Microsoft.Default",
        "study_instance_uid": sample.study,
        "series_instance_uid": sample.series,
        "sop_instance_uid": sample.sop,
    }
    quiet = await changes(app, since=answer["next"])
    assert (quiet["changes"], quiet["more"]) == ([], False)
    await store(dicom, again := Sample())
    assert sops(await changes(app, since=quiet["next"])) == [again.sop]


async def test_page_by_page(app: httpx.AsyncClient, dicom: DICOMwebClient) -> None:
    """Until there are no more, each once, in the feed's order."""
    samples = [Sample() for _ in range(5)]
    await store(dicom, *samples)
    answer = await changes(app, limit=2)
    told = [sops(answer)]
    while answer["more"]:
        answer = await changes(app, limit=2, since=answer["next"])
        told.append(sops(answer))
    assert told == [[samples[0].sop, samples[1].sop], [samples[2].sop, samples[3].sop], [samples[4].sop]]


async def test_what_is_committed_late_is_told_once(
    app: httpx.AsyncClient, dicom: DICOMwebClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change whose time lies before that of others which were told already."""
    await store(dicom, early := Sample())
    answer = await changes(app)
    now = timestamps.now
    late_ticks = int((OVERLAP.total_seconds() - 5) * timestamps.TICKS_PER_SECOND)
    with monkeypatch.context() as clock:
        clock.setattr(timestamps, "now", lambda: now() - late_ticks)
        await store(dicom, late := Sample())
    await store(dicom, after := Sample())
    assert sops(answer) == [early.sop]
    answer = await changes(app, since=answer["next"])
    assert sops(answer) == [late.sop, after.sop]
    assert sops(await changes(app, since=answer["next"])) == []


async def test_from_now_and_from_a_time_on(app: httpx.AsyncClient, dicom: DICOMwebClient) -> None:
    """`now` gives a token only; a time, in any zone, all from then on."""
    await store(dicom, Sample(), second := Sample())
    now = await changes(app, since="now")
    assert (now["changes"], now["more"]) == ([], False)
    await store(dicom, third := Sample())
    assert sops(await changes(app, since=now["next"])) == [third.sop]
    time = (await changes(app))["changes"][1]["timestamp"]
    elsewhere = datetime.fromisoformat(time).astimezone(datetime.fromisoformat("2026-01-01T00:00:00+05:30").tzinfo)
    for since in (time, elsewhere.isoformat(), time.lower(), elsewhere.isoformat().replace("+", " ")):
        assert sops(await changes(app, since=since)) == [second.sop, third.sop]


async def test_before_anything_was_stored(app: httpx.AsyncClient, dicom: DICOMwebClient) -> None:
    """An empty feed has a beginning all the same."""
    tokens = [
        (await changes(app, **query))["next"] for query in ({}, {"since": "now"}, {"since": "2020-01-01T00:00:00Z"})
    ]
    await store(dicom, sample := Sample())
    for token in tokens:
        assert sops(await changes(app, since=token)) == [sample.sop]


@pytest.mark.parametrize("url", [True], indirect=True)
async def test_changes_of_a_partition(app: httpx.AsyncClient, dicom: DICOMwebClient) -> None:
    """Below a partition its own alone; above them those of all, with their partitions' names."""
    one, other = Sample(), Sample()
    await store(dicom.partition("one"), one)
    await store(dicom.partition("other"), other)
    answer = await changes(app)
    assert [change["partition"] for change in answer["changes"]] == ["one", "other"]
    assert sops(answer) == [one.sop, other.sop]
    own = await changes(app, "/partitions/other/changes")
    assert sops(own) == [other.sop]
    assert sops(await changes(app, "/partitions/other/changes", since=own["next"])) == []
    assert sops(await changes(app, "/partitions/nothing-yet/changes")) == []


@pytest.mark.parametrize("url", [True], indirect=True)
async def test_a_caller_is_told_of_its_partitions_alone(
    azurite: str, url: str, dicom: DICOMwebClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of no other, neither above partitions nor below one."""
    for name, sample in (("one", Sample()), ("other", other := Sample())):
        await store(dicom.partition(name), sample)
    settings = {"WEBSITE_AUTH_ENABLED": "true", "CALLER_PARTITIONS": "reader=other"}
    async with lookups_at(url, azurite, monkeypatch, **settings) as app:
        app.headers["x-ms-client-principal"] = principal(("oid", "8a7b"), ("roles", "reader"))
        assert sops(await changes(app)) == [other.sop]
        assert sops(await changes(app, "/partitions/other/changes")) == [other.sop]
        assert (await app.get("/partitions/one/changes")).status_code == 403


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("limit=", "limit"),
        ("limit=1&limit=2", "limit"),
        ("since=", "since"),
        ("since=yesterday", "since"),
        ("since=2026-01-01T00:00:00", "since"),
        ("since=2026-01-01", "since"),
        ("since=2026-02-30T00:00:00Z", "since"),
        ("since=0001-01-01T00:00:00%2B14:00", "since"),
        ("since=v1.AAAAAAAA", "since"),
        ("since=v2.AAAAAAAA", "since"),
        ("since=now&since=now", "since"),
        ("CANARY=1", "query"),
    ],
)
async def test_what_is_not_allowed_is_told(app: httpx.AsyncClient, query: str, parameter: str) -> None:
    """Which parameter, and what is; never the value. Nothing is asked of the service."""
    response = await app.get(f"/changes?{query}")
    problem = response.json()
    assert (response.status_code, problem["code"], problem["parameter"]) == (400, "invalid-parameter", parameter)
    assert "CANARY" not in response.text


async def test_the_hosts_parameter_is_not_ours(app: httpx.AsyncClient) -> None:
    """The function key may come in the query."""
    assert (await changes(app, code="a key"))["changes"] == []


async def test_the_probe_is_not_told_of(app: httpx.AsyncClient, dicom: DICOMwebClient) -> None:
    """Neither that it was stored nor that it has gone, and it is no reason to ask for more."""
    real = Sample()
    await dicom.store_instance(Body.from_bytes(CONTENT))
    await store(dicom, real)
    await dicom.delete_study(study_instance_uid=STUDY_INSTANCE_UID)
    answer = await changes(app, limit=1)
    assert (sops(answer), answer["more"]) == ([real.sop], False)
