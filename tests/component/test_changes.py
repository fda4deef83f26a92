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


async def store(dicom: DICOMwebClient, *samples: Sample) -> list[str]:
    """Store instances; return their UIDs."""
    for sample in samples:
        await dicom.store_instance(Body.from_bytes(sample.content))
    return [sample.sop for sample in samples]


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


async def test_a_store_and_a_deletion_are_changes(app: httpx.AsyncClient, dicom: DICOMwebClient) -> None:
    """Each has its instance and that instance's state; then there are none, and the token goes on."""
    sample = Sample()
    await store(dicom, sample)
    await dicom.delete_study(study_instance_uid=sample.study)
    answer = await changes(app)
    first, second = answer["changes"]
    assert (second["action"], second["state"]) == ("deleted", "deleted")
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
    assert await store(dicom, Sample()) == sops(await changes(app, since=quiet["next"]))


async def test_pages_have_each_change_once_in_order(app: httpx.AsyncClient, dicom: DICOMwebClient) -> None:
    stored = await store(dicom, *(Sample() for _ in range(5)))
    answer = await changes(app, limit=2)
    found = [sops(answer)]
    while answer["more"]:
        answer = await changes(app, limit=2, since=answer["next"])
        found.append(sops(answer))
    assert found == [stored[:2], stored[2:4], stored[4:]]


async def test_a_change_that_is_committed_late_is_given_once(
    app: httpx.AsyncClient, dicom: DICOMwebClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time lies before that of a change which was given already."""
    early = await store(dicom, Sample())
    answer = await changes(app)
    now = timestamps.now
    late_ticks = int((OVERLAP.total_seconds() - 5) * timestamps.TICKS_PER_SECOND)
    with monkeypatch.context() as clock:
        clock.setattr(timestamps, "now", lambda: now() - late_ticks)
        late = await store(dicom, Sample())
    after = await store(dicom, Sample())
    assert sops(answer) == early
    answer = await changes(app, since=answer["next"])
    assert sops(answer) == late + after
    assert sops(await changes(app, since=answer["next"])) == []


async def test_changes_since_now_and_since_a_time(app: httpx.AsyncClient, dicom: DICOMwebClient) -> None:
    """`now` gives a token only, also for an empty feed; a time may be in any zone."""
    tokens = [
        (await changes(app, **query))["next"] for query in ({}, {"since": "now"}, {"since": "2020-01-01T00:00:00Z"})
    ]
    stored = await store(dicom, Sample(), Sample())
    for token in tokens:
        assert sops(await changes(app, since=token)) == stored
    now = await changes(app, since="now")
    assert (now["changes"], now["more"]) == ([], False)
    stored += await store(dicom, Sample())
    assert sops(await changes(app, since=now["next"])) == stored[2:]
    time = (await changes(app))["changes"][1]["timestamp"]
    elsewhere = datetime.fromisoformat(time).astimezone(datetime.fromisoformat("2026-01-01T00:00:00+05:30").tzinfo)
    for since in (time, elsewhere.isoformat(), time.lower(), elsewhere.isoformat().replace("+", " ")):
        assert sops(await changes(app, since=since)) == stored[1:]


@pytest.mark.parametrize("url", [True], indirect=True)
async def test_changes_of_partitions(
    azurite: str, url: str, app: httpx.AsyncClient, dicom: DICOMwebClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below a partition its own only; above, those of all partitions that the caller may see."""
    one, other = await store(dicom.partition("one"), Sample()), await store(dicom.partition("other"), Sample())
    answer = await changes(app)
    assert [change["partition"] for change in answer["changes"]] == ["one", "other"]
    assert sops(answer) == one + other
    own = await changes(app, "/partitions/other/changes")
    assert sops(own) == other
    assert sops(await changes(app, "/partitions/other/changes", since=own["next"])) == []
    assert sops(await changes(app, "/partitions/nothing-yet/changes")) == []
    settings = {"WEBSITE_AUTH_ENABLED": "true", "CALLER_PARTITIONS": "reader=other"}
    async with lookups_at(url, azurite, monkeypatch, **settings) as limited:
        limited.headers["x-ms-client-principal"] = principal(("oid", "8a7b"), ("roles", "reader"))
        assert sops(await changes(limited)) == sops(await changes(limited, "/partitions/other/changes")) == other
        assert (await limited.get("/partitions/one/changes")).status_code == 403


INVALID = {
    "limit": ("limit=0", "limit=1001", "limit=x", "limit=", "limit=1&limit=2"),
    "since": (
        *("since=", "since=yesterday", "since=2026-01-01T00:00:00", "since=2026-01-01", "since=2026-02-30T00:00:00Z"),
        *("since=0001-01-01T00:00:00%2B14:00", "since=v1.AAAAAAAA", "since=v2.AAAAAAAA", "since=now&since=now"),
    ),
    "query": ("CANARY=1",),
}


async def test_an_invalid_parameter_is_named_without_its_value(app: httpx.AsyncClient) -> None:
    """The function key in the query is the host's."""
    assert (await changes(app, code="a key"))["changes"] == []
    for parameter, queries in INVALID.items():
        for query in queries:
            response = await app.get(f"/changes?{query}")
            problem = response.json()
            told = (response.status_code, problem["code"], problem["parameter"])
            assert told == (400, "invalid-parameter", parameter), query
            assert "CANARY" not in response.text


async def test_the_synthetic_check_is_no_change(app: httpx.AsyncClient, dicom: DICOMwebClient) -> None:
    """Neither its store nor its deletion; and a page that has only these does not say that there is more."""
    await dicom.store_instance(Body.from_bytes(CONTENT))
    real = await store(dicom, Sample())
    await dicom.delete_study(study_instance_uid=STUDY_INSTANCE_UID)
    answer = await changes(app, limit=1)
    assert (sops(answer), answer["more"]) == (real, False)
