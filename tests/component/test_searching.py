"""Searches over a service that follows scripts: the requests it gets, and the answers that the caller gets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from store_on_upload.probing.instance import STUDY_INSTANCE_UID
from tests.kit.lookups import Lookups, Start, same_headers, until
from tests.kit.scripted_server import End, Received, Script, answer, script

Row = dict[str, Any]
Service = Callable[[Received], Script]

JSON = {"Content-Type": "application/dicom+json"}
DICOM_JSON = "application/dicom+json"
NOTHING = answer(204)
STUDY, SERIES = "0020000D", "0020000E"


def uid(value: str) -> Row:
    return {"vr": "UI", "Value": [value]}


def study(number: int, **elements: Sequence[Any]) -> Row:
    return {STUDY: uid(f"1.2.{number}")} | {
        tag.removeprefix("_"): {"vr": "PN" if isinstance(values[0], dict) else "LO", "Value": list(values)}
        for tag, values in elements.items()
    }


STUDIES = [study(n) for n in range(1010)]
CHECK = {STUDY: uid(STUDY_INSTANCE_UID)}  # the instance of the synthetic check


def page_of(received: Received) -> tuple[int, int]:
    """Return the offset and the limit of a search."""
    query = parse_qs(urlsplit(received.target).query)
    return int(query.get("offset", ["0"])[0]), int(query["limit"][0])


def given(rows: Sequence[Row], **headers: str) -> Script:
    return answer(200, json.dumps(rows).encode(), JSON | headers) if rows else NOTHING


def paged(rows: Sequence[Row], received: Received, **headers: str) -> Script:
    """Answer with the page of these rows that is asked for."""
    offset, limit = page_of(received)
    return given(rows[offset : offset + limit], **headers)


def over(rows: Sequence[Row], **headers: str) -> Service:
    return lambda received: paged(rows, received, **headers)


def without(rows: Sequence[Row], incomplete: Iterable[int]) -> Service:
    """Drop studies that are still being stored after the page was cut, as the service does."""
    left_out = set(incomplete)

    def service(received: Received) -> Script:
        offset, limit = page_of(received)
        return given([row for n, row in enumerate(rows[offset : offset + limit], offset) if n not in left_out])

    return service


def failing(at: int, failure: Script) -> Service:
    """Fail for the page at an offset only."""
    return lambda received: failure if page_of(received)[0] == at else paged(STUDIES, received)


def moving(received: Received) -> Script:
    """Five studies are stored in front of the others after the first page."""
    offset, limit = page_of(received)
    start = max(0, offset - 5)
    return given(STUDIES[:400][start : start + limit])


def stingy(received: Received) -> Script:
    """At most 50 results per page; a Warning says that there are more (PS3.18 §8.3.4.4)."""
    offset, limit = page_of(received)
    found = STUDIES[:130][offset : offset + min(limit, 50)]
    more = {"Warning": '299 - "There are 9 additional results"'} if offset + len(found) < 130 else {}
    return given(found, **more)


def of_two_modalities(received: Received) -> Script:
    modality = parse_qs(urlsplit(received.target).query)["ModalitiesInStudy"][0]
    return paged(STUDIES[:250] if modality == "CT" else STUDIES[240:300], received)


def numbers(response: httpx.Response) -> list[int]:
    """Return the numbers of the studies found."""
    assert response.status_code == 200, response.text
    return [int(row[STUDY]["Value"][0].removeprefix("1.2.")) for row in response.json()]


def pages(running: Lookups) -> set[tuple[int, int]]:
    """Return the pages that the service was asked for."""
    asked = [page_of(received) for received in running.service.requests]
    assert len(set(asked)) == len(asked)
    return set(asked)


@pytest.mark.parametrize(
    ("count", "query", "asked", "has_more"),
    [
        (10, "limit=25", {(25, 200), (0, 26)}, False),
        (450, "limit=450", {(450, 1), (450, 200), (0, 200), (200, 200), (400, 50)}, False),
        (451, "limit=450", {(450, 1), (0, 200), (200, 200), (400, 50)}, True),
        (451, "limit=450&offset=1", {(0, 1), (451, 1), (451, 200), (1, 200), (201, 200), (401, 50)}, False),
        (10, "limit=3", {(0, 4)}, True),
        (10, "limit=3&offset=9", {(0, 9), (12, 200), (9, 4)}, False),
        (200, "limit=199", {(0, 200)}, True),
        (200, "limit=200", {(200, 1), (200, 200), (0, 200)}, False),
        (10, "", {(1000, 1), (0, 200), (200, 200)}, False),
        (1, "StudyInstanceUID=1.2.0", {(0, 1)}, False),
        (0, "", {(1000, 1), (0, 200)}, False),
    ],
)
async def test_pages(start: Start, count: int, query: str, asked: set[tuple[int, int]], has_more: bool) -> None:
    """Pages of 200 at most make one answer; the first requests also find out whether there is more."""
    async with start(over(STUDIES[:count])) as running:
        response = await running.http.get(f"/studies?{query}")
        offset, limit = (int(parse_qs(query).get(name, [usual])[0]) for name, usual in (("offset", 0), ("limit", 1000)))
        assert numbers(response) == list(range(count))[offset : offset + limit]
        assert pages(running) == asked
        is_told = "additional results" in response.headers.get("warning", "")
        assert ("next" in response.links, is_told) == (has_more, has_more)
        [line] = await running.ended()
        assert (line["datasets"], line["complete"], "adaptations" in line) == (len(response.json()), True, False)


ALL_A = [study(n, _00100020=["A" if n == 404 else "B"]) for n in range(405)]


@pytest.mark.parametrize(
    ("service", "query", "found", "has_more"),
    [
        pytest.param(without(STUDIES[:430], range(0, 430, 7)), "", [n for n in range(430) if n % 7], False,
                     id="a short page is not the end"),
        pytest.param(without(STUDIES[:60], range(25, 55)), "limit=25", range(25), True,
                     id="incomplete studies behind the page do not hide those that follow"),
        pytest.param(without(STUDIES[:30], range(3, 6)), "limit=25", [0, 1, 2, *range(6, 25)], True,
                     id="an incomplete study makes no room for one behind the page"),
        pytest.param(without(STUDIES[:30], range(3, 6)), "limit=25&offset=25", range(25, 30), False,
                     id="and the next page has that one"),
        pytest.param(without(STUDIES[:700], range(200)), "limit=600", range(200, 600), True,
                     id="a page of incomplete studies only is not the end"),
        pytest.param(moving, "limit=500", range(400), False, id="a study that moves to the next page is given once"),
        pytest.param(stingy, "", range(130), False, id="a service with smaller pages is asked for the rest"),
        pytest.param(of_two_modalities, "ModalitiesInStudy=CT,MR&limit=290", range(290), True,
                     id="the results of a list are merged, each once"),
        pytest.param(of_two_modalities, "ModalitiesInStudy=CT,MR&limit=290&offset=290", range(290, 300), False,
                     id="and the next page goes on behind them"),
        pytest.param(without(ALL_A, range(8)), "PatientID=A*", [404], False,
                     id="the scan limit counts results, not positions"),
        pytest.param(over(ALL_A[5:]), "PatientID=A*", [404], False, id="a scan up to its limit is complete"),
    ],
)  # fmt: skip
async def test_results(start: Start, service: Service, query: str, found: Sequence[int], has_more: bool) -> None:
    async with start(service, WILDCARD_SCAN_LIMIT="400") as running:
        response = await running.http.get(f"/studies?{query}")
        assert numbers(response) == list(found)
        assert ("next" in response.links) == has_more


@pytest.mark.parametrize("at", [0, 7])
async def test_the_synthetic_check_takes_no_room_on_a_page(start: Start, at: int) -> None:
    """A page is as full as without it, and the pages together have each result once."""
    rows: list[Row] = []
    async with start(lambda received: paged(rows, received)) as running:
        for count, limit in ((5, 1), (5, 7), (24, 7), (201, 200), (450, 200), (450, 250)):
            rows[:] = [*STUDIES[:at], CHECK, *STUDIES[at:count]] if count > at else [*STUDIES[:count], CHECK]
            for offset in (0, limit, 2 * limit):
                response = await running.http.get(f"/studies?limit={limit}&offset={offset}")
                assert numbers(response) == list(range(count))[offset : offset + limit]
                assert ("next" in response.links) == (offset + limit < count)
        rows[:] = [*STUDIES[:300], CHECK]
        for limit, offset in ((300, 0), (100, 200), (1000, 0), (1, 300)):
            response = await running.http.get(f"/studies?limit={limit}&offset={offset}")
            assert numbers(response) == list(range(300))[offset : offset + limit]
            assert "next" not in response.links
        rows[:] = [{**row, "00080061": {"vr": "CS", "Value": ["OT"]}} for row in (CHECK, *STUDIES[:12])]
        for limit, offset in ((12, 0), (5, 5), (12, 12)):
            response = await running.http.get(f"/studies?ModalitiesInStudy=O*&limit={limit}&offset={offset}")
            assert numbers(response) == list(range(12))[offset : offset + limit]


@pytest.mark.parametrize("kind", ["series", "instances"])
async def test_the_synthetic_check_is_found_at_no_level(start: Start, kind: str) -> None:
    """Nor below its study, which the service is not even asked for, nor by its UID or a wildcard."""
    async with start(over([{**CHECK, SERIES: uid("1.2.1"), "00080018": uid("1.2.2")}])) as running:
        for query in ("", "?SeriesInstanceUID=1.2.1", "?Modality=O*", "?Modality=OT,CT", "?format=plain"):
            response = await running.http.get(f"/{kind}{query}")
            assert (response.status_code, response.json(), response.links) == (200, [], {}), query
        asked = len(running.service.requests)
        assert (await running.http.get(f"/studies/{STUDY_INSTANCE_UID}/{kind}")).json() == []
        assert len(running.service.requests) == asked


async def test_the_page_is_asked_for_while_the_check_is_looked_for(start: Start) -> None:
    async with start(failing(0, script(End.STALL))) as running:
        searching = asyncio.create_task(running.http.get("/studies?limit=3&offset=9"))
        await until(lambda: {(0, 9), (9, 4)} <= pages(running))
        searching.cancel()
        await asyncio.gather(searching, return_exceptions=True)


async def test_next_links_lead_to_each_result_once(start: Start) -> None:
    """A link is absolute, keeps the query, and holds no key."""
    async with start(over(STUDIES[:23])) as running:
        url, found = "/studies?code=CANARY&PatientName=D%C3%B6e+J&limit=5&OFFSET=0&includefield=StudyTime", []
        for _ in range(5):
            response = await running.http.get(url)
            found += numbers(response)
            url = response.links.get("next", {"url": ""})["url"]
        assert (found, url) == (list(range(23)), "")
        first = urlsplit(
            (await running.http.get("/studies?code=CANARY&PatientName=D%C3%B6e+J&limit=5")).links["next"]["url"]
        )
        assert f"{first.scheme}://{first.netloc}{first.path}" == f"{running.url}/studies"
        assert parse_qs(first.query) == {"PatientName": ["Döe J"], "limit": ["5"], "offset": ["5"]}


async def test_below_a_partition_all_links_stay_there(start: Start) -> None:
    async with start(over(STUDIES[:2])) as running:
        response = await running.http.get("/partitions/site-a/studies?limit=1")
        base = f"{running.url}/partitions/site-a/studies"
        assert response.json()[0]["00081190"]["Value"] == [f"{base}/1.2.0"]
        assert response.links["next"]["url"] == f"{base}?limit=1&offset=1"
        assert all(target.startswith("/partitions/site-a/studies?") for target in running.service.targets)


async def test_the_next_link_of_a_long_list_can_be_followed(start: Start) -> None:
    """It is no longer than the query that it continues, but for the offset."""
    uids = [f"1.2.{number:060}" for number in range(100, 200)]

    def service(received: Received) -> Script:
        return given([{STUDY: uid(parse_qs(urlsplit(received.target).query)["StudyInstanceUID"][0])}])

    async with start(service) as running:
        query = f"StudyInstanceUID={','.join(uids)}&PatientID={'9' * 600}&limit=1"
        link = (await running.http.get(f"/studies?{query}")).links["next"]["url"]
        assert urlsplit(link).query == f"{query}&offset=1"
        assert (await running.http.get(link)).json()[0][STUDY]["Value"] == [uids[1]]


async def test_one_uid_in_two_studies_names_two_series(start: Start) -> None:
    async with start(over([study(n) | {SERIES: uid("1.3")} for n in (1, 2)])) as running:
        for query in ("SeriesInstanceUID=1.3", "SeriesInstanceUID=1.3,1.3.1"):
            links = {row["00081190"]["Value"][0] for row in (await running.http.get(f"/series?{query}")).json()}
            assert links == {f"{running.url}/studies/1.2.{n}/series/1.3" for n in (1, 2)}


@pytest.mark.parametrize(
    "failure", [answer(500), script(End.RESET), answer(200, b"[CANARY", JSON), answer(200, b"[{}]", JSON)]
)
async def test_a_later_page_that_fails_cuts_the_connection(start: Start, failure: Script) -> None:
    """A list that ended there would look complete."""
    async with start(failing(200, failure)) as running:
        with pytest.raises(httpx.RemoteProtocolError):
            await running.http.get("/studies?limit=400")
        [line] = await running.ended()
        assert (line["status"], line["complete"], line["datasets"]) == (200, False, 200)


INVALID = "invalid-service-response"
BAD_UIDS = (None, "CANARY", {"vr": "UI"}, {"vr": "UI", "Value": "CANARY"}, {"Value": [1]})
FAILURES = (
    (answer(404), 502, INVALID),
    (answer(429, headers={"Retry-After": "7"}), 429, "service-throttles"),
    (script(End.RESET), 502, "service-response-lost"),
    (answer(200, b"<html>CANARY</html>", {"Content-Type": "text/html"}), 502, INVALID),
    (answer(200, b'{"CANARY": 1}', JSON), 502, INVALID),
    (answer(200, b'["CANARY"]', JSON), 502, INVALID),
    (answer(200, b'[{"0020000D": {"Value": ["1"]}, "00189004": {"Value": [NaN]}}]', JSON), 502, INVALID),
    (answer(200, b'[{"0020000D": {"Value": ["1"]}, "00189004": {"Value": [1e400]}}]', JSON), 502, INVALID),
    *((given([{STUDY: bad}]), 502, INVALID) for bad in BAD_UIDS),
)


@pytest.mark.parametrize("at", [0, 400])
async def test_a_failure_before_the_first_results_has_a_status(start: Start, at: int) -> None:
    """The first page and the question whether there is more fail alike."""

    def service(received: Received) -> Script:
        return failure if page_of(received)[0] == at else paged(STUDIES, received)

    async with start(service) as running:
        for failure, status, code in FAILURES[: -len(BAD_UIDS) if at else None]:  # noqa: B007  (the service looks at it)
            response = await running.http.get("/studies?limit=400")
            assert (response.status_code, response.json()["code"]) == (status, code)
            assert response.headers.get("retry-after") == ("7" if status == 429 else None)
            assert "CANARY" not in response.text


async def test_odd_values_that_are_stored_are_given(start: Start) -> None:
    """A padded UID is linked without padding, an invalid UID has no link, and a lone surrogate is replaced."""
    odd = [{STUDY: uid(value), "00100020": {"vr": "LO", "Value": ["\ud800"]}} for value in ("1.2 ", "x_")]
    async with start(over(odd)) as running:
        first, second = (await running.http.get("/studies")).json()
        assert first["00081190"] == {"vr": "UR", "Value": [f"{running.url}/studies/1.2"]}
        assert list(first) == sorted(first)
        assert "00081190" not in second
        assert second["00100020"]["Value"] == ["?"]


async def test_head_has_the_headers_of_get_for_fewer_requests(start: Start) -> None:
    async with start(over(STUDIES)) as running:
        asked = await running.http.head("/studies?limit=800")
        assert (asked.content, "next" in asked.links) == (b"", True)
        assert pages(running) <= {(800, 1), (0, 200), (200, 200)}
        assert same_headers(asked, await running.http.get("/studies?limit=800"))


@pytest.mark.parametrize("method", ["HEAD", "GET"])
async def test_the_page_that_is_asked_for_ahead_is_dropped(start: Start, method: str) -> None:
    """A HEAD request does not need it, and a caller that disconnects does not take it."""
    async with start(failing(200, script(End.STALL))) as running:
        async with running.http.stream(method, "/studies?limit=400") as response:
            if method == "GET":
                await anext(response.aiter_raw())
        if method == "GET":
            await until(lambda: any(page_of(one)[0] == 200 for one in running.service.requests))
        await until(lambda: all(one.gone.is_set() for one in running.service.requests if page_of(one)[0] == 200))
        assert (await running.ended())[0]["complete"] is (method == "HEAD")


@pytest.mark.parametrize(("setting", "status", "body"), [("200", 200, b"[]"), ("204", 204, b"")])
async def test_an_empty_result_has_the_status_of_the_setting(
    start: Start, setting: str, status: int, body: bytes
) -> None:
    async with start(over([]), EMPTY_SEARCH_STATUS=setting) as running:
        response = await running.http.get("/studies?PatientID=1")
        assert (response.status_code, response.content) == (status, body)
        assert (await running.ended())[0]["datasets"] == 0


async def test_a_scan_ends_when_the_page_is_full(start: Start) -> None:
    """The next link counts matches."""
    async with start(over([study(n, _00100020=[f"P{n % 10}"]) for n in range(1000)])) as running:
        response = await running.http.get("/studies?PatientID=?3&limit=10&offset=5")
        assert numbers(response) == list(range(53, 153, 10))
        assert "wildcard-by-scan" in (await running.ended())[0]["adaptations"]
        assert len(running.service.requests) <= 5
        assert parse_qs(urlsplit(response.links["next"]["url"]).query)["offset"] == ["15"]
        assert "PatientID has wildcards" in response.headers["warning"]


@pytest.mark.parametrize(
    ("query", "words", "requests"),
    [
        pytest.param("PatientID=A*", ("PatientID", "400 results"), True, id="matches may lie behind the scan limit"),
        pytest.param("ModalitiesInStudy=CT,MR&offset=401", ("offset",), False, id="an offset behind the limit"),
    ],
)
async def test_a_search_that_is_too_broad(start: Start, query: str, words: tuple[str, ...], requests: bool) -> None:
    """The refusal says what to do; a list of some of the matches would look complete."""
    async with start(over(ALL_A), WILDCARD_SCAN_LIMIT="400") as running:
        response = await running.http.get(f"/studies?{query}")
        assert (response.status_code, response.json()["code"]) == (400, "too-broad")
        assert all(word in response.text for word in words)
        assert bool(running.service.requests) == requests
        assert (await running.http.get("/studies?ModalitiesInStudy=CT,MR&offset=400")).status_code == 200


def counting(received: Received) -> Script:
    """Answer as a service that counts nothing; study 1.2.n has n + 1 series of n instances."""
    path = urlsplit(received.target).path.removeprefix("/v2/studies")
    if not path:
        return paged(STUDIES[:3], received)
    number = int(path.split("/")[1].removeprefix("1.2."))
    if path.endswith("/series"):
        modality = {"00080060": {"vr": "CS", "Value": ["CT"]}}
        return paged([{SERIES: uid(f"1.3.{n}"), **(modality if n else {})} for n in range(number + 1)], received)
    return paged([{"00080018": uid(f"1.4.{n}")} for n in range(number * (number + 1))], received)


async def test_requested_counts_that_the_service_leaves_out_are_filled_in(start: Start) -> None:
    fields = "NumberOfStudyRelatedSeries,ModalitiesInStudy,NumberOfStudyRelatedInstances"
    url = "/studies?format=plain&includefield="
    async with start(counting) as running:
        filled = await running.http.get(f"{url}{fields}", headers={"Prefer": "handling=lenient"})
        counts = [[row[field] for field in fields.split(",")] for row in filled.json()]
        assert counts == [[1, [], 0], [2, ["CT"], 2], [3, ["CT"], 6]]
        assert (await running.ended())[0]["adaptations"] == ["filled-in"]
        assert "NumberOfStudyRelatedSeries" in filled.headers["warning"]
        strict = await running.http.get(f"{url}ModalitiesInStudy")
        assert [set(row) for row in strict.json()] == [{"StudyInstanceUID", "RetrieveURL"}] * 3
        refused = await running.http.get(f"{url}NumberOfStudyRelatedSeries")
        assert refused.json()["code"] == "not-adapted"


async def test_counts_that_are_not_requested_cost_no_search(start: Start) -> None:
    async with start(counting) as running:
        response = await running.http.get("/studies")
        assert [set(row) for row in response.json()] == [{STUDY, "00081190"}] * 3
        assert all("/series" not in target for target in running.service.targets)


async def test_instances_of_a_series_are_counted(start: Start) -> None:
    """Also over the whole service, where each series names its study."""
    series = [{STUDY: uid("1.2.2"), SERIES: uid("1.3.0")}]

    def service(received: Received) -> Script:
        is_search = urlsplit(received.target).path.endswith("/series")
        return paged(series, received) if is_search else counting(received)

    async with start(service) as running:
        for where in ("/series", "/studies/1.2.2/series"):
            [row] = (await running.http.get(f"{where}?includefield=NumberOfSeriesRelatedInstances")).json()
            assert row["00201209"] == {"vr": "IS", "Value": [6]}
            assert row["00081190"]["Value"] == [f"{running.url}/studies/1.2.2/series/1.3.0"]


async def test_counts_of_more_than_a_hundred_results_are_left_out(start: Start) -> None:
    async with start(over(STUDIES[:101])) as running:
        response = await running.http.get("/studies?includefield=NumberOfStudyRelatedSeries")
        assert len(response.json()) == 101
        assert (await running.ended())[0]["adaptations"] == ["not-filled-in"]
        assert "NumberOfStudyRelatedSeries is not given" in response.headers["warning"]


ADAPTED = (
    *("PatientID=A*", "PatientName=A*", "PatientID=*", "StudyInstanceUID=1.2,1.3", "limit=1001"),
    *("includefield=CANARY", "includefield=Modality", "includefield=NumberOfStudyRelatedSeries"),
)


@pytest.mark.parametrize(
    ("headers", "is_adapted"),
    [
        ({"Prefer": "handling=strict"}, False),
        ({"Accept": "application/json"}, False),
        ({"Accept": "application/json", "Prefer": "handling=lenient"}, True),
    ],
)
async def test_a_strict_search_is_not_adapted(start: Start, headers: dict[str, str], is_adapted: bool) -> None:
    async with start(over([study(1, _00100020=["A1"], _00100010=[{"Alphabetic": "A"}])])) as running:
        for query in ADAPTED:
            response = await running.http.get(f"/studies?{query}", headers=headers)
            assert response.status_code == (200 if is_adapted else 400), query
            assert "CANARY" not in response.text + response.headers.get("warning", "")
            assert is_adapted or (response.json()["code"] == "not-adapted" and response.json()["detail"])


async def test_a_strict_search_says_that_there_is_more(start: Start) -> None:
    async with start(over(STUDIES)) as running:
        response = await running.http.get("/studies", headers={"Prefer": "handling=strict"})
        assert (len(response.json()), "next" in response.links) == (1000, True)
        assert response.headers["warning"].startswith('299 - "There are additional results')


XML = 'multipart/related; type="application/dicom+xml"'
FORMS: Mapping[str, str | None] = {
    **dict.fromkeys(("", "*/*", "application/*", DICOM_JSON, "application/json, text/plain, */*"), DICOM_JSON),
    f"{XML}, {DICOM_JSON};q=0.1": DICOM_JSON,
    **dict.fromkeys(("application/json", "application/json; charset=utf-8; q=0.5"), "application/json"),
    **dict.fromkeys(("text/html", "application/dicom+xml", "*/*;q=0", "application/dicom", "nonsense", XML), None),
}


async def test_media_types_of_results(start: Start) -> None:
    """DICOM JSON, or plain JSON for a caller that accepts nothing else, or a refusal that names both."""
    async with start(over(STUDIES[:1])) as running:
        for accept, media_type in FORMS.items():
            response = await running.http.get("/studies", headers={"Accept": accept})
            if media_type is None:
                assert (response.status_code, response.json()["code"]) == (406, "not-acceptable")
                assert response.json()["acceptable"] == [DICOM_JSON, "application/json"]
            else:
                assert (response.status_code, response.headers["content-type"]) == (200, media_type)
                assert response.headers["cache-control"] == "private, no-cache"
                assert ("StudyInstanceUID" in response.json()[0]) == (media_type == "application/json")
        plain = await running.http.get("/studies?format=plain", headers={"Accept": DICOM_JSON})
        assert plain.headers["content-type"] == "application/json"


def with_tags(listing: Script) -> Service:
    """Answer with a list of extended query tags, and searches with one study."""
    return lambda received: listing if "/extendedquerytags" in received.target else paged(STUDIES[:1], received)


NAMES_OF_TAGS = ("path", "vr", "level", "status", "queryStatus")
TAGS = [
    ("00080030", "TM", "Study", "Ready", "Enabled"),
    ("00091001", "LO", "Study", "Ready", "Enabled"),
    ("00081010", "SH", "Study", "Adding", "Enabled"),
    ("00081040", "LO", "Study", "Ready", "Disabled"),
    ("00200011", "IS", "Series", "Ready", "Enabled"),
]


async def test_extended_query_tags_are_attributes(start: Start) -> None:
    """If they are ready and enabled, at their level; the service lists them once."""
    listing = json.dumps([dict(zip(NAMES_OF_TAGS, tag, strict=True)) for tag in TAGS]).encode()
    async with start(with_tags(answer(200, listing, {"Content-Type": "application/json"}))) as running:
        expected: dict[str, object] = {
            **dict.fromkeys(("PatientID=1", "StudyTime=10-", "00091001=x"), 200),
            "StationName=x": "StationName",
            "00081040=x": "InstitutionalDepartmentName",
            "SeriesNumber=1": "SeriesNumber",
            "00091002=1": "parameter 1",
            "StudyTime=x": "StudyTime",
        }
        for query, outcome in expected.items():
            response = await running.http.get(f"/studies?{query}")
            got = response.json()["parameter"] if response.status_code == 400 else response.status_code
            assert got == outcome, query
        assert sum("/extendedquerytags" in target for target in running.service.targets) == 1


async def test_a_service_that_lists_no_tags_decides_by_itself(start: Start) -> None:
    async with start(with_tags(answer(404))) as running:
        assert (await running.http.get("/studies?PatientSex=F")).status_code == 200
        assert any("PatientSex=F" in target for target in running.service.targets)


async def test_the_caller_learns_which_filters_may_have_missed_a_result(start: Start) -> None:
    async with start(over(STUDIES[:2], **{"erroneous-dicom-attributes": "PatientID, AccessionNumber"})) as running:
        for query in ("PatientID=1", "PatientID=1&AccessionNumber=?*"):
            response = await running.http.get(f"/studies?{query}")
            assert response.headers["erroneous-dicom-attributes"] == "PatientID,AccessionNumber"
