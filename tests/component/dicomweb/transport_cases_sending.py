"""Rows about what is sent: bodies, connections, time."""

from __future__ import annotations

from tests.component.dicomweb import transport_plays as plays
from tests.component.dicomweb import transport_plays_around as around
from tests.component.dicomweb.transport_case import Case
from tests.component.dicomweb.transport_plays import LARGE, LARGE_UPLOAD, MIB, asked, body_of, get, post, upload
from tests.kit.scripted_server import End, Read, answer, head, script

EARLY_200 = answer(200).after(Read.HEAD)
EARLY_413 = answer(413).after(Read.HEAD)
CUT = {"Content-Length": "10"}
# Whether the last bytes leave before the error is a matter of luck.
MAYBE_WHOLE = "LocalProtocolError, next 204, 1 whole or LocalProtocolError, next 204, 0 whole"
RAISED_MAYBE_WHOLE = MAYBE_WHOLE.replace("LocalProtocolError", "ZeroDivisionError")

SENDING = [
    # An answer before the whole body was sent
    Case(
        "early 200, reads on",
        asked(LARGE_UPLOAD, EARLY_200.then(Read.ALL)),
        "RemoteProtocolError, next 204, 0 whole",
        "200, next 204, 1 whole",
    ),
    Case(
        "early 200, reads no more",
        asked(LARGE_UPLOAD, EARLY_200.then(End.DEAF), write=0.2),
        "RemoteProtocolError, next 204, 0 whole",
        "WriteTimeout, next 204, 0 whole",
    ),
    Case(
        "early 200, closes",
        asked(LARGE_UPLOAD, EARLY_200.then(End.FIN)),
        "RemoteProtocolError, next 204, 0 whole",
        "ReadError, next 204, 0 whole",
    ),
    Case(
        "early head of a 200, reads all",
        asked(LARGE_UPLOAD, script(head(200, CUT), Read.ALL, b"0123456789").after(Read.HEAD)),
        "200, next 204, 1 whole",
    ),
    Case(
        "early 413, closes",
        asked(LARGE_UPLOAD, EARLY_413.then(End.FIN)),
        "413, next 204, 0 whole",
        "ReadError, next 204, 0 whole",
    ),
    Case(
        "early 413, reads on",
        asked(LARGE_UPLOAD, EARLY_413.then(Read.ALL)),
        "413, next 204, 0 whole",
        "413, next 204, 1 whole",
    ),
    Case(
        "early 413, reads no more",
        asked(LARGE_UPLOAD, EARLY_413.then(End.DEAF), write=0.2),
        "413, next 204, 0 whole",
        "WriteTimeout, next 204, 0 whole",
    ),
    Case(
        "413 before anything is read",
        asked(LARGE_UPLOAD, answer(413).after(Read.NOTHING).then(End.FIN)),
        "413, next 204, 0 whole",
        "ReadError, next 204, 0 whole",
    ),
    Case(
        "early 413 to bytes", asked(post, EARLY_413.then(Read.ALL)), "413, next 204, 0 whole", "413, next 204, 1 whole"
    ),
    Case(
        "early 413 with a long body",
        asked(LARGE_UPLOAD, answer(413, MIB * LARGE).after(Read.HEAD).then(Read.ALL), write=0.2),
        "413, next 204, 0 whole",
        "WriteTimeout, next 204, 0 whole",
    ),
    # Bodies that are not what they announced
    Case(
        "too short",
        asked(upload(MIB, MIB, length=3 * len(MIB))),
        "BodyLengthError, next 204, 0 whole",
        "LocalProtocolError, next 204, 0 whole",
    ),
    Case(
        "too long",
        asked(upload(MIB, MIB, length=2 * len(MIB) - 1)),
        "BodyLengthError, next 204, 0 whole",
        "LocalProtocolError, next 204, 0 whole",
    ),
    Case(
        "too long by a chunk",
        asked(upload(MIB, MIB, MIB, length=2 * len(MIB))),
        "BodyLengthError, next 204, 0 whole",
        MAYBE_WHOLE,
    ),
    Case(
        "empty", asked(upload(length=5)), "BodyLengthError, next 204, 0 whole", "LocalProtocolError, next 204, 0 whole"
    ),
    Case(
        "raises",
        asked(upload(MIB, MIB, length=3 * len(MIB), then=plays.raise_broken)),
        "ZeroDivisionError, next 204, 0 whole",
    ),
    Case(
        "raises at its end",
        asked(upload(MIB, MIB, length=2 * len(MIB), then=plays.raise_broken)),
        "ZeroDivisionError, next 204, 0 whole",
        RAISED_MAYBE_WHOLE,
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
        "reset in an upload",
        asked(LARGE_UPLOAD, script(End.RESET).after(Read.HEAD)),
        "WriteError, next 204, 0 whole",
        "ReadError, next 204, 0 whole",
    ),
    Case(
        "end in an upload",
        asked(LARGE_UPLOAD, script(End.FIN).after(Read.HEAD)),
        "WriteError, next 204, 0 whole",
        "ReadError, next 204, 0 whole",
    ),
    Case("GET on a connection that ends", plays.reused("GET", by=End.FIN), "RemoteProtocolError, 1 sent"),
    Case("PUT on a connection that ends", plays.reused("PUT", by=End.FIN), "RemoteProtocolError, 1 sent"),
    Case("POST on a connection that ends", plays.reused("POST", by=End.FIN), "RemoteProtocolError, 1 sent"),
    Case("PUT on a connection that is reset", plays.reused("PUT", by=End.RESET), "ReadError, 1 sent"),
    Case("POST on a connection that is reset", plays.reused("POST", by=End.RESET), "ReadError, 1 sent"),
    Case("closed while idle", plays.closed_while_idle, "204"),
    Case("nobody listens", around.not_listening, "ConnectError"),
    Case("nobody accepts", around.not_accepting, "ConnectTimeout"),
    Case("no such host", around.no_such_host, "ConnectError"),
    Case("no TLS", around.no_tls, "ConnectError"),
    Case("certificate that nobody vouches for", around.untrusted_certificate, "ConnectError"),
    Case("TLS", around.over_tls(LARGE_UPLOAD, answer(204)), "204, next 204"),
    Case(
        "early 413 over TLS",
        around.over_tls(LARGE_UPLOAD, EARLY_413.then(End.STALL), write=0.2, read=0.2),
        "413, next 204",
        "413, next ReadTimeout",
    ),
    Case(
        "reads no more over TLS",
        around.over_tls(LARGE_UPLOAD, script(End.DEAF).after(Read.HEAD), write=0.2),
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
        "reads slowly", asked(LARGE_UPLOAD, answer(204).after(Read.SLOWLY), write=1.2, read=5), "204, next 204, 1 whole"
    ),
    Case(
        "reads bytes slowly",
        asked(post, answer(204).after(Read.SLOWLY), write=1.2, read=5),
        "204, next 204, 1 whole",
        "WriteTimeout, next 204, 0 whole",
    ),
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
        "204, next 204, 1 whole",
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
        "body closed after a reset",
        plays.closes(script(End.RESET).after(Read.HEAD)),
        "WriteError, 1 opened, 1 closed",
        "ReadError, 1 opened, 1 closed",
    ),
]
