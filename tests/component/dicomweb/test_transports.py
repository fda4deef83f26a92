"""The transport below the client (one table): each row says what comes of a play."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.component.dicomweb import transport_plays as plays
from tests.component.dicomweb.transport_plays import (
    LARGE,
    LARGE_UPLOAD,
    MIB,
    Play,
    asked,
    body_of,
    get,
    post,
    target,
    upload,
)
from tests.kit.scripted_server import LAST_CHUNK, End, Read, answer, chunked, head, script


@dataclass(frozen=True)
class Case:
    """A play and its outcome."""

    name: str
    play: Play
    outcome: str


IN_CHUNKS = {"Transfer-Encoding": "chunked"}
EARLY_200 = answer(200).after(Read.HEAD)
EARLY_413 = answer(413).after(Read.HEAD)
CUT = {"Content-Length": "10"}

CASES = [
    # An answer before the whole body was sent
    Case(
        "early 200, reads on", asked(LARGE_UPLOAD, EARLY_200.then(Read.ALL)), "RemoteProtocolError, next 204, 0 whole"
    ),
    Case(
        "early 200, reads no more",
        asked(LARGE_UPLOAD, EARLY_200.then(End.DEAF)),
        "RemoteProtocolError, next 204, 0 whole",
    ),
    Case("early 200, closes", asked(LARGE_UPLOAD, EARLY_200.then(End.FIN)), "RemoteProtocolError, next 204, 0 whole"),
    Case(
        "early head of a 200, reads all",
        asked(LARGE_UPLOAD, script(head(200, CUT), Read.ALL, b"0123456789").after(Read.HEAD)),
        "200, next 204, 1 whole",
    ),
    Case("early 413, closes", asked(LARGE_UPLOAD, EARLY_413.then(End.FIN)), "413, next 204, 0 whole"),
    Case("early 413, reads on", asked(LARGE_UPLOAD, EARLY_413.then(Read.ALL)), "413, next 204, 0 whole"),
    Case("early 413, reads no more", asked(LARGE_UPLOAD, EARLY_413.then(End.DEAF)), "413, next 204, 0 whole"),
    Case(
        "413 before anything is read",
        asked(LARGE_UPLOAD, answer(413).after(Read.NOTHING).then(End.FIN)),
        "413, next 204, 0 whole",
    ),
    Case("early 413 to bytes", asked(post, EARLY_413.then(Read.ALL)), "413, next 204, 0 whole"),
    Case(
        "early 413 with a long body",
        asked(LARGE_UPLOAD, answer(413, MIB * LARGE).after(Read.HEAD).then(Read.ALL)),
        "413, next 204, 0 whole",
    ),
    # Bodies that are not what they announced
    Case("too short", asked(upload(MIB, MIB, length=3 * len(MIB))), "BodyLengthError, next 204, 0 whole"),
    Case("too long", asked(upload(MIB, MIB, length=2 * len(MIB) - 1)), "BodyLengthError, next 204, 0 whole"),
    Case(
        "too long by a chunk", asked(upload(MIB, MIB, MIB, length=2 * len(MIB))), "BodyLengthError, next 204, 0 whole"
    ),
    Case("empty", asked(upload(length=5)), "BodyLengthError, next 204, 0 whole"),
    Case(
        "raises",
        asked(upload(MIB, MIB, length=3 * len(MIB), then=plays.raise_broken)),
        "ZeroDivisionError, next 204, 0 whole",
    ),
    Case(
        "raises at its end",
        asked(upload(MIB, MIB, length=2 * len(MIB), then=plays.raise_broken)),
        "ZeroDivisionError, next 204, 0 whole",
    ),
    Case(
        "raises an OSError",
        asked(upload(MIB, MIB, length=3 * len(MIB), then=plays.raise_os_error)),
        "OSError, next 204, 0 whole",
    ),
    Case(
        "raises, in chunks",
        asked(upload(MIB, MIB, length=None, then=plays.raise_broken)),
        "ZeroDivisionError, next 204, 0 whole",
    ),
    Case("in chunks", asked(upload(MIB, MIB, length=None)), "204, next 204, 1 whole"),
    # The connection
    Case(
        "reset before anything is read",
        asked(get, script(End.RESET).after(Read.NOTHING)),
        "ReadError, next 204, 0 whole",
    ),
    Case("reset before the head", asked(get, script(End.RESET)), "ReadError, next 204, 1 whole"),
    Case("reset in the head", asked(get, script(b"HTTP/1.1 200 OK\r\nA", End.RESET)), "ReadError, next 204, 1 whole"),
    Case("end before the head", asked(get, script(End.FIN)), "RemoteProtocolError, next 204, 1 whole"),
    Case(
        "end in the head",
        asked(get, script(b"HTTP/1.1 200 OK\r\nA", End.FIN)),
        "RemoteProtocolError, next 204, 1 whole",
    ),
    Case("garbage", asked(get, script(b"SSH-2.0-x\r\n\r\n", End.FIN)), "RemoteProtocolError, next 204, 1 whole"),
    Case(
        "reset in an upload", asked(LARGE_UPLOAD, script(End.RESET).after(Read.HEAD)), "WriteError, next 204, 0 whole"
    ),
    Case("end in an upload", asked(LARGE_UPLOAD, script(End.FIN).after(Read.HEAD)), "WriteError, next 204, 0 whole"),
    Case("GET on a connection that ends", plays.reused("GET", by=End.FIN), "RemoteProtocolError, 1 sent"),
    Case("PUT on a connection that ends", plays.reused("PUT", by=End.FIN), "RemoteProtocolError, 1 sent"),
    Case("POST on a connection that ends", plays.reused("POST", by=End.FIN), "RemoteProtocolError, 1 sent"),
    Case("PUT on a connection that is reset", plays.reused("PUT", by=End.RESET), "ReadError, 1 sent"),
    Case("POST on a connection that is reset", plays.reused("POST", by=End.RESET), "ReadError, 1 sent"),
    Case("closed while idle", plays.closed_while_idle, "204"),
    Case("nobody listens", plays.not_listening, "ConnectError"),
    Case("nobody accepts", plays.not_accepting, "ConnectTimeout"),
    Case("no such host", plays.no_such_host, "ConnectError"),
    Case("no TLS", plays.no_tls, "ConnectError"),
    Case("certificate that nobody vouches for", plays.untrusted_certificate, "ConnectError"),
    Case("TLS", plays.over_tls(LARGE_UPLOAD, answer(204)), "204, next 204"),
    Case(
        "early 413 over TLS",
        plays.over_tls(LARGE_UPLOAD, EARLY_413.then(End.STALL), write=0.2, read=0.2),
        "413, next 204",
    ),
    Case(
        "reads no more over TLS",
        plays.over_tls(LARGE_UPLOAD, script(End.DEAF).after(Read.HEAD), write=0.2),
        "WriteTimeout, next 204",
    ),
    Case("no connection free", plays.exhausted, "PoolTimeout, then 204"),
    Case("two loops", plays.two_loops, "204, 204, 204"),
    # Time
    Case("no answer", asked(get, script(End.STALL), read=0.1), "ReadTimeout, next 204, 1 whole"),
    Case(
        "no answer to an upload",
        asked(upload(MIB, MIB, length=2 * len(MIB)), script(End.STALL), read=0.1),
        "ReadTimeout, next 204, 1 whole",
    ),
    Case(
        "an answer that rests", body_of(script(head(200, CUT) + b"01", End.STALL), read=0.1), "01 ReadTimeout, next 204"
    ),
    Case(
        "an answer without length that rests",
        body_of(script(head(200), b"01", End.STALL), read=0.1),
        "01 ReadTimeout, next 204",
    ),
    Case(
        "reads no more",
        asked(LARGE_UPLOAD, script(End.DEAF).after(Read.HEAD), write=0.2),
        "WriteTimeout, next 204, 0 whole",
    ),
    Case(
        "reads no more of bytes",
        asked(post, script(End.DEAF).after(Read.HEAD), write=0.2),
        "WriteTimeout, next 204, 0 whole",
    ),
    Case(
        "reads slowly", asked(LARGE_UPLOAD, answer(204).after(Read.SLOWLY), write=2, read=5), "204, next 204, 1 whole"
    ),
    Case("reads bytes slowly", asked(post, answer(204).after(Read.SLOWLY), write=2, read=5), "204, next 204, 1 whole"),
    Case(
        "an answer in drops",
        body_of(script(head(200, {"Content-Length": "3"}), b"0", 0.15, b"1", 0.15, b"2"), read=0.25),
        "012 ends, next 204",
    ),
    # Ours counts from the end of the request to the head of the answer, whatever news comes in between.
    Case(
        "102 again and again",
        asked(get, script(head(102), 0.15, head(102), 0.15, head(204)), read=0.25),
        "ReadTimeout, next 204, 1 whole",
    ),
    Case("100 early in a long upload", plays.early_information, "204, next 204, 1 whole"),
    # Cancelled, and what is closed then
    Case(
        "cancelled in an upload", plays.cancelled(script(End.DEAF).after(Read.HEAD), LARGE_UPLOAD), "closed, next 204"
    ),
    Case("cancelled before the answer", plays.cancelled(script(End.STALL), get), "closed, next 204"),
    Case(
        "cancelled in the answer", plays.cancelled(script(head(200, CUT) + b"01", End.STALL), get), "closed, next 204"
    ),
    Case(
        "cancelled where the source waits",
        plays.cancelled(script(End.STALL), upload(MIB, MIB, length=3 * len(MIB), then=plays.wait_for_ever)),
        "closed, next 204",
    ),
    Case("body closed after an early 413", plays.closes(EARLY_413.then(Read.ALL)), "413, 1 opened, 1 closed"),
    Case(
        "body closed after a timeout",
        plays.closes(script(End.DEAF).after(Read.HEAD), write=0.2),
        "WriteTimeout, 1 opened, 1 closed",
    ),
    Case(
        "body closed after a reset", plays.closes(script(End.RESET).after(Read.HEAD)), "WriteError, 1 opened, 1 closed"
    ),
    # Before the answer
    Case("103", asked(get, script(head(103) + head(204))), "204, next 204, 1 whole"),
    Case("103 and then an end", asked(get, script(head(103), End.FIN)), "RemoteProtocolError, next 204, 1 whole"),
    Case("redirect", asked(get, answer(307, headers={"Location": "/x"})), "307, next 204, 1 whole"),
    # The answer's body
    Case("whole", body_of(answer(200, b"01")), "01 ends, next 204"),
    Case("cut, end", body_of(script(head(200, CUT) + b"01", End.FIN)), "01 RemoteProtocolError, next 204"),
    Case("cut, reset", body_of(script(head(200, CUT), b"01", End.RESET)), "01 RemoteProtocolError, next 204"),
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
    ),
    Case(
        "answer after the answer",
        body_of(script(head(200, {"Content-Length": "2"}) + b"01" + head(200, {"Content-Length": "0"}))),
        "01 ends, next 204",
    ),
    Case(
        "two lengths",
        body_of(script(head(200, {**CUT, **IN_CHUNKS}), *chunked(b"01"), LAST_CHUNK)),
        " RemoteProtocolError, next 204",
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
    Case("empty query", target("/a?"), "/a"),
    Case(
        "headers",
        plays.sent_head("GET", [("X-Case", "1"), ("x-case", "2"), ("X-Other", "3"), ("X-Case", "4")]),
        "X-Case: 1, X-Case: 2, X-Other: 3, X-Case: 4",
    ),
    Case("nothing added to a POST", plays.sent_head("POST", []), "Content-Length: 0"),
    Case("nothing added to a DELETE", plays.sent_head("DELETE", []), ""),
    Case(
        "Expect",
        asked(lambda client, url: client.post(url, content=b"1", headers={"Expect": "100-continue"})),
        "LocalProtocolError, next 204, 0 whole",
    ),
    Case("again after 401", plays.sent_again_after_401, "204, whole [True, True], 2 opened, 2 closed"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "_"))
async def test_transport(case: Case) -> None:
    """A play ends as its row says."""
    assert await case.play() == case.outcome
