"""Retrievals over a service that follows scripts: the requests it gets, the answers passed on, and those cut."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from query_api.retrieving.thumbnails import MOST_SEARCHES
from store_on_upload.probing.instance import STUDY_INSTANCE_UID
from tests.kit.dicomweb_messages import multipart_body, parts_of
from tests.kit.lookups import Start
from tests.kit.scripted_server import LAST_CHUNK, End, Received, Script, answer, chunked, head, script

SECRET = "CANARY"
STUDY = "/studies/1.2"
SERIES = f"{STUDY}/series/1.3"
INSTANCE = f"{SERIES}/instances/1.4"
FRAME_1 = f"{INSTANCE}/frames/1"
JPEG = "1.2.840.10008.1.2.4.50"
DICOM = {"Content-Type": "application/dicom"}
JSON = {"Content-Type": "application/dicom+json; charset=utf-8"}
PARTS = {"Content-Type": 'multipart/related; boundary="frontier"'}
PICTURE = b"\xff\xd8" + bytes(1000) + b"\xff\xd9"
PICTURES = {"Content-Type": "image/jpeg"}
FILE = b"DICM" * 250
ONE = multipart_body((f"application/dicom; transfer-syntax={JPEG}", FILE))
TWO = multipart_body(("application/dicom", FILE), ("application/dicom", FILE))
FRAME = multipart_body((f"application/octet-stream; transfer-syntax={JPEG}", PICTURE))


def well_ended(body: bytes, headers: dict[str, str]) -> Script:
    """Answer in chunks, whose end HTTP takes for the end."""
    return script(head(200, {"Transfer-Encoding": "chunked", **headers}), *chunked(body), LAST_CHUNK)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (INSTANCE, answer(200, f"<html>{SECRET}</html>".encode(), {"Content-Type": "text/html"})),
        (INSTANCE, answer(200, b"[]", JSON)),
        (INSTANCE, answer(200, b"", DICOM)),
        (INSTANCE, script(head(200, DICOM), b"no length", End.FIN)),
        (INSTANCE, answer(200, gzip.compress(ONE), {**PARTS, "Content-Encoding": "gzip"})),
        (INSTANCE, answer(200, ONE, {"Content-Type": "multipart/related"})),
        (INSTANCE, answer(200, multipart_body(("text/html", b"x")), PARTS)),
        (STUDY, answer(200, b"--frontier\r\nContent-Type: application/dicom\r\n", PARTS)),
        (STUDY, answer(200, b"--frontier\r\nContent-Type: application/dicom\r\n\r\n", PARTS)),
        (STUDY, answer(200, b"--frontier\r\nno header\r\n\r\nx", PARTS)),
        (STUDY, answer(200, b"x" * 200_000, PARTS)),
        (STUDY, well_ended(b"", PARTS)),
        (FRAME_1, answer(200, ONE, PARTS)),
        (f"{INSTANCE}/rendered", answer(200, b"\x89PNG", {"Content-Type": "image/png"})),
        (f"{INSTANCE}/rendered", answer(200, b"", PICTURES)),
        (f"{INSTANCE}/metadata", answer(200, b"[]", {"Content-Type": "text/html"})),
        (f"{INSTANCE}/metadata", answer(200, b"{}", JSON)),
        (f"{INSTANCE}/metadata", answer(200, SECRET.encode(), JSON)),
        (f"{INSTANCE}/metadata", answer(200, b"", JSON)),
    ],
)
async def test_what_is_not_what_was_asked_for_goes_no_further(start: Start, path: str, said: Script) -> None:
    """A proxy's page, another service's answer, one that ends before its first part: none gets the status 200."""
    async with start(said) as running:
        response = await running.http.get(path)
        assert (response.status_code, response.json()["code"]) == (502, "invalid-service-response")
        assert SECRET not in response.text


async def test_a_complete_message_without_parts_is_not_found(start: Start) -> None:
    """The instances were deleted while the service looked."""
    async with start(answer(200, b"--frontier--\r\n", PARTS)) as running:
        response = await running.http.get(STUDY)
        assert (response.status_code, response.json()["code"]) == (404, "not-found")


@pytest.mark.parametrize(
    ("path", "accept", "body", "contents"),
    [
        (STUDY, "*/*", TWO, [FILE, FILE]),
        (FRAME_1, "*/*", FRAME, [PICTURE]),
        (FRAME_1, "multipart/related; type=image/jpeg", FRAME, [PICTURE]),
        (INSTANCE, "*/*", ONE, [FILE]),
    ],
    ids=["untouched", "frames", "relabelled", "unwrapped"],
)
async def test_a_message_without_a_length_is_complete_with_its_closing_delimiter(
    start: Start, path: str, accept: str, body: bytes, contents: list[bytes]
) -> None:
    """A service may end a message by closing the connection."""
    async with start(script(head(200, PARTS), body, End.FIN)) as running:
        response = await running.http.get(path, headers={"Accept": accept})
        assert response.status_code == 200
        is_multipart = response.headers["content-type"].startswith("multipart/")
        assert ([part for _, part in parts_of(response)] if is_multipart else [response.content]) == contents


CUT = [
    (STUDY, script(head(200, {"Transfer-Encoding": "chunked", **PARTS}), *chunked(TWO[:-30]), End.RESET)),
    (STUDY, well_ended(TWO.replace(b"--frontier--", b""), PARTS)),
    (STUDY, answer(200, TWO.replace(b"--frontier--", b""), PARTS)),
    (INSTANCE, well_ended(ONE[:-30], PARTS)),
    (INSTANCE, answer(200, TWO, PARTS)),
    (STUDY, script(head(200, PARTS), TWO.replace(b"--frontier--", b""), End.FIN)),
    (STUDY, script(head(200, PARTS), TWO[:-30], End.RESET)),
    (INSTANCE, script(head(200, PARTS), ONE[:-30], End.FIN)),
    (FRAME_1, script(head(200, PARTS), FRAME[:-30], End.FIN)),
    (INSTANCE, script(head(200, {**DICOM, "Content-Length": "999"}), b"DICM", End.FIN)),
    (FRAME_1, well_ended(FRAME[:-30], PARTS)),
    (f"{INSTANCE}/rendered", well_ended(PICTURE[:-1], PICTURES)),
    (f"{INSTANCE}/rendered", answer(200, PICTURE[:-500], PICTURES)),
    (f"{INSTANCE}/metadata", answer(200, b'[{"00100020":{"vr":"LO"}},{"0010', JSON)),
]


@pytest.mark.parametrize(("path", "said"), CUT)
async def test_what_is_cut_short_does_not_look_whole(start: Start, path: str, said: Script) -> None:
    """Whether HTTP tells of it or not: the caller's transfer fails, and the log says so."""
    async with start(said) as running:
        with pytest.raises(httpx.RemoteProtocolError):
            await running.http.get(path)
        [line] = await running.ended()
        assert (line["status"], line["complete"]) == (200, False)
        assert line["error"].startswith(("InvalidResponse", "ResponseLost"))


@pytest.mark.parametrize("path", [STUDY, INSTANCE])
async def test_the_first_bytes_are_passed_on_before_the_last_arrive(start: Start, path: str) -> None:
    begun = script(head(200, {"Transfer-Encoding": "chunked", **PARTS}), *chunked(ONE[:-500]), End.STALL)
    async with start(begun) as running, running.http.stream("GET", path) as response:
        chunks = response.aiter_raw()
        assert b"DICM" in await anext(chunks)
        await chunks.aclose()  # type: ignore[attr-defined]


async def test_json_may_begin_with_white_space(start: Start) -> None:
    """It may fill a chunk."""
    said = script(head(200, {"Transfer-Encoding": "chunked", **JSON}), *chunked(b" \r\n", b"\t", b"[]"), LAST_CHUNK)
    async with start(said) as running:
        response = await running.http.get(f"{STUDY}/metadata")
        assert (response.status_code, response.content) == (200, b" \r\n\t[]")


LONG = {"Content-Length": "9999"}
KNOWN = {"If-None-Match": '"6-1", "7-1"'}


@pytest.mark.parametrize(
    ("path", "method", "headers", "said", "status"),
    [
        pytest.param(INSTANCE, "HEAD", {}, head(200, {**DICOM, **LONG}) + FILE, 200, id="HEAD"),
        pytest.param(INSTANCE, "GET", {}, head(200, {"Content-Type": "text/html", **LONG}) + b"<", 502, id="HTML"),
        pytest.param(
            FRAME_1, "GET", {"Accept": "image/jls"}, head(200, {**PARTS, **LONG}) + FRAME[:-500], 406, id="other form"
        ),
        pytest.param(
            f"{STUDY}/metadata", "GET", KNOWN, head(200, {**JSON, "ETag": "7-1", **LONG}) + b"[", 304, id="known"
        ),
    ],
)
async def test_an_answer_that_is_not_passed_on_is_dropped(
    start: Start, path: str, method: str, headers: dict[str, str], said: bytes, status: int
) -> None:
    """Even if it has no end yet."""
    async with start(script(said, End.STALL)) as running:
        response = await running.http.request(method, path, headers=headers)
        assert response.status_code == status
        async with asyncio.timeout(5):
            await running.service.requests[0].gone.wait()


async def test_a_message_in_the_requested_form_is_passed_on_unchanged(start: Start) -> None:
    """The app adds the parameter `type`, which the service leaves out, and counts the parts."""
    async with start(answer(200, TWO, PARTS)) as running:
        response = await running.http.get(STUDY)
        assert response.content == TWO
        assert response.headers["content-type"] == 'multipart/related; type="application/dicom"; boundary=frontier'
        assert (response.headers["cache-control"], response.headers["vary"]) == ("private, no-cache", "Accept")
        assert (await running.ended())[0]["datasets"] == 2


async def test_a_single_part_answer_is_given_in_both_forms(start: Start) -> None:
    async with start(answer(200, b"DICM", {**DICOM, "ETag": "7"})) as running:
        single = await running.http.get(INSTANCE)
        assert (single.content, single.headers["content-length"]) == (b"DICM", "4")
        assert "etag" not in single.headers
        multipart = await running.http.get(INSTANCE, headers={"Accept": "multipart/related"})
        assert parts_of(multipart) == [({"content-type": "application/dicom"}, b"DICM")]


@pytest.mark.parametrize(
    ("accept", "media_type", "is_multipart"),
    [
        ("image/jpeg", "image/jpeg", False),
        ('multipart/related; type="image/jpeg"', "image/jpeg", True),
        ('multipart/related; type="image/dicom-rle", image/*;q=0.1', "image/jpeg", False),
        (f"application/octet-stream; transfer-syntax={JPEG}", "application/octet-stream", False),
    ],
)
async def test_a_frame_has_the_media_type_that_was_requested(
    start: Start, accept: str, media_type: str, is_multipart: bool
) -> None:
    """If it is stored in that form; one request finds out."""
    async with start(answer(200, FRAME, PARTS)) as running:
        response = await running.http.get(FRAME_1, headers={"Accept": accept})
        content_type = f"{media_type}; transfer-syntax={JPEG}"
        if is_multipart:
            assert response.headers["content-type"] == f'multipart/related; type="{media_type}"; boundary=frontier'
            assert parts_of(response) == [({"content-type": content_type}, PICTURE)]
        else:
            assert (response.headers["content-type"], response.content) == (content_type, PICTURE)
        assert len(running.service.requests) == 1


async def test_forms_are_tried_one_after_the_other(start: Start) -> None:
    """If none is left, the 406 lists those that are available."""

    def service(request: Received) -> Script:
        return answer(200, FRAME, PARTS) if request.headers["accept"].endswith("=*") else answer(406)

    uncompressed = "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"
    async with start(service) as running:
        both = await running.http.get(FRAME_1, headers={"Accept": f"{uncompressed}, image/jpeg;q=0.5"})
        assert (both.status_code, both.content) == (200, PICTURE)
        for accept in (uncompressed, "image/dicom-rle"):
            one = await running.http.get(FRAME_1, headers={"Accept": accept})
            assert (one.status_code, one.json()["code"]) == (406, "not-acceptable")
            assert 'multipart/related; type="application/octet-stream"; transfer-syntax=*' in one.json()["acceptable"]


def metadata(request: Received) -> Script:
    """Answer as the service does: its tag is without quotes, compared verbatim, and not in a 304."""
    links = [request.headers["host"], "elsewhere"]
    body = json.dumps([{"00081190": {"vr": "UR", "Value": [f"http://{host}/v2/studies/1.2" for host in links]}}])
    if request.headers.get("if-none-match") == "7-1":
        return answer(304)
    return answer(200, body.encode().replace(b"/", rb"\/") + b"\n", {**JSON, "ETag": "7-1"})


async def test_a_version_that_the_caller_has_is_not_sent_again(start: Start) -> None:
    """However the caller writes its tag."""
    async with start(metadata) as running:
        for known, status in KNOWN_TAGS:
            headers = {} if known is None else {"If-None-Match": known}
            response = await running.http.get(f"{STUDY}/metadata", headers=headers)
            assert (response.status_code, response.headers["etag"]) == (status, '"7-1"'), known
            assert (response.content == b"") is (status == 304)


KNOWN_TAGS = (
    *((None, 200), ('"7-1"', 304), ("7-1", 304), ('W/"7-1"', 304), ('"6-1", "7-1"', 304), ("*", 304)),
    *(('"6-1"', 200), ('"6-1", "5-1"', 200), ('"', 200)),
)


@pytest.mark.parametrize(
    ("partition", "headers", "settings", "expected"),
    [
        ("", {"X-Forwarded-Host": "us.example", "X-Forwarded-Proto": "https"}, {}, "https://us.example/api"),
        ("", {"X-Forwarded-Host": "us.example", "X-Forwarded-Prefix": "/p"}, {}, "http://us.example/p/api"),
        ("", {}, {"PUBLIC_URL": "https://us.example/i"}, "https://us.example/i"),
        ("/partitions/p1", {}, {"PUBLIC_URL": "https://us.example/i"}, "https://us.example/i"),
    ],
)
async def test_links_lead_to_the_app(
    start: Start, partition: str, headers: dict[str, str], settings: dict[str, str], expected: str
) -> None:
    """As the caller sees it, also where the service escapes its slashes; what leads elsewhere stays."""
    async with start(metadata, **settings) as running:
        response = await running.http.get(f"{partition}{STUDY}/metadata", headers=headers)
        assert response.headers["content-type"] == "application/dicom+json"
        assert "content-length" not in response.headers
        assert str(running.service.port) not in response.text
        assert response.json()[0]["00081190"]["Value"] == [f"{expected}/studies/1.2", "http://elsewhere/v2/studies/1.2"]


@pytest.mark.parametrize("syntax", ["\xe9", '"1.2\nSet-Cookie: x"', '"1.2\0"', "x"])
@pytest.mark.parametrize("accept", ["application/dicom", 'multipart/related; type="application/dicom"'])
async def test_a_transfer_syntax_that_is_none_is_not_passed_on(start: Start, syntax: str, accept: str) -> None:
    """The caller gets the file all the same."""
    said = multipart_body((f"application/dicom; transfer-syntax={syntax}", FILE))
    async with start(answer(200, said, PARTS)) as running:
        response = await running.http.get(INSTANCE, headers={"Accept": accept})
        assert FILE in response.content
        assert "transfer-syntax" not in response.headers["content-type"]


async def test_a_link_goes_on_below_the_address(start: Start) -> None:
    """The path of the resource stays, and so does what is stored and mentions the address."""

    def service(request: Received) -> Script:
        base = f"http://{request.headers['host']}/v2"
        urls = [f"{base}/studies/1", f"{base}/partitions/p1/studies/1", "http://elsewhere/v2/studies/1"]
        text = {"vr": "LO", "Value": [f'seen at "{base}/studies/1"']}
        body = [{"00081030": text, "00081190": {"vr": "UR", "Value": urls}}]
        return answer(200, json.dumps(body).encode(), JSON)

    async with start(service, PUBLIC_URL="https://us.example/i") as running:
        for partition in ("", "/partitions/p1"):
            response = await running.http.get(f"{partition}{STUDY}/metadata", headers={"Accept": "application/json"})
            assert response.headers["content-type"] == "application/json"
            ours = "https://us.example/i"
            expected = [f"{ours}/studies/1", f"{ours}/partitions/p1/studies/1", "http://elsewhere/v2/studies/1"]
            assert response.json()[0]["00081190"]["Value"] == expected
            text = f'seen at "http://127.0.0.1:{running.service.port}/v2/studies/1"'
            assert response.json()[0]["00081030"]["Value"] == [text]


async def test_the_query_parameter_accept_overrides_the_header(start: Start) -> None:
    """PS3.18 §8.7.8."""
    async with start(answer(200, PICTURE, PICTURES)) as running:
        await running.http.get(f"{INSTANCE}/rendered?accept=image/jpeg", headers={"Accept": "image/png"})
        assert running.service.requests[0].headers["accept"] == "image/jpeg"


async def test_too_many_media_ranges_are_refused(start: Start) -> None:
    """In the header and in the query parameter, before the service is asked."""
    accept = ",".join(f"image/{SECRET}{number}" for number in range(33))
    async with start(answer(200, PICTURE, PICTURES)) as running:
        for path in (INSTANCE, FRAME_1, f"{INSTANCE}/rendered", f"{STUDY}/metadata"):
            for given in ({"headers": {"Accept": accept}}, {"params": {"accept": accept}}):
                response = await running.http.get(path, **given)  # type: ignore[arg-type]
                assert (response.status_code, response.json()["code"]) == (400, "invalid-request")
                assert SECRET not in response.text
        assert running.service.targets == []


async def test_the_service_gets_of_the_query_what_it_knows(start: Start) -> None:
    """Not the key, however it is written, and nothing that is ours."""
    async with start(answer(200, PICTURE, PICTURES)) as running:
        query = f"c%6fDe={SECRET}&quality=50&accept=image/jpeg&viewport=9,9&code={SECRET}"
        response = await running.http.get(f"{INSTANCE}/rendered?{query}")
        assert (response.status_code, response.content) == (200, PICTURE)
        assert response.headers["content-length"] == str(len(PICTURE))
        assert response.headers["warning"].startswith('299 - "viewport is ignored')
        assert running.service.targets == [f"{INSTANCE}/rendered?quality=50"]
        assert (await running.ended())[0]["adaptations"] == ["viewport-ignored"]


INVALID_QUERIES = (
    *(f"{INSTANCE}?includefield=all", f"{STUDY}/metadata?{SECRET}=1", f"{FRAME_1}?quality=1", f"{FRAME_1},x"),
    *(f"{INSTANCE}/frames/1,2/rendered", f"{SERIES}/thumbnail?quality=", f"{SERIES}/thumbnail?limit=1"),
    *(f"{INSTANCE}/rendered?quality={one}" for one in ("0", "101", SECRET, "1&quality=1")),
    f"/studies/{SECRET}_/thumbnail",
)


async def test_an_invalid_request_is_refused_before_the_service_is_asked(start: Start) -> None:
    """The reason does not repeat the value."""
    async with start(answer(500)) as running:
        strict = {"Prefer": "handling=strict"}
        refused = [(await running.http.get(path), "invalid-parameter") for path in INVALID_QUERIES]
        refused += [(await running.http.get(f"{INSTANCE}/rendered?window=1,2,linear", headers=strict), "not-adapted")]
        for response, code in refused:
            assert (response.status_code, response.json()["code"]) == (400, code), response.url
            assert response.json()["detail"]
            assert SECRET not in response.text
        assert running.service.requests == []


def found(number: int, **values: Any) -> dict[str, Any]:
    """Return an instance as a search returns it."""
    tags = {"InstanceNumber": "00200013", "NumberOfFrames": "00280008", "Rows": "00280010", "Columns": "00280011"}
    given = {"InstanceNumber": number, "Rows": 8, "Columns": 8} | values
    attributes = {tags[name]: {"vr": "IS", "Value": [value]} for name, value in given.items() if value is not None}
    return {"00080018": {"vr": "UI", "Value": [f"1.4.{number}"]}} | attributes


def service_of(instances: list[dict[str, Any]]) -> Callable[[Received], Script]:
    """Return what a service answers that has one series of these."""

    def service(request: Received) -> Script:
        if "/rendered" in request.target:
            return answer(200, PICTURE, PICTURES)
        if "/series?" in request.target:
            return listed([{"0020000E": {"vr": "UI", "Value": ["1.3"]}}], request)
        return listed(instances, request)

    return service


def listed(results: list[dict[str, Any]], request: Received) -> Script:
    """Answer a search with the page that it asks for."""
    offset = int((re.search(r"offset=(\d+)", request.target) or [0, 0])[1])
    page = results[offset : offset + 200]
    return answer(200, json.dumps(page).encode(), JSON) if page else answer(204)


@pytest.mark.parametrize(
    ("instances", "shown"),
    [
        ([found(3), found(1), found(2)], "1.4.2/frames/1"),
        ([found(4), found(1), found(2), found(3)], "1.4.3/frames/1"),
        ([found(1, NumberOfFrames=9)], "1.4.1/frames/5"),
        ([found(1, NumberOfFrames="many")], "1.4.1/frames/1"),
        ([found(1), found(2, Rows=None), found(3, Columns=0)], "1.4.1/frames/1"),
        ([found(9, InstanceNumber=None), found(1), found(2)], "1.4.2/frames/1"),
        ([found(number) for number in range(1, 5001)], "1.4.2501/frames/1"),
    ],
)
@pytest.mark.parametrize("path", [STUDY, SERIES])
async def test_a_thumbnail_is_the_middle_of_the_middle(
    start: Start, path: str, instances: list[dict[str, Any]], shown: str
) -> None:
    """By instance number, of what has a picture; however long the series."""
    async with start(service_of(instances)) as running:
        response = await running.http.get(f"{path}/thumbnail")
        assert response.content == PICTURE
        assert running.service.targets[-1] == f"{SERIES}/instances/{shown}/rendered"


async def test_a_thumbnail_of_an_instance_costs_one_search(start: Start) -> None:
    """There is no second one of its name."""
    async with start(service_of([found(4, NumberOfFrames=3)])) as running:
        assert (await running.http.get(f"{INSTANCE}/thumbnail")).content == PICTURE
        [searched, drawn] = running.service.targets
        assert searched.startswith(f"{SERIES}/instances?00080018=1.4&")
        assert drawn == f"{SERIES}/instances/1.4.4/frames/2/rendered"


async def test_a_thumbnail_is_of_all_pages_though_one_is_short(start: Start) -> None:
    """The service has left out of the first page what is unfinished."""
    complete = service_of([found(number) for number in range(401)])

    def service(request: Received) -> Script:
        is_first = "offset" not in request.target and "/instances?" in request.target
        return answer(200, json.dumps([found(1000)]).encode(), JSON) if is_first else complete(request)

    async with start(service) as running:
        assert (await running.http.get(f"{SERIES}/thumbnail")).content == PICTURE
        # In their order: 200 … 400, and the one of the first page.
        assert running.service.targets[-1] == f"{SERIES}/instances/1.4.301/frames/1/rendered"


async def test_a_thumbnail_costs_no_more_than_so_many_searches(start: Start) -> None:
    """Of a series that has no end, the middle of what was seen."""
    endless = [found(number) for number in range(200 * (MOST_SEARCHES + 5))]
    async with start(service_of(endless)) as running:
        assert (await running.http.get(f"{SERIES}/thumbnail")).content == PICTURE
        assert len(running.service.requests) == MOST_SEARCHES + 1


@pytest.mark.parametrize(
    ("instances", "code"),
    [([], "not-found"), ([found(1, Rows=None)], "no-picture"), ([found(1, Rows="x")], "no-picture")],
)
async def test_nothing_to_show_is_404(start: Start, instances: list[dict[str, Any]], code: str) -> None:
    """Nothing there, or nothing that has a picture."""
    async with start(service_of(instances)) as running:
        response = await running.http.get(f"{SERIES}/thumbnail")
        assert (response.status_code, response.json()["code"]) == (404, code)


@pytest.mark.parametrize("status", [404, 406])
async def test_what_the_service_does_not_draw_is_no_picture(start: Start, status: int) -> None:
    """It has no pixels in spite of its rows and columns, or is a film."""

    def service(request: Received) -> Script:
        return answer(status) if "/rendered" in request.target else service_of([found(1)])(request)

    async with start(service) as running:
        response = await running.http.get(f"{INSTANCE}/thumbnail?accept=image/jpeg")
        assert (response.status_code, response.json()["code"]) == (404, "no-picture")


async def test_a_study_is_shown_by_its_first_series_that_can_be_drawn(start: Start) -> None:
    """By series number, whatever order the service has them in."""

    def service(request: Received) -> Script:
        if "/series?" not in request.target:
            return answer(406) if "/series/1.31/instances/1.4.1/frames" in request.target else whole(request)
        series = [
            {"0020000E": {"vr": "UI", "Value": [f"1.3{number}"]}, "00200011": {"vr": "IS", "Value": [number]}}
            for number in (3, 1, 2)
        ]
        return listed(series, request)

    whole = service_of([found(1)])
    async with start(service) as running:
        assert (await running.http.get(f"{STUDY}/thumbnail")).content == PICTURE
        drawn = [target for target in running.service.targets if target.endswith("/rendered")]
        assert drawn == [f"{STUDY}/series/1.3{number}/instances/1.4.1/frames/1/rendered" for number in (1, 2)]


async def test_the_instance_of_the_synthetic_check_is_not_found(start: Start) -> None:
    """The service is not even asked."""
    async with start(answer(200, ONE, PARTS)) as running:
        for below in ("", "/metadata", "/thumbnail", "/series/1.3", "/series/1.3/instances/1.4/frames/1"):
            response = await running.http.get(f"/studies/{STUDY_INSTANCE_UID}{below}")
            assert (response.status_code, response.json()["code"]) == (404, "not-found")
        assert not running.service.requests
