"""Rows about what comes back, and about the heads of requests."""

from __future__ import annotations

from tests.component.dicomweb import transport_plays as plays
from tests.component.dicomweb import transport_plays_around as around
from tests.component.dicomweb.transport_case import Case
from tests.component.dicomweb.transport_plays import asked, body_of, get, target
from tests.kit.scripted_server import LAST_CHUNK, End, answer, chunked, head, script

CUT = {"Content-Length": "10"}
IN_CHUNKS = {"Transfer-Encoding": "chunked"}

RECEIVING = [
    # Before the answer
    Case("103", asked(get, script(head(103) + head(204))), "204, next 204, 1 whole"),
    Case("103 and then an end", asked(get, script(head(103), End.FIN)), "RemoteProtocolError, next 204, 1 whole"),
    Case("redirect", asked(get, answer(307, headers={"Location": "/x"})), "307, next 204, 1 whole"),
    # The answer's body
    Case("whole", body_of(answer(200, b"01")), "01 ends, next 204"),
    Case("cut, end", body_of(script(head(200, CUT) + b"01", End.FIN)), "01 RemoteProtocolError, next 204"),
    Case(
        "cut, reset",
        body_of(script(head(200, CUT), b"01", End.RESET)),
        "01 RemoteProtocolError, next 204",
        "01 ReadError, next 204",
    ),
    Case(
        "chunks cut, end",
        body_of(script(head(200, IN_CHUNKS), *chunked(b"01"), End.FIN)),
        "01 RemoteProtocolError, next 204",
    ),
    Case(
        "chunks without the last line",
        body_of(script(head(200, IN_CHUNKS), *chunked(b"01"), LAST_CHUNK[:3], End.FIN)),
        "01 RemoteProtocolError, next 204",
    ),
    Case(
        "chunk of a bad size",
        body_of(script(head(200, IN_CHUNKS), *chunked(b"01"), b"zz\r\n", End.STALL)),
        "01 RemoteProtocolError, next 204",
    ),
    Case("no length, end", body_of(script(head(200), b"01", End.FIN)), "01 ends, next 204"),
    Case("no length, reset", body_of(script(head(200), b"01", End.RESET)), "01 ReadError, next 204"),
    Case(
        "bytes after the body",
        body_of(script(head(200, {"Content-Length": "2"}) + b"01rest")),
        " RemoteProtocolError, next 204",
        "01 ends, next RemoteProtocolError",
    ),
    Case(
        "answer after the answer",
        body_of(script(head(200, {"Content-Length": "2"}) + b"01" + head(200, {"Content-Length": "0"}))),
        "01 ends, next 204",
        "01 ends, next 200",
    ),
    Case(
        "two lengths",
        body_of(script(head(200, {**CUT, **IN_CHUNKS}), *chunked(b"01"), LAST_CHUNK)),
        " RemoteProtocolError, next 204",
        "01 ends, next 204",
    ),
    Case("gzip", plays.gzip_raw, "raw True, decoded True"),
    Case(
        "long header, many headers",
        body_of(answer(200, b"01", {"X-Long": "a" * 20_000} | {f"X-{n}": "" for n in range(200)})),
        "01 ends, next 204",
    ),
    Case("closed unread", plays.given_back(read=False), "2 connections"),
    Case("closed when read", plays.given_back(read=True), "1 connections"),
    # The request's head
    Case("encoded path", target("/frames/1%2C2"), "/frames/1%2C2"),
    Case("encoded slash and dots", target("/a%2Fb/%2e%2e/c"), "/a%2Fb/%2e%2e/c"),
    Case(
        "encoded name",
        target("?PatientName=M%C3%BCller%5EJ%2A&includefield=..%2C.."),
        "?PatientName=M%C3%BCller%5EJ%2A&includefield=..%2C..",
    ),
    Case("encoded reserved characters", target("?a=%5C+%20%2B%3D%26%3B"), "?a=%5C+%20%2B%3D%26%3B"),
    Case("needlessly encoded", target("?a=%27%28%29%21%7E%41"), "?a=%27%28%29%21%7E%41"),
    Case("encoded in lower case", target("?a=%c3%bc"), "?a=%c3%bc"),
    Case("percent that encodes nothing", target("?a=%ZZ"), "?a=%ZZ"),
    Case("not encoded", target("?a=Müller^J* x"), "?a=M%C3%BCller^J*%20x"),
    Case("empty query", target("/a?"), "/a", "/a?"),
    Case(
        "headers",
        plays.sent_head("GET", [("X-Case", "1"), ("x-case", "2"), ("X-Other", "3"), ("X-Case", "4")]),
        "X-Case: 1, X-Case: 2, X-Other: 3, X-Case: 4",
        "X-Case: 1, x-case: 2, X-Other: 3, X-Case: 4",
    ),
    Case("nothing added to a POST", plays.sent_head("POST", []), "Content-Length: 0"),
    Case("nothing added to a DELETE", plays.sent_head("DELETE", []), ""),
    Case(
        "Expect",
        asked(lambda client, url: client.post(url, content=b"1", headers={"Expect": "100-continue"})),
        "LocalProtocolError, next 204, 0 whole",
        "204, next 204, 1 whole",
    ),
    Case("cookie of a host with a name", plays.cookies_by_name, "none"),
    Case("netrc in the environment", around.netrc_in_the_environment, "none"),
    Case("proxy in the environment", around.proxy_in_the_environment, "204"),
    Case("again after 401", plays.sent_again_after_401, "204, whole [True, True], 2 opened, 2 closed"),
]
