"""Extended query tags, operations and partitions, at the local service and at one that misbehaves."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from shared.dicomweb import (
    Body,
    Conflict,
    DICOMwebClient,
    ExtendedQueryTag,
    InvalidParameter,
    InvalidResponse,
    NotFound,
    Query,
    StatusError,
)
from tests.component.dicomweb.client_under_test import SECRET, assert_tells_nothing, client_of
from tests.kit.scripted_server import answer, serve
from tests.kit.service import Sample, running

PLAIN = {"Content-Type": "application/json"}
SEX = ExtendedQueryTag("PatientSex", "Study")
PRIVATE = ExtendedQueryTag("00191001", "Instance", vr="SS", private_creator="ACME 1")
OPERATION = {
    "operationId": "0" * 32,
    "type": "reindex",
    "status": "running",
    "createdTime": "2026-01-01T00:00:00Z",
    "lastUpdatedTime": "2026-01-01T00:00:01Z",
    "percentComplete": 50,
}


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """The address of a service without tags."""
    with running(tmp_path) as root:
        yield f"{root}/v2"


async def test_life_of_a_tag(url: str) -> None:
    """A tag is added, waited for, searched by, listed and given up."""
    sample = Sample(elements={0x00100040: ("CS", b"F")})
    async with client_of(url) as client:
        await client.store_instance(Body.from_bytes(sample.content))
        operation_id = await client.extended_query_tags.add(SEX, PRIVATE)
        operation = await client.operations.wait(operation_id, pause_seconds=0.01)
        assert operation.succeeded
        assert (operation.operation_id, operation.type, operation.percent_complete) == (operation_id, "reindex", 100)
        assert operation.created <= operation.last_updated
        found = await client.search_for_studies(Query({"PatientSex": "F"}))
        assert [study.StudyInstanceUID for study in found] == [sample.study]
        tags = await client.extended_query_tags.list()
        assert [(tag.path, tag.level, tag.vr, tag.private_creator, tag.status, tag.query_status) for tag in tags] == [
            ("00100040", "Study", "CS", None, "ready", "enabled"),
            ("00191001", "Instance", "SS", "ACME 1", "ready", "enabled"),
        ]
        assert await client.extended_query_tags.get("00100040") == tags[0]
        with pytest.raises(Conflict):
            await client.extended_query_tags.add(SEX)
        await client.extended_query_tags.delete("00100040")
        with pytest.raises(StatusError):
            await client.search_for_studies(Query({"PatientSex": "F"}))


async def test_what_is_not_there(url: str) -> None:
    """A tag and an operation that nobody knows are NotFound."""
    async with client_of(url) as client:
        with pytest.raises(NotFound):
            await client.extended_query_tags.get("00100040")
        with pytest.raises(NotFound):
            await client.extended_query_tags.delete("00100040")
        with pytest.raises(NotFound):
            await client.operations.get("0" * 32)


async def test_waiting_for_an_operation() -> None:
    """An operation is looked at until it has ended, badly or well, or the time is over."""
    ended = {**OPERATION, "status": "Failed"}
    running_, failed = (
        answer(status, json.dumps(told).encode(), PLAIN) for status, told in ((202, OPERATION), (200, ended))
    )
    async with serve(running_, running_, failed) as server, client_of(server.url) as client:
        operation = await client.operations.wait("0" * 32, pause_seconds=0.001)
        assert (operation.is_finished, operation.succeeded, operation.status) == (True, False, "failed")
    async with serve(running_) as server, client_of(server.url) as client:
        with pytest.raises(TimeoutError):
            await client.operations.wait("0" * 32, pause_seconds=0.001, timeout_seconds=0.05)


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.operations.get("../studies"),
        lambda client: client.operations.get(""),
        lambda client: client.extended_query_tags.get("../studies"),
        lambda client: client.extended_query_tags.delete(""),
        lambda client: client.extended_query_tags.add(),
        lambda client: client.extended_query_tags.add(ExtendedQueryTag("(0010,0040)", "Study")),
        lambda client: client.operations.get("-" * 36),
    ],
)
async def test_names_that_are_none(call: Callable[[DICOMwebClient], Awaitable[object]]) -> None:
    """What names no tag and no operation is refused by us, and nothing is sent."""
    async with serve(answer(200, b"{}", PLAIN)) as server, client_of(server.url) as client:
        with pytest.raises(InvalidParameter):
            await call(client)
    assert server.connections == 0


@pytest.mark.parametrize(
    "told", [None, [], {}, SECRET, {"id": {}}, [SECRET], [{"path": SECRET}], [{"level": 1}]], ids=str
)
@pytest.mark.parametrize(
    ("call", "status", "is_list"),
    [
        (lambda client: client.operations.get("0" * 32), 200, False),
        (lambda client: client.extended_query_tags.get("PatientSex"), 200, False),
        (lambda client: client.extended_query_tags.add(SEX), 202, False),
        (lambda client: client.extended_query_tags.list(), 200, True),
        (lambda client: client.list_partitions(), 200, True),
    ],
    ids=["operation", "tag", "added_tag", "tags", "partitions"],
)
async def test_answers_that_are_none(
    told: object, call: Callable[[DICOMwebClient], Awaitable[object]], status: int, is_list: bool
) -> None:
    """An answer of another shape is InvalidResponse, and is not quoted; an empty list is a list."""
    async with serve(answer(status, json.dumps(told).encode(), PLAIN)) as server, client_of(server.url) as client:
        if is_list and told == []:
            assert await call(client) == []
            return
        with pytest.raises(InvalidResponse) as raised:
            await call(client)
    assert_tells_nothing(raised.value)


async def test_partition_is_in_the_path() -> None:
    """A client bound to a partition works in it, over the same connections; what spans partitions is outside."""
    async with serve(answer(204)) as server, client_of(server.url) as client:
        bound = client.partition("clinic-1.A_b")
        await bound.search_for_studies()
        await bound.delete_study(study_instance_uid="1.2")
        await bound.change_feed.latest()
        await client.search_for_studies()
    assert server.targets == [
        "/partitions/clinic-1.A_b/studies",
        "/partitions/clinic-1.A_b/studies/1.2",
        "/changefeed/latest?includeMetadata=false",
        "/studies",
    ]
    assert server.connections == 1


@pytest.mark.parametrize("name", ["", "a/b", "a b", "..", "ä", "a" * 65, "a\n"])
async def test_partition_that_is_none(name: str) -> None:
    """What names no partition is refused by us."""
    async with client_of("http://127.0.0.1:1/v2") as client:
        with pytest.raises(InvalidParameter):
            client.partition(name)
