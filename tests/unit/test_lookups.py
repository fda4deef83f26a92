"""Lookups without their sockets: what is asked of the service, and what callers are told."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from starlette.requests import Request as HttpRequest

from query_api import retrieve, search
from shared.dicomweb import (
    InvalidParameter,
    InvalidResponse,
    Request,
    RequestNotSent,
    ResponseLost,
)
from shared.dicomweb.errors import status_error
from shared.problems import problem
from shared.settings import ConfigurationError

SECRET = "CANARY"
INSTANCE = {"study": "1.2", "series": "1.3", "instance": "1.4"}
SERIES = {"study": "1.2", "series": "1.3"}
STUDY = {"study": "1.2"}


def asked(path: dict[str, str] | None = None, query: str = "", **headers: str) -> HttpRequest:
    """Return a caller's request as the host hands it on."""
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return HttpRequest(
        {
            "type": "http",
            "method": "GET",
            "path": "/api",
            "path_params": path or {},
            "query_string": query.encode(),
            "headers": named,
        }
    )


@pytest.mark.parametrize(
    ("query", "passed"),
    [
        ("", ""),
        ("PatientName=M%c3%BCller%5eJ*&limit=1", "PatientName=M%c3%BCller%5eJ*&limit=1"),
        ("a=1&&b=2&", "a=1&&b=2&"),
        (f"code={SECRET}", ""),
        (f"code={SECRET}&a=%20+", "a=%20+"),
        (f"a=1&CODE={SECRET}", "a=1"),
        (f"a=1&Code={SECRET}&code={SECRET}&b=2", "a=1&b=2"),
        (f"%63od%65={SECRET}&a=1", "a=1"),
        (f"a=1&c%4FDE={SECRET}", "a=1"),
        ("code", ""),
        ("codex=1&xcode=2&a=code", "codex=1&xcode=2&a=code"),
        ("includefield=00081030,00080060&a=b=c", "includefield=00081030,00080060&a=b=c"),
    ],
)
def test_query_is_passed_on(query: str, passed: str) -> None:
    """The caller's query goes on byte for byte, without the function key however it is spelt."""
    assert search.studies(asked(query=query)).query == passed


@pytest.mark.parametrize(
    ("translate", "path", "target"),
    [
        (search.studies, {}, "/studies"),
        (search.series, {}, "/series"),
        (search.instances, {}, "/instances"),
        (search.series, STUDY, "/studies/1.2/series"),
        (search.instances, STUDY, "/studies/1.2/instances"),
        (search.instances, SERIES, "/studies/1.2/series/1.3/instances"),
    ],
)
def test_searches(translate: Callable[[HttpRequest], Request], path: dict[str, str], target: str) -> None:
    """Each search has its path, asks for DICOM JSON whatever the caller asked for, and takes "none" for an answer."""
    request = translate(asked(path, accept="text/html"))
    assert (request.method, request.path, request.accept) == ("GET", target, "application/dicom+json")
    assert request.statuses == {200, 204}


@pytest.mark.parametrize(
    ("path", "target"),
    [
        (STUDY, "/studies/1.2"),
        (SERIES, "/studies/1.2/series/1.3"),
        (INSTANCE, "/studies/1.2/series/1.3/instances/1.4"),
    ],
)
def test_retrievals(path: dict[str, str], target: str) -> None:
    """A retrieval and its metadata have their paths, and the caller's ETag goes on as it stands."""
    request = retrieve.dicom(asked(path, if_none_match='W/"1-2"'))
    assert (request.path, request.headers) == (target, {"If-None-Match": 'W/"1-2"'})
    request = retrieve.metadata(asked(path, accept="*/*"))
    assert (request.path, request.accept, request.headers) == (f"{target}/metadata", "application/dicom+json", {})


MULTIPART = 'multipart/related; type="application/dicom"'
ANY_SYNTAX = "; transfer-syntax=*"


@pytest.mark.parametrize(
    ("path", "accept", "sent"),
    [
        (INSTANCE, None, "application/dicom" + ANY_SYNTAX),
        (INSTANCE, "", "application/dicom" + ANY_SYNTAX),
        (INSTANCE, "*/*", "application/dicom" + ANY_SYNTAX),
        (INSTANCE, "text/html, */*;q=0.1", f"text/html, application/dicom{ANY_SYNTAX}; q=0.1"),
        (
            INSTANCE,
            "application/dicom; transfer-syntax=1.2.3, */*;q=0.1",
            f"application/dicom; transfer-syntax=1.2.3, application/dicom{ANY_SYNTAX}; q=0.1",
        ),
        (
            STUDY,
            'multipart/related; type="Application/DICOM"',
            f'multipart/related; type="Application/DICOM"{ANY_SYNTAX}',
        ),
        (STUDY, "multipart/related; transfer-syntax=1.2", MULTIPART + "; transfer-syntax=1.2"),
        (STUDY, 'multipart/related; type="*/*"; q=0.5', MULTIPART + ANY_SYNTAX + "; q=0.5"),
        (INSTANCE, 'multipart/related; type="image/jp2"', 'multipart/related; type="image/jp2"'),
        (INSTANCE, "application/dicom", "application/dicom" + ANY_SYNTAX),
        (INSTANCE, "application/dicom; transfer-syntax=1.2.3", "application/dicom; transfer-syntax=1.2.3"),
        (INSTANCE, MULTIPART, MULTIPART + ANY_SYNTAX),
        (STUDY, None, MULTIPART + ANY_SYNTAX),
        (STUDY, "*/*", MULTIPART + ANY_SYNTAX),
        (STUDY, MULTIPART, MULTIPART + ANY_SYNTAX),
        (SERIES, MULTIPART + "; Transfer-Syntax=*", MULTIPART + "; transfer-syntax=*"),
        (
            STUDY,
            f"{MULTIPART}; transfer-syntax=1.2, image/jp2",
            f"{MULTIPART}; transfer-syntax=1.2, image/jp2",
        ),
        (STUDY, f"{MULTIPART}; transfer-syntax=1.2,", f"{MULTIPART}; transfer-syntax=1.2"),
    ],
)
def test_accept(path: dict[str, str], accept: str | None, sent: str) -> None:
    """What the caller asks for goes on, what it leaves open is filled in: never a wildcard."""
    headers = {} if accept is None else {"accept": accept}
    assert retrieve.dicom(asked(path, **headers)).accept == sent


@pytest.mark.parametrize(
    ("frames", "target"),
    [("1", "1"), ("3,1", "3,1"), ("1%2C2", "1,2"), ("1%2c20,3", "1,20,3"), ("999999999", "999999999")],
)
def test_frames(frames: str, target: str) -> None:
    """Frame numbers go on in the order asked for, with plain commas."""
    request = retrieve.frames(asked({**INSTANCE, "frames": frames}))
    assert request.path == f"/studies/1.2/series/1.3/instances/1.4/frames/{target}"
    assert request.accept == f'multipart/related; type="application/octet-stream"{ANY_SYNTAX}'


@pytest.mark.parametrize("frames", ["", "0", "-1", "a", "1,", ",1", "1,,2", "01", "1;2", "1/rendered", "\u0661", "1\n"])
def test_frames_that_are_none(frames: str) -> None:
    """What is no list of frame numbers is refused without being quoted."""
    with pytest.raises(InvalidParameter) as raised:
        retrieve.frames(asked({**INSTANCE, "frames": frames}))
    assert str(raised.value) == "frames must be numbers from 1 on, separated by commas"


@pytest.mark.parametrize("translate", [search.instances, retrieve.dicom, retrieve.metadata])
@pytest.mark.parametrize("uid", ["..", "1.2%2f", "abc", "1?x", "1.2 "])
def test_uids_that_are_none(translate: Callable[[HttpRequest], Request], uid: str) -> None:
    """A path with what is no UID never reaches the service."""
    with pytest.raises(InvalidParameter):
        translate(asked({"study": uid, "series": "1.2"}))


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (InvalidParameter("limit must be between 1 and 200"), 400, "invalid-parameter"),
        (ConfigurationError(["DICOM_STORAGE: wrong"]), 503, "not-configured"),
        (RequestNotSent("x"), 503, "service-unreachable"),
        (ResponseLost("x"), 502, "service-response-lost"),
        (InvalidResponse("x"), 502, "invalid-service-response"),
        (status_error("search studies", 400), 400, "invalid-request"),
        (status_error("search studies", 401), 502, "service-denied-access"),
        (status_error("search studies", 403), 502, "service-denied-access"),
        (status_error("search studies", 404), 404, "not-found"),
        (status_error("search studies", 406), 406, "not-acceptable"),
        (status_error("search studies", 409), 502, "service-failed"),
        (status_error("search studies", 424), 502, "service-failed"),
        (status_error("search studies", 500), 502, "service-failed"),
        *((status_error("search studies", status), 503, "service-busy") for status in (408, 429, 502, 503, 504)),
        (ValueError(SECRET), 500, "internal"),
        (KeyError(SECRET), 500, "internal"),
    ],
    ids=repr,
)
def test_problems(error: Exception, status: int, code: str) -> None:
    """Each error has its status and stable code, and no words but ours: a failure behind us is never the caller's."""
    response = problem(error)
    body = json.loads(bytes(response.body))
    detail = {"detail": str(error)} if isinstance(error, InvalidParameter) else {}
    assert {key: value for key, value in body.items() if key != "title"} == {
        "type": "about:blank",
        "status": status,
        "code": code,
        **detail,
    }
    assert body["title"].endswith(".")
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
    assert "retry-after" not in response.headers
    assert SECRET.encode() not in bytes(response.body)


@pytest.mark.parametrize(
    ("status", "wait", "told"),
    [(429, 7.0, "7"), (503, 0.0, "0"), (503, 0.2, "1"), (504, 3600.0, "3600"), (500, 7.0, None), (404, 7.0, None)],
)
def test_retry_after(status: int, wait: float, told: str | None) -> None:
    """When the service says when to come again, a caller who is told to wait is told for how long."""
    assert problem(status_error("search studies", status, wait)).headers.get("retry-after") == told
