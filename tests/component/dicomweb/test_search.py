"""Searching, metadata and deletion over a real socket: each route, each encoding, each page."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import cast
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from shared.dicomweb import DICOMwebClient, InvalidParameter, InvalidResponse, Metadata, NotFound, Query, Request
from shared.dicomweb.transport import AiohttpTransport
from tests.component.dicomweb.client_under_test import (
    INSTANCE,
    JSON,
    SECRET,
    SERIES,
    SERIES_UIDS,
    STUDY,
    STUDY_UIDS,
    UIDS,
    assert_tells_nothing,
    client_of,
)
from tests.kit.scripted_server import Received, Script, answer, serve

Call = Callable[[DICOMwebClient], Awaitable[object]]


def found(*names: str) -> Script:
    items = [{"00100010": {"vr": "PN", "Value": [{"Alphabetic": name}]}} for name in names]
    return answer(200, json.dumps(items, ensure_ascii=False).encode(), JSON)


SEARCHES: dict[str, Call] = {
    "/studies": lambda client: client.search_for_studies(),
    "/series": lambda client: client.search_for_series(),
    "/instances": lambda client: client.search_for_instances(),
    f"/studies/{STUDY}/series": lambda client: client.search_for_series(None, **STUDY_UIDS),
    f"/studies/{STUDY}/instances": lambda client: client.search_for_instances(None, **STUDY_UIDS),
    f"/studies/{STUDY}/series/{SERIES}/instances": lambda client: client.search_for_instances(None, **SERIES_UIDS),
}
METADATA: dict[str, Call] = {
    f"/studies/{STUDY}/metadata": lambda client: client.retrieve_study_metadata(**STUDY_UIDS),
    f"/studies/{STUDY}/series/{SERIES}/metadata": lambda client: client.retrieve_series_metadata(**SERIES_UIDS),
    f"/studies/{STUDY}/series/{SERIES}/instances/{INSTANCE}/metadata": (
        lambda client: client.retrieve_instance_metadata(**UIDS)
    ),
}
DELETIONS: dict[str, Call] = {
    f"/studies/{STUDY}": lambda client: client.delete_study(**STUDY_UIDS),
    f"/studies/{STUDY}/series/{SERIES}": lambda client: client.delete_series(**SERIES_UIDS),
    f"/studies/{STUDY}/series/{SERIES}/instances/{INSTANCE}": lambda client: client.delete_instance(**UIDS),
}


@pytest.mark.parametrize("target", [*SEARCHES, *METADATA])
async def test_routes_of_reading(target: str) -> None:
    """Each search and each metadata retrieval is one GET of its path that asks for DICOM JSON."""
    async with serve(found("Doe^J")) as server, client_of(server.url) as client:
        await (SEARCHES | METADATA)[target](client)
    [request] = server.requests
    assert (request.method, server.targets) == ("GET", [target])
    assert request.headers["accept"] == "application/dicom+json"


@pytest.mark.parametrize("target", DELETIONS)
async def test_routes_of_deletion(target: str) -> None:
    """Each deletion is one DELETE of its path, done with 204."""
    async with serve(answer(204)) as server, client_of(server.url) as client:
        await DELETIONS[target](client)
    assert ([request.method for request in server.requests], server.targets) == (["DELETE"], [target])


@pytest.mark.parametrize(
    ("query", "sent"),
    [
        (Query(), ""),
        (Query({"PatientName": "Müller^J*"}), "PatientName=M%C3%BCller%5EJ%2A"),
        (Query({"PatientID": r"A\B C+D&E=F;G"}), "PatientID=A%5CB%20C%2BD%26E%3DF%3BG"),
        (Query({"00100020": "100%", "StudyDate": "20200101-"}), "00100020=100%25&StudyDate=20200101-"),
        (Query({"PatientName": "山田^太郎"}), "PatientName=%E5%B1%B1%E7%94%B0%5E%E5%A4%AA%E9%83%8E"),
        (Query(includefield=("all",)), "includefield=all"),
        (Query(includefield=("00081030", "StudyTime")), "includefield=00081030&includefield=StudyTime"),
        (Query(fuzzymatching=True, limit=200, offset=400), "fuzzymatching=true&limit=200&offset=400"),
    ],
    ids=["none", "name", "separators", "tag_and_range", "kanji", "all", "fields", "page"],
)
async def test_encoding_on_the_wire(query: Query, sent: str) -> None:
    """A query goes out escaped as stated, and nothing below us escapes it again or takes it back."""
    async with serve(answer(204)) as server, client_of(server.url) as client:
        await client.search_for_studies(query)
    assert server.targets == ["/studies" + (f"?{sent}" if sent else "")]


async def test_results_are_datasets() -> None:
    """A page comes back as pydicom datasets, in the service's order, and no match as an empty page."""
    async with serve(found("Müller^J", "Doe^J"), answer(204)) as server, client_of(server.url) as client:
        page = await client.search_for_studies()
        assert await client.search_for_studies() == []
    assert [str(dataset.PatientName) for dataset in page] == ["Müller^J", "Doe^J"]


async def test_metadata_are_datasets() -> None:
    """Metadata come as datasets, one for each instance."""
    async with serve(found("A", "B"), found("A", "B"), found("A")) as server, client_of(server.url) as client:
        assert names_of(await client.retrieve_study_metadata(**STUDY_UIDS)) == ["A", "B"]
        assert names_of(await client.retrieve_series_metadata(**SERIES_UIDS)) == ["A", "B"]
        assert names_of(await client.retrieve_instance_metadata(**UIDS)) == ["A"]


def names_of(metadata: Metadata) -> list[str]:
    assert metadata.is_modified
    return [str(dataset.PatientName) for dataset in metadata.datasets]


async def test_metadata_that_have_not_changed() -> None:
    """An ETag goes back as it came, quotes or none, and a 304 says that nothing has changed since."""
    first = answer(200, b"[{}]", {**JSON, "ETag": "7-1"})
    async with serve(first, answer(304)) as server, client_of(server.url) as client:
        metadata = await client.retrieve_study_metadata(**STUDY_UIDS)
        assert metadata.etag == "7-1"
        unchanged = await client.retrieve_study_metadata(**STUDY_UIDS, if_none_match=metadata.etag)
    assert unchanged == Metadata([], "7-1", is_modified=False)
    assert [request.headers.get("if-none-match") for request in server.requests] == [None, "7-1"]


@pytest.mark.parametrize("etag", ["1\r\nX-Patient: 1", "\u4e00", "\0"])
async def test_etag_that_cannot_be_sent(etag: str) -> None:
    """What would be no header is refused by us, and nothing is sent."""
    async with serve(answer(304)) as server, client_of(server.url) as client:
        with pytest.raises(InvalidParameter):
            await client.retrieve_study_metadata(**STUDY_UIDS, if_none_match=etag)
    assert server.connections == 0


@pytest.mark.parametrize("names", [(), ("A", "B")])
async def test_metadata_of_one_instance(names: tuple[str, ...]) -> None:
    """An answer that holds none or several datasets is no answer to what one instance holds."""
    async with serve(found(*names)) as server, client_of(server.url) as client:
        with pytest.raises(InvalidResponse):
            await client.retrieve_instance_metadata(**UIDS)


@pytest.mark.parametrize(
    "value",
    [
        {"vr": "DS", "Value": [SECRET]},
        {"vr": "ZZ", "Value": [SECRET]},
        {"vr": "PN", "Value": [SECRET]},
        {"vr": "OB", "InlineBinary": f"{SECRET}!"},
        {"vr": "SQ", "Value": [SECRET]},
        {"Value": [SECRET]},
        [SECRET],
        SECRET,
        None,
    ],
    ids=["number", "vr", "name", "binary", "sequence", "no_vr", "list", "text", "null"],
)
async def test_values_that_pydicom_does_not_take(value: object) -> None:
    """A value of the wrong form gives a dataset or InvalidResponse, and no warning, that quotes nothing."""
    content = json.dumps([{"00100010": value}]).encode()
    async with serve(answer(200, content, JSON)) as server, client_of(server.url) as client:
        try:
            await client.search_for_studies()
        except InvalidResponse as error:
            assert_tells_nothing(error)


def pages(*sizes: int) -> Callable[[Received], Script]:
    """Answer from rows of ten, of which the first `sizes[n]` are studies, and the others are dropped."""
    return page_of(
        [f"{number}-{index}" if index < size else None for number, size in enumerate(sizes) for index in range(10)]
    )


def page_of(rows: Sequence[str | None], most: int = 200) -> Callable[[Received], Script]:
    """Answer from rows by offset and limit, at most so many at a time; rows without a name are dropped."""

    def choose(request: Received) -> Script:
        parameters = parse_qs(urlsplit(request.target).query)
        offset, limit = int(parameters.get("offset", ["0"])[0]), min(most, int(parameters["limit"][0]))
        names = list(filter(None, rows[offset : offset + limit]))
        return found(*names) if names else answer(204)

    return choose


@pytest.mark.parametrize(
    ("sizes", "requests"),
    [((), 1), ((10,), 2), ((10, 10, 4), 4), ((10, 3, 10), 6), ((10, 0, 10), 2)],
    ids=["none", "one", "several", "short_page_inside", "empty_page"],
)
async def test_all_pages(sizes: tuple[int, ...], requests: int) -> None:
    """Pages are asked for until one is empty: a short one is no end, since the service drops what is unfinished."""
    async with serve(pages(*sizes)) as server, client_of(server.url) as client:
        names = [str(study.PatientName) async for study in client.iter_studies(Query({"PatientID": "x"}, limit=10))]
    reached = sizes[: requests - 1]
    assert names == [f"{number}-{index}" for number, size in enumerate(reached) for index in range(size)]
    assert server.targets[:2] == ["/studies?PatientID=x&limit=10", "/studies?PatientID=x&limit=10&offset=10"][:requests]
    assert len(server.requests) == requests


async def test_pages_of_the_other_levels() -> None:
    """Series and instances are paged like studies, below the UIDs given, with the largest page if none is asked."""
    async with serve(found("A"), answer(204), found("B"), answer(204)) as server, client_of(server.url) as client:
        assert len([item async for item in client.iter_series(Query(offset=7), **STUDY_UIDS)]) == 1
        assert len([item async for item in client.iter_instances(None, **SERIES_UIDS)]) == 1
    assert server.targets == [
        f"/studies/{STUDY}/series?limit=200&offset=7",
        f"/studies/{STUDY}/series?limit=200&offset=8",
        f"/studies/{STUDY}/series/{SERIES}/instances?limit=200",
        f"/studies/{STUDY}/series/{SERIES}/instances?limit=200&offset=1",
    ]


async def test_pages_left_early() -> None:
    """Who stops reading pages causes no further request."""
    async with (
        serve(pages(10, 10)) as server,
        client_of(server.url) as client,
        aclosing(client.iter_studies(Query(limit=10))) as studies,
    ):
        await anext(studies)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.search_for_series(study_instance_uid="../1"),
        lambda client: client.search_for_instances(series_instance_uid=SERIES),
        lambda client: client.delete_study(study_instance_uid=""),
        lambda client: client.delete_series(study_instance_uid=STUDY, series_instance_uid=""),
        lambda client: client.retrieve_study_metadata(study_instance_uid="1?x"),
    ],
    ids=["path", "no_study", "empty_study", "empty_series", "query"],
)
async def test_parameters_that_reach_nobody(call: Call) -> None:
    """A UID that is none is refused before a request: an empty one would name everything above it."""
    async with serve(answer(204)) as server, client_of(server.url) as client:
        with pytest.raises(InvalidParameter):
            await call(client)
    assert server.connections == 0


async def test_refusal_gives_its_slot_back() -> None:
    """A refusal whose body nobody reads does not keep its connection from others."""
    one_slot = AiohttpTransport(max_connections=1)
    timeout = httpx.Timeout(10, pool=1)
    async with (
        serve(answer(404, bytes(100_000))) as server,
        client_of(server.url, transport=one_slot, timeout=timeout) as client,
    ):
        for _ in range(3):
            with pytest.raises(NotFound):
                await client.delete_study(**STUDY_UIDS)


@pytest.mark.parametrize(
    ("tag", "vr", "value"),
    [("00080060", "CS", "in lower case"), ("00080020", "DA", "20250230"), ("0020000D", "UI", "1.a")],
)
async def test_values_that_break_their_rules(tag: str, vr: str, value: str) -> None:
    """A stored value that breaks the rules of its VR is returned like any other, without a warning that quotes it."""
    content = json.dumps([{tag: {"vr": vr, "Value": [value]}}]).encode()
    async with serve(answer(200, content, JSON)) as server, client_of(server.url) as client:
        [dataset] = await client.search_for_studies()
    assert dataset[int(tag, 16)].value == value


@pytest.mark.parametrize(
    "request_that_fails",
    [
        Request("search studies", "GET", "/studies", "application/dicom+json", query="PatientName=CANARY\n"),
        Request("search studies", "GET", "/studies", "application/dicom+json", query="CANARY" * 20_000),
        Request(
            "search studies", "GET", "/studies", "application/dicom+json", headers={"If-None-Match": "CANARY\u00fc"}
        ),
    ],
)
async def test_what_cannot_be_sent_is_the_callers_mistake(request_that_fails: Request) -> None:
    """An address or header of a gateway's caller that HTTP cannot carry is refused, and told without its text."""
    async with client_of("http://127.0.0.1:1/v2") as client:
        with pytest.raises(InvalidParameter) as raised:
            async with client.send(request_that_fails):
                pass
    assert_tells_nothing(raised.value)


NOT_NAMED: dict[str, Call] = {
    "delete_study": lambda client: client.delete_study(study_instance_uid=cast(str, None)),
    "delete_series": lambda client: client.delete_series(**STUDY_UIDS, series_instance_uid=cast(str, None)),
    "delete_instance": lambda client: client.delete_instance(**SERIES_UIDS, sop_instance_uid=cast(str, None)),
    "study_metadata": lambda client: client.retrieve_study_metadata(study_instance_uid=cast(str, None)),
    "retrieve_series": lambda client: client.retrieve_series(
        **STUDY_UIDS, series_instance_uid=cast(str, None)
    ).__aenter__(),
    "number": lambda client: client.delete_study(study_instance_uid=cast(str, 5)),
}


@pytest.mark.parametrize("name", NOT_NAMED)
async def test_a_uid_that_is_missing_is_no_level_above(name: str) -> None:
    """A UID of None, that an attribute did not have, is refused: nothing above it is deleted or retrieved instead."""
    async with serve(answer(204)) as server, client_of(server.url) as client:
        with pytest.raises(InvalidParameter):
            await NOT_NAMED[name](client)
    assert server.connections == 0


@pytest.mark.parametrize(
    "url",
    ["", "/v2", "host/v2", "ftp://host/v2", "http://", "http://host:99999/v2", "http://host/v2?x=1", "http://h#f"],
)
def test_base_url_that_is_none(url: str) -> None:
    """A client is not made with an address that no request could go to."""
    with pytest.raises(InvalidParameter):
        DICOMwebClient(url)


async def test_transport_of_ones_own() -> None:
    """A transport whose answers are in memory already will do."""

    def reply(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=b"[{}]", headers=JSON)

    async with client_of("http://service/v2", transport=httpx.MockTransport(reply)) as client:
        assert len(await client.search_for_studies()) == 1


async def test_pages_that_are_capped() -> None:
    """A service that gives less at a time than was asked for, and says so, is read to its end."""
    names = [f"{number:03}" for number in range(25)]

    def page(request: Received) -> Script:
        offset = int(parse_qs(urlsplit(request.target).query).get("offset", ["0"])[0])
        items = [{"00100010": {"vr": "PN", "Value": [{"Alphabetic": name}]}} for name in names[offset : offset + 10]]
        more = (
            {"Warning": '299 host: "There are 5 additional results that can be requested"'}
            if offset + 10 < len(names)
            else {}
        )
        return answer(200, json.dumps(items).encode(), {**JSON, **more}) if items else answer(204)

    async with serve(page) as server, client_of(server.url) as client:
        assert [str(study.PatientName) async for study in client.iter_studies()] == names


async def test_pages_that_are_capped_without_a_word() -> None:
    """A service that gives less at a time than was asked for is read to its end, also if it does not say so."""
    names = [f"{number:03}" for number in range(25)]
    async with serve(page_of(names, 10)) as server, client_of(server.url) as client:
        assert [str(study.PatientName) async for study in client.iter_studies()] == names


@pytest.mark.parametrize("dropped", [1, 5, 9])
async def test_pages_whose_first_results_are_dropped(dropped: int) -> None:
    """A service that drops the newest results gives the others twice; they are yielded once, and none is missed."""
    names = [f"{number:03}" for number in range(25)]
    async with serve(page_of([*[None] * dropped, *names])) as server, client_of(server.url) as client:
        assert [str(study.PatientName) async for study in client.iter_studies(Query(limit=10))] == names


async def test_offset_that_is_ignored() -> None:
    """A service that gives its first page for ever is an error, not an endless search."""
    async with serve(found("A", "B")) as server, client_of(server.url) as client:
        with pytest.raises(InvalidResponse):
            assert [study async for study in client.iter_studies()]
    assert len(server.requests) == 3


async def test_what_a_search_may_have_missed() -> None:
    """A page tells by which filters the service could not look everywhere."""
    page = answer(200, b"[{}]", {**JSON, "erroneous-dicom-attributes": "PatientSex, 00191001"})
    async with serve(page, answer(204)) as server, client_of(server.url) as client:
        assert (await client.search_for_studies()).erroneous_attributes == ("PatientSex", "00191001")
        assert (await client.search_for_studies()).erroneous_attributes == ()


async def test_values_that_their_vr_does_not_allow(caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be a number or a name is kept as text, in a sequence too, and keeps nothing else from being read."""
    bad = {
        "00100020": {"vr": "LO", "Value": ["ID1"]},
        "00200013": {"vr": "IS", "Value": [f"{SECRET}"]},
        "00101030": {"vr": "DS", "Value": ["1,5"]},
        "00080020": {"vr": "DA", "Value": [f"{SECRET}"]},
        "00080016": {"vr": "UI", "Value": None},
        "00209165": {"vr": "AT", "Value": [f"{SECRET}"]},
        "00281201": {"vr": "OW", "InlineBinary": 5},
        "00401101": {"vr": "SQ", "Value": [None, 5]},
        "00404034": {"vr": "SQ", "Value": "x"},
        "00102180": {"Value": "x"},
        "00081140": {"vr": "SQ", "Value": [{"00200013": {"vr": "IS", "Value": ["1.5"]}, "00080060": {"vr": "CS"}}]},
    }
    content = json.dumps([bad, {"00100020": {"vr": "LO", "Value": ["ID2"]}}]).encode()
    async with serve(answer(200, content, JSON)) as server, client_of(server.url) as client:
        first, second = await client.search_for_studies()
    assert (first.PatientID, second.PatientID) == ("ID1", "ID2")
    assert (first.InstanceNumber, first["InstanceNumber"].VR, first.PatientWeight) == (SECRET, "UT", "1,5")
    assert first.ReferencedImageSequence[0].InstanceNumber == "1.5"
    assert SECRET not in caplog.text


async def test_large_answers_let_others_run() -> None:
    """Other coroutines get their turn between the datasets of a large answer."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with serve(found(*map(str, range(200)))) as server, client_of(server.url) as client:
        counting = asyncio.create_task(count())
        await client.search_for_studies()
        counting.cancel()
    assert turns > 200
