"""Searches over a service that gives pages as it is told: what is asked of it, and what becomes of its answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Container, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from store_on_upload.probing.instance import STUDY_INSTANCE_UID
from tests.kit.lookups import Lookups, Start, until
from tests.kit.scripted_server import End, Received, Script, answer, script

Row = dict[str, Any]

JSON = {"Content-Type": "application/dicom+json"}
NOTHING = answer(204)
STUDY, SERIES = "0020000D", "0020000E"


def study(number: int, **elements: Sequence[Any]) -> Row:
    return {STUDY: {"vr": "UI", "Value": [f"1.2.{number}"]}} | {
        tag.removeprefix("_"): {"vr": "PN" if isinstance(values[0], dict) else "LO", "Value": list(values)}
        for tag, values in elements.items()
    }


STUDIES = [study(n) for n in range(1010)]


def page_of(received: Received) -> tuple[int, int]:
    """Return the offset and the limit of a search."""
    query = parse_qs(urlsplit(received.target).query)
    return int(query.get("offset", ["0"])[0]), int(query["limit"][0])


def paged(rows: Sequence[Row], received: Received, **headers: str) -> Script:
    """Answer with the page of these rows that is asked for."""
    offset, limit = page_of(received)
    found = rows[offset : offset + limit]
    return answer(200, json.dumps(found).encode(), JSON | headers) if found else NOTHING


def over(rows: Sequence[Row], **headers: str) -> Callable[[Received], Script]:
    return lambda received: paged(rows, received, **headers)


def numbers(response: httpx.Response) -> list[int]:
    """Return the numbers of the studies found."""
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
        (10, "limit=10", {(10, 200), (0, 11)}, False),
        (200, "limit=199", {(0, 200)}, True),
        (200, "limit=200", {(200, 1), (200, 200), (0, 200)}, False),
        (10, "", {(1000, 1), (0, 200), (200, 200)}, False),
        (1, "StudyInstanceUID=1.2.0", {(0, 1)}, False),
        (0, "", {(1000, 1), (0, 200)}, False),
    ],
)
async def test_pages(start: Start, count: int, query: str, asked: set[tuple[int, int]], has_more: bool) -> None:
    """Pages of 200 at most make one answer; whether there is more is asked with the first of them, or beside it."""
    async with start(over(STUDIES[:count])) as running:
        response = await running.http.get(f"/studies?{query}")
        offset, limit = (
            int(parse_qs(query).get(name, [default])[0]) for name, default in (("offset", 0), ("limit", 1000))
        )
        assert numbers(response) == list(range(count))[offset : offset + limit]
        assert pages(running) == asked
        assert ("link" in response.headers, "additional results" in response.headers.get("warning", "")) == (
            has_more,
        ) * 2
        [line] = await running.ended()
        assert (line["datasets"], line["complete"]) == (len(response.json()), True)
        assert "adaptations" not in line


PROBE = {STUDY: {"vr": "UI", "Value": [STUDY_INSTANCE_UID]}}


@pytest.mark.parametrize("count", [5, 24, 201, 450])
@pytest.mark.parametrize("limit", [1, 7, 200, 250])
@pytest.mark.parametrize("at", [0, 7])
async def test_the_probe_takes_no_place(start: Start, at: int, limit: int, count: int) -> None:
    """Wherever it stands, a page is as full as it would be without it, and the pages together have each result once."""
    found = STUDIES[:count]
    async with start(over([*found[:at], PROBE, *found[at:]])) as running:
        for offset in (0, limit, 2 * limit):
            response = await running.http.get(f"/studies?limit={limit}&offset={offset}")
            assert numbers(response) == list(range(count))[offset : offset + limit]
            assert ("next" in response.links) == (offset + limit < count)


async def test_where_the_probe_stands_is_asked_meanwhile(start: Start) -> None:
    """Nobody's page waits for that answer to be asked for."""
    stalled = script(End.STALL)
    async with start(lambda received: stalled if page_of(received)[0] == 0 else paged(STUDIES, received)) as running:
        searching = asyncio.create_task(running.http.get("/studies?limit=3&offset=9"))
        await until(lambda: {(0, 9), (9, 4)} <= pages(running))
        searching.cancel()
        await asyncio.gather(searching, return_exceptions=True)


async def test_the_probe_behind_the_last_result_is_no_more(start: Start) -> None:
    """Neither behind a page, nor alone in what is left."""
    async with start(over([*STUDIES[:300], PROBE])) as running:
        for limit, offset in ((300, 0), (100, 200), (1000, 0), (1, 300), (300, 300)):
            response = await running.http.get(f"/studies?limit={limit}&offset={offset}")
            assert numbers(response) == list(range(300))[offset : offset + limit]
            assert "next" not in response.links


@pytest.mark.parametrize("kind", ["series", "instances"])
async def test_the_probe_is_found_at_no_level(start: Start, kind: str) -> None:
    """Nor below its study, which the service is not even asked for, nor by its UID or a wildcard."""
    series, sop = {"vr": "UI", "Value": ["1.2.1"]}, {"vr": "UI", "Value": ["1.2.2"]}
    async with start(over([{**PROBE, "0020000E": series, "00080018": sop}])) as running:
        for query in ("", "?SeriesInstanceUID=1.2.1", "?Modality=O*", "?Modality=OT,CT", "?format=plain"):
            response = await running.http.get(f"/{kind}{query}")
            assert (response.status_code, response.json()) == (200, []), query
            assert "next" not in response.links
        asked = len(running.service.requests)
        assert (await running.http.get(f"/studies/{STUDY_INSTANCE_UID}/{kind}")).json() == []
        assert len(running.service.requests) == asked


async def test_what_is_looked_through_is_counted_without_the_probe(start: Start) -> None:
    """Patterns and lists gather as many results as they would without it."""
    rows = [{**row, "00080061": {"vr": "CS", "Value": ["OT"]}} for row in (PROBE, *STUDIES[:12])]
    async with start(over(rows), WILDCARD_SCAN_LIMIT="12") as running:
        for limit, offset in ((12, 0), (5, 0), (5, 5), (12, 12)):
            response = await running.http.get(f"/studies?ModalitiesInStudy=O*&limit={limit}&offset={offset}")
            assert numbers(response) == list(range(12))[offset : offset + limit]


async def test_the_next_link_goes_on_until_each_was_given_once(start: Start) -> None:
    """It is absolute, keeps what was asked for, and holds no key."""
    async with start(over(STUDIES[:23])) as running:
        url, found = "/studies?code=CANARY&PatientName=D%C3%B6e+J&limit=5&OFFSET=0&includefield=StudyTime", []
        for _ in range(5):
            response = await running.http.get(url)
            found += numbers(response)
            url = response.links.get("next", {"url": ""})["url"]
        assert found == list(range(23))
        assert url == ""
        first = urlsplit(
            (await running.http.get("/studies?code=CANARY&PatientName=D%C3%B6e+J&limit=5")).links["next"]["url"]
        )
        assert first.scheme
        assert f"{first.scheme}://{first.netloc}{first.path}" == f"{running.url}/studies"
        assert parse_qs(first.query) == {"PatientName": ["Döe J"], "limit": ["5"], "offset": ["5"]}


async def test_below_a_partition_all_links_stay_there(start: Start) -> None:
    """Those of the results and the next one."""
    async with start(over(STUDIES[:2])) as running:
        response = await running.http.get("/partitions/site-a/studies?limit=1")
        base = f"{running.url}/partitions/site-a/studies"
        assert response.json()[0]["00081190"]["Value"] == [f"{base}/1.2.0"]
        assert response.links["next"]["url"] == f"{base}?limit=1&offset=1"
        assert all(target.startswith("/partitions/site-a/studies?") for target in running.service.targets)


def without(rows: Sequence[Row], unfinished: Container[int]) -> Callable[[Received], Script]:
    """Answer without unfinished studies, which the service drops after it has cut the page."""

    def service(received: Received) -> Script:
        offset, limit = page_of(received)
        positions = range(offset, min(offset + limit, len(rows)))
        found = [rows[position] for position in positions if position not in unfinished]
        return answer(200, json.dumps(found).encode(), JSON) if found else NOTHING

    return service


async def test_the_next_link_of_a_long_list_can_be_followed(start: Start) -> None:
    """It is no longer than what was asked, but for the offset."""
    uids = [f"1.2.{number:060}" for number in range(100, 200)]

    def service(received: Received) -> Script:
        [uid] = parse_qs(urlsplit(received.target).query)["StudyInstanceUID"]
        return answer(200, json.dumps([{STUDY: {"vr": "UI", "Value": [uid]}}]).encode(), JSON)

    async with start(service) as running:
        query = f"StudyInstanceUID={','.join(uids)}&PatientID={'9' * 600}&limit=1"
        link = (await running.http.get(f"/studies?{query}")).links["next"]["url"]
        assert urlsplit(link).query == f"{query}&offset=1"
        assert (await running.http.get(link)).json()[0][STUDY]["Value"] == [uids[1]]


async def test_a_short_page_is_not_the_end(start: Start) -> None:
    """What is dropped of it says nothing of the next one."""
    async with start(without(STUDIES[:430], range(0, 430, 7))) as running:
        response = await running.http.get("/studies")
        assert numbers(response) == [number for number in range(430) if number % 7]


async def test_what_is_unfinished_behind_the_page_does_not_hide_what_follows(start: Start) -> None:
    """As while many files come in: there is more all the same."""
    async with start(without(STUDIES[:60], range(25, 55))) as running:
        response = await running.http.get("/studies?limit=25")
        assert numbers(response) == list(range(25))
        assert response.links["next"]
        assert "additional results" in response.headers["warning"]


async def test_what_is_seen_behind_the_page_is_left_to_the_next(start: Start) -> None:
    """It was asked for only to know whether it is there; what is unfinished before it makes no room for it."""
    async with start(without(STUDIES[:30], range(3, 6))) as running:
        response = await running.http.get("/studies?limit=25")
        assert numbers(response) == [0, 1, 2, *range(6, 25)]
        assert numbers(await running.http.get(response.links["next"]["url"])) == list(range(25, 30))


async def test_a_page_of_nothing_but_unfinished_studies_is_not_the_end(start: Start) -> None:
    """What follows is given, where more of it is wanted than there is room for."""
    async with start(without(STUDIES[:700], range(200))) as running:
        response = await running.http.get("/studies?limit=600")
        assert numbers(response) == list(range(200, 600))
        assert response.links["next"]


async def test_patterns_are_looked_for_behind_what_is_unfinished(start: Start) -> None:
    """The limit is one of results, not of their positions: a list that ends at it would be one of some."""
    rows = [study(n, _00100020=["B"]) for n in range(404)] + [study(404, _00100020=["A"])]
    async with start(without(rows, range(8)), WILDCARD_SCAN_LIMIT="400") as running:
        assert numbers(await running.http.get("/studies?PatientID=A*")) == [404]


async def test_a_study_that_moves_on_to_the_next_page_is_given_once(start: Start) -> None:
    """While a search runs, studies are stored before those that it has seen."""

    def service(received: Received) -> Script:
        offset, limit = page_of(received)
        found = STUDIES[:400][max(0, offset - 5) : max(0, offset - 5) + limit] if offset else STUDIES[:limit]
        return answer(200, json.dumps(found).encode(), JSON) if found else NOTHING

    async with start(service) as running:
        assert numbers(await running.http.get("/studies?limit=500")) == list(range(400))


async def test_a_uid_in_two_studies_names_two_series(start: Start) -> None:
    """As copies have it; each is given, with its own link."""
    series = [study(n) | {SERIES: {"vr": "UI", "Value": ["1.3"]}} for n in (1, 2)]
    async with start(over(series)) as running:
        for query in ("SeriesInstanceUID=1.3", "SeriesInstanceUID=1.3,1.3.1"):
            links = {row["00081190"]["Value"][0] for row in (await running.http.get(f"/series?{query}")).json()}
            assert links == {f"{running.url}/studies/1.2.{n}/series/1.3" for n in (1, 2)}


async def test_a_service_that_gives_less_at_a_time_is_asked_for_the_rest(start: Start) -> None:
    """It says so in a Warning (PS3.18 §8.3.4.4)."""

    def service(received: Received) -> Script:
        offset, limit = page_of(received)
        found = STUDIES[:130][offset : offset + min(limit, 50)]
        more = {"Warning": '299 - "There are 9 additional results"'} if offset + len(found) < 130 else {}
        return answer(200, json.dumps(found).encode(), JSON | more) if found else NOTHING

    async with start(service) as running:
        assert numbers(await running.http.get("/studies")) == list(range(130))


@pytest.mark.parametrize(
    "failure", [answer(500), script(End.RESET), answer(200, b"[CANARY", JSON), answer(200, b"[{}]", JSON)]
)
async def test_a_later_page_that_fails_cuts_the_connection(start: Start, failure: Script) -> None:
    """A list that ends in the middle would pass for all there is."""
    async with start(lambda received: failure if page_of(received)[0] == 200 else paged(STUDIES, received)) as running:
        with pytest.raises(httpx.RemoteProtocolError):
            await running.http.get("/studies?limit=400")
        [line] = await running.ended()
        assert (line["status"], line["complete"], line["datasets"]) == (200, False, 200)


INVALID = "invalid-service-response"
FAILURES = (
    (answer(400), 400, "invalid-request"),
    (answer(403), 502, "service-denied-access"),
    (answer(404), 502, INVALID),
    (answer(429, headers={"Retry-After": "7"}), 429, "service-throttles"),
    (answer(503, headers={"Retry-After": "7"}), 503, "service-busy"),
    (script(End.RESET), 502, "service-response-lost"),
    (answer(200, b"<html>CANARY</html>", {"Content-Type": "text/html"}), 502, INVALID),
    (answer(200, b'{"CANARY": 1}', JSON), 502, INVALID),
    (answer(200, b'["CANARY"]', JSON), 502, INVALID),
    (answer(200, b'[{"0020000D": {"Value": ["1"]}, "00189004": {"Value": [NaN]}}]', JSON), 502, INVALID),
    (answer(200, b'[{"0020000D": {"Value": ["1"]}, "00189004": {"Value": [1e400]}}]', JSON), 502, INVALID),
)


@pytest.mark.parametrize("offset", [0, 400])
async def test_a_failure_before_the_first_results_has_a_status(start: Start, offset: int) -> None:
    """Of the first page as of the question whether there is more."""

    def service(received: Received) -> Script:
        return failure if page_of(received)[0] == offset else paged(STUDIES, received)

    async with start(service) as running:
        for failure, status, code in FAILURES:  # noqa: B007  (the service looks at it)
            response = await running.http.get("/studies?limit=400")
            assert (response.status_code, response.json()["code"]) == (status, code)
            assert response.headers.get("retry-after") == ("7" if status in (429, 503) else None)
            assert "CANARY" not in response.text


async def test_a_result_that_is_none_is_the_services_failure(start: Start) -> None:
    """Nothing can be told of what has no UID."""
    row: Row = {}
    async with start(lambda received: paged([row], received)) as running:
        for element in (None, "CANARY", {"vr": "UI"}, {"vr": "UI", "Value": "CANARY"}, {"Value": [1]}):
            row = {STUDY: element}
            response = await running.http.get("/studies")
            assert (response.status_code, response.json()["code"]) == (502, "invalid-service-response")


async def test_what_was_stored_oddly_is_given_all_the_same(start: Start) -> None:
    """A UID with padding is linked without it, one that is none has no link; what no JSON can hold is replaced."""
    odd = [
        {STUDY: {"vr": "UI", "Value": [uid]}, "00100020": {"vr": "LO", "Value": ["\ud800"]}} for uid in ("1.2 ", "x_")
    ]
    async with start(over(odd)) as running:
        first, second = (await running.http.get("/studies")).json()
        assert first["00081190"] == {"vr": "UR", "Value": [f"{running.url}/studies/1.2"]}
        assert list(first) == sorted(first)
        assert "00081190" not in second
        assert second["00100020"]["Value"] == ["?"]


async def test_head_asks_for_no_more_than_the_headers_need(start: Start) -> None:
    """They are those of a GET."""
    async with start(over(STUDIES)) as running:
        asked = await running.http.head("/studies?limit=800")
        assert asked.content == b""
        assert asked.links["next"]
        assert pages(running) <= {(800, 1), (0, 200), (200, 200)}
        got = await running.http.get("/studies?limit=800")
        differ = {"date", "x-request-id"}
        assert {k: v for k, v in asked.headers.items() if k not in differ} == {
            k: v for k, v in got.headers.items() if k not in differ
        }


async def test_head_gives_up_the_page_that_is_asked_for_ahead(start: Start) -> None:
    """Nobody will take it."""
    stalled = script(End.STALL)
    async with start(lambda received: stalled if page_of(received)[0] == 200 else paged(STUDIES, received)) as running:
        assert (await running.http.head("/studies?limit=400")).status_code == 200
        await until(lambda: all(one.gone.is_set() for one in running.service.requests if page_of(one)[0] == 200))
        assert (await running.ended())[0]["complete"] is True


async def test_a_caller_who_hangs_up_frees_the_service(start: Start) -> None:
    """The page that is asked for ahead is given up."""
    stalled = script(End.STALL)
    async with start(lambda received: stalled if page_of(received)[0] == 200 else paged(STUDIES, received)) as running:
        async with running.http.stream("GET", "/studies?limit=400") as response:
            await anext(response.aiter_raw())
        await until(lambda: any(page_of(one)[0] == 200 and one.gone.is_set() for one in running.service.requests))
        assert (await running.ended())[0]["complete"] is False


@pytest.mark.parametrize(("setting", "status", "body"), [("200", 200, b"[]"), ("204", 204, b"")])
async def test_nothing_found(start: Start, setting: str, status: int, body: bytes) -> None:
    """As the setting says."""
    async with start(over([]), EMPTY_SEARCH_STATUS=setting) as running:
        response = await running.http.get("/studies?PatientID=1")
        assert (response.status_code, response.content) == (status, body)
        assert (await running.ended())[0]["datasets"] == 0


async def test_no_offset_has_everything_gathered(start: Start) -> None:
    """Where the service's pages are not ours, what is passed over has to be asked for: not without end."""
    async with start(over(STUDIES), WILDCARD_SCAN_LIMIT="300") as running:
        response = await running.http.get("/studies?ModalitiesInStudy=CT,MR&offset=301")
        assert (response.status_code, response.json()["code"]) == (400, "too-broad")
        assert response.json()["parameter"] == "offset"
        assert running.service.requests == []
        assert (await running.http.get("/studies?ModalitiesInStudy=CT,MR&offset=300")).status_code == 200


async def test_patterns_are_looked_for_until_there_are_enough(start: Start) -> None:
    """What is not looked at need not be asked for; the next link goes on among the matches."""
    rows = [study(n, _00100020=[f"P{n % 10}"]) for n in range(1000)]
    async with start(over(rows)) as running:
        response = await running.http.get("/studies?PatientID=?3&limit=10&offset=5")
        assert numbers(response) == list(range(53, 153, 10))
        assert "wildcard-by-scan" in (await running.ended())[0]["adaptations"]
        assert len(running.service.requests) <= 5
        assert parse_qs(urlsplit(response.links["next"]["url"]).query)["offset"] == ["15"]
        assert "PatientID has wildcards" in response.headers["warning"]


@pytest.mark.parametrize(("count", "status"), [(400, 200), (401, 400)])
async def test_patterns_are_looked_for_in_a_bounded_number_of_results(start: Start, count: int, status: int) -> None:
    """Beyond it the answer is a refusal that says what to do, not a list of some."""
    rows = [study(n, _00100020=["B"]) for n in range(count - 1)] + [study(count - 1, _00100020=["A"])]
    async with start(over(rows), WILDCARD_SCAN_LIMIT="400") as running:
        response = await running.http.get("/studies?PatientID=A*")
        assert response.status_code == status
        if status == 200:
            assert numbers(response) == [count - 1]
        else:
            assert response.json()["code"] == "too-broad"
            assert "PatientID" in response.json()["detail"]
            assert "400 results" in response.json()["detail"]


async def test_the_results_of_a_list_are_merged(start: Start) -> None:
    """In the order of the list, each once, over pages of each."""

    def service(received: Received) -> Script:
        modality = parse_qs(urlsplit(received.target).query)["ModalitiesInStudy"][0]
        return paged(STUDIES[:250] if modality == "CT" else STUDIES[240:300], received)

    async with start(service) as running:
        response = await running.http.get("/studies?ModalitiesInStudy=CT,MR&limit=290")
        assert numbers(response) == list(range(290))
        assert response.links["next"]
        rest = await running.http.get(response.links["next"]["url"])
        assert numbers(rest) == list(range(290, 300))
        assert "next" not in rest.links
        assert [line["adaptations"] for line in await running.ended(2)] == [["list-split"]] * 2


def counting(received: Received) -> Script:
    """Answer as a service that counts nothing; of a study 1.2.n there are n + 1 series of n instances."""
    path = urlsplit(received.target).path.removeprefix("/v2/studies")
    if not path:
        return paged(STUDIES[:3], received)
    number = int(path.split("/")[1].removeprefix("1.2."))
    if path.endswith("/series"):
        row = {"00080060": {"vr": "CS", "Value": ["CT"]}}
        return paged(
            [{SERIES: {"vr": "UI", "Value": [f"1.3.{n}"]}, **(row if n else {})} for n in range(number + 1)], received
        )
    return paged([{"00080018": {"vr": "UI", "Value": [f"1.4.{n}"]}} for n in range(number * (number + 1))], received)


async def test_what_is_asked_for_and_not_given_is_found_out(start: Start) -> None:
    """Series are counted, and instances and modalities as well where the service does not do it."""
    fields = "NumberOfStudyRelatedSeries,ModalitiesInStudy,NumberOfStudyRelatedInstances"
    async with start(counting) as running:
        response = await running.http.get(
            f"/studies?includefield={fields}&format=plain", headers={"Prefer": "handling=lenient"}
        )
        assert [[row[field] for field in fields.split(",")] for row in response.json()] == [
            [1, [], 0],
            [2, ["CT"], 2],
            [3, ["CT"], 6],
        ]
        assert (await running.ended())[0]["adaptations"] == ["filled-in"]
        assert fields.split(",")[0] in response.headers["warning"]


async def test_strictly_what_is_not_given_is_not_there(start: Start) -> None:
    """What the service counts by itself, that is: a study may have no modality. What it never counts is refused."""
    async with start(counting) as running:
        response = await running.http.get("/studies?includefield=ModalitiesInStudy&format=plain")
        assert [set(row) for row in response.json()] == [{"StudyInstanceUID", "RetrieveURL"}] * 3
        refused = await running.http.get("/studies?includefield=NumberOfStudyRelatedSeries&format=plain")
        assert refused.json()["code"] == "not-adapted"


async def test_of_series_instances_are_counted(start: Start) -> None:
    """Also over the whole service, where each series says which study it is of."""
    series = [{STUDY: {"vr": "UI", "Value": ["1.2.2"]}, SERIES: {"vr": "UI", "Value": ["1.3.0"]}}]

    def service(received: Received) -> Script:
        is_search = urlsplit(received.target).path.endswith("/series")
        return paged(series, received) if is_search else counting(received)

    async with start(service) as running:
        for where in ("/series", "/studies/1.2.2/series"):
            [row] = (await running.http.get(f"{where}?includefield=NumberOfSeriesRelatedInstances")).json()
            assert row["00201209"] == {"vr": "IS", "Value": [6]}
            assert row["00081190"]["Value"] == [f"{running.url}/studies/1.2.2/series/1.3.0"]


async def test_what_is_not_asked_for_is_not_found_out(start: Start) -> None:
    """Each would cost a search."""
    async with start(counting) as running:
        response = await running.http.get("/studies")
        assert [set(row) for row in response.json()] == [{STUDY, "00081190"}] * 3
        assert all("/series" not in target for target in running.service.targets)


async def test_too_much_is_not_found_out(start: Start) -> None:
    """The answer says so."""
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
async def test_strictly_nothing_is_adapted(start: Start, headers: dict[str, str], is_adapted: bool) -> None:
    """For whoever wants that, and for those who know no DICOM unless they want it otherwise."""
    async with start(over([study(1, _00100020=["A1"], _00100010=[{"Alphabetic": "A"}])])) as running:
        for query in ADAPTED:
            response = await running.http.get(f"/studies?{query}", headers=headers)
            assert response.status_code == (200 if is_adapted else 400), query
            assert "CANARY" not in response.text + response.headers.get("warning", "")
            if not is_adapted:
                assert response.json()["code"] == "not-adapted"
                assert response.json()["detail"]


async def test_that_there_is_more_is_no_adaptation(start: Start) -> None:
    """It is said strictly, too."""
    async with start(over(STUDIES)) as running:
        response = await running.http.get("/studies", headers={"Prefer": "handling=strict"})
        assert len(response.json()) == 1000
        assert response.headers["warning"].startswith('299 - "There are additional results')
        assert response.links["next"]


DICOM_JSON = "application/dicom+json"
FORMS = {
    **dict.fromkeys(("", "*/*", "application/*", DICOM_JSON, "application/json, text/plain, */*"), DICOM_JSON),
    f'multipart/related; type="application/dicom+xml", {DICOM_JSON};q=0.1': DICOM_JSON,
    **dict.fromkeys(("application/json", "application/json; charset=utf-8; q=0.5"), "application/json"),
    **dict.fromkeys(("text/html", "application/dicom+xml", "*/*;q=0", "application/dicom", "nonsense"), None),
    'multipart/related; type="application/dicom+xml"': None,
}


async def test_forms(start: Start) -> None:
    """DICOM JSON for whoever takes it, plain JSON for whoever takes nothing else, or a refusal that names both."""
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


def with_tags(listing: Script) -> Callable[[Received], Script]:
    """Answer with a list of extended query tags, and searches with one study."""
    return lambda received: listing if "/extendedquerytags" in received.target else paged(STUDIES[:1], received)


TAGS = json.dumps(
    [
        {"path": path, "vr": vr, "level": level, "status": status, "queryStatus": query_status}
        for path, vr, level, status, query_status in (
            ("00080030", "TM", "Study", "Ready", "Enabled"),
            ("00091001", "LO", "Study", "Ready", "Enabled"),
            ("00081010", "SH", "Study", "Adding", "Enabled"),
            ("00081040", "LO", "Study", "Ready", "Disabled"),
            ("00200011", "IS", "Series", "Ready", "Enabled"),
        )
    ]
).encode()


async def test_extended_query_tags_are_attributes(start: Start) -> None:
    """Of those that are ready and enabled, at their level; the service is asked for them once."""
    async with start(with_tags(answer(200, TAGS, {"Content-Type": "application/json"}))) as running:
        told = {}
        for query in (
            "PatientID=1",
            "StudyTime=10-",
            "00091001=x",
            "StationName=x",
            "00081040=x",
            "SeriesNumber=1",
            "00091002=1",
        ):
            response = await running.http.get(f"/studies?{query}")
            told[query] = response.json()["parameter"] if response.status_code == 400 else response.status_code
        assert told == {
            "PatientID=1": 200,
            "StudyTime=10-": 200,
            "00091001=x": 200,
            "StationName=x": "StationName",
            "00081040=x": "InstitutionalDepartmentName",
            "SeriesNumber=1": "SeriesNumber",
            "00091002=1": "parameter 1",
        }
        assert sum("/extendedquerytags" in target for target in running.service.targets) == 1
        assert (await running.http.get("/studies?StudyTime=x")).json()["parameter"] == "StudyTime"


async def test_where_they_cannot_be_listed_the_service_decides(start: Start) -> None:
    """Other services know none."""
    async with start(with_tags(answer(404))) as running:
        assert (await running.http.get("/studies?PatientSex=F")).status_code == 200
        assert any("PatientSex=F" in target for target in running.service.targets)


async def test_the_caller_learns_which_filters_may_have_missed_something(start: Start) -> None:
    """Of all pages that were looked at."""
    async with start(over(STUDIES[:2], **{"erroneous-dicom-attributes": "PatientID, AccessionNumber"})) as running:
        for query in ("PatientID=1", "PatientID=1&AccessionNumber=?*"):
            response = await running.http.get(f"/studies?{query}")
            assert response.headers["erroneous-dicom-attributes"] == "PatientID,AccessionNumber"
