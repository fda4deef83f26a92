"""Every way in which a service can fail its client, and what the client makes of it (one table)."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from shared.dicomweb import (
    AccessDenied,
    Body,
    Busy,
    Conflict,
    DICOMwebClient,
    DICOMwebError,
    InvalidResponse,
    NotAcceptable,
    NotFound,
    Query,
    RequestNotSent,
    ResponseLost,
    RetryPolicy,
    StatusError,
)
from tests.component.dicomweb.client_under_test import (
    INSTANCE,
    JSON,
    SECRET,
    SHORT_TIMEOUT,
    STUDY,
    TIMEOUT,
    UIDS,
    assert_tells_nothing,
    client_of,
)
from tests.kit.scripted_server import LAST_CHUNK, End, Read, Script, answer, chunked, head, script, serve

CONTENT = bytes(range(256)) * 3000  # 750 KiB: three chunks of the body, and a few of the socket
Outcome = tuple[type[DICOMwebError] | None, int]  # the error, or None for an answer, and the requests made


async def store(client: DICOMwebClient) -> object:
    return (await client.store_instance(Body.from_bytes(CONTENT), study_instance_uid=STUDY)).outcome_of(INSTANCE)


async def search(client: DICOMwebClient) -> object:
    return await client.search_for_studies(Query({"PatientName": SECRET}))


async def retrieve(client: DICOMwebClient) -> object:
    async with client.retrieve_study(study_instance_uid=STUDY) as parts:
        return [await part.read() async for part in parts]


async def delete(client: DICOMwebClient) -> object:
    await client.delete_instance(**UIDS)
    return None


class TwoTokens(httpx.Auth):
    """Shows one token, and another one if the first is refused."""

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Sign a request, twice at most."""
        for token in ("first", "second"):
            request.headers["Authorization"] = f"Bearer {token}"
            if (yield request).status_code != 401:
                return


TRANSACTIONS: dict[str, Callable[[DICOMwebClient], Awaitable[object]]] = {
    "store": store,
    "search": search,
    "retrieve": retrieve,
    "delete": delete,
}


@dataclass(frozen=True)
class Fault:
    """What the service does to each request, and the outcome by transaction; a transaction left out is not tried."""

    name: str
    scripts: Script | tuple[Script, ...]
    outcomes: dict[str, Outcome]
    stalls: bool = False


def each(error: type[DICOMwebError], count: int = 1) -> dict[str, Outcome]:
    """The same outcome for all four."""
    return dict.fromkeys(TRANSACTIONS, (error, count))


def by_safety(error: type[DICOMwebError]) -> dict[str, Outcome]:
    """Repeated only where a second time does no harm."""
    return {"store": (error, 1), "search": (error, 3), "retrieve": (error, 3), "delete": (error, 1)}


def breaks_off() -> dict[str, Outcome]:
    """An answer whose body ends too early: a search, read as one, asks again; a retrieval has begun to be read.

    What is no multipart is refused by a retrieval before its end, and a delete reads no body.
    """
    return {"store": (ResponseLost, 1), "search": (ResponseLost, 3), "retrieve": (InvalidResponse, 1)}


def wrong_form() -> dict[str, Outcome]:
    """An answer of status 200 that none can read: for a delete, 200 itself is wrong."""
    return each(InvalidResponse) | {"delete": (StatusError, 1)}


HTML = f"<html>{SECRET}</html>".encode()
SAID_NO = answer(503, HTML, {"Content-Type": "text/html", "X-Patient": SECRET})
MULTIPART = {"Content-Type": f'multipart/related; type="application/dicom"; boundary={SECRET}'}
ONE_PART = f"--{SECRET}\r\nContent-Type: application/dicom\r\n\r\n".encode() + CONTENT
IN_AN_HOUR = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
LONG_AGO = "Wed, 21 Oct 2015 07:28:00 GMT"


def refusal(status: int, **headers: str) -> Script:
    """An answer that says no, with a body and headers that nobody may repeat."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return answer(status, HTML, {"Content-Type": "text/html", "X-Patient": SECRET, **named})


FAULTS = [
    # The connection
    Fault("reset before anything is read", script(End.RESET).after(Read.NOTHING), by_safety(ResponseLost)),
    Fault("reset after the request's head", script(End.RESET).after(Read.HEAD), by_safety(ResponseLost)),
    Fault("reset before the answer's head", script(End.RESET), by_safety(ResponseLost)),
    Fault("end before the answer's head", script(End.FIN), by_safety(ResponseLost)),
    Fault("reset inside the head", script(b"HTTP/1.1 200 OK\r\nX-Pat", End.RESET), by_safety(ResponseLost)),
    Fault("end inside the head", script(b"HTTP/1.1 200 OK\r\nX-Pat", End.FIN), by_safety(ResponseLost)),
    Fault("another protocol", script(b"SSH-2.0-" + HTML + b"\r\n\r\n", End.FIN), by_safety(ResponseLost)),
    Fault("no answer", script(End.STALL), by_safety(ResponseLost), stalls=True),
    Fault(
        "reset inside the body",
        script(head(200, {**JSON, "Content-Length": "100"}), b"[{", End.RESET),
        breaks_off(),
    ),
    Fault(
        "body shorter than its length",
        script(head(200, {**JSON, "Content-Length": "100"}) + b"[{", End.FIN),
        breaks_off(),
    ),
    Fault(
        "chunked body without its end",
        script(head(200, {**JSON, "Transfer-Encoding": "chunked"}), *chunked(b"[{", b"}]"), End.FIN),
        breaks_off(),
    ),
    Fault(
        "body that stops",
        script(head(200, {**JSON, "Content-Length": "100"}) + b"[{", End.STALL),
        breaks_off(),
        stalls=True,
    ),
    # The status
    Fault("408", refusal(408), by_safety(Busy)),
    Fault("429", refusal(429), each(Busy, 3)),
    Fault("429, come at once", refusal(429, Retry_After="0"), each(Busy, 3)),
    Fault("429, come in an hour", refusal(429, Retry_After="3600"), each(Busy, 1)),
    Fault("500", refusal(500), by_safety(StatusError)),
    Fault("502", refusal(502), by_safety(Busy)),
    Fault("503", refusal(503), each(Busy, 3)),
    Fault("503, come at a time that is past", refusal(503, Retry_After=LONG_AGO), each(Busy, 3)),
    Fault("503, come at a time in an hour", refusal(503, Retry_After=IN_AN_HOUR), each(Busy, 1)),
    Fault("503, come when you cannot tell", refusal(503, Retry_After=f"{SECRET} \xb2"), each(Busy, 3)),
    Fault("503, come after three digits that are none", refusal(503, Retry_After="\xb2\xb3\xb9"), each(Busy, 3)),
    Fault("504", refusal(504), by_safety(Busy)),
    Fault("408 with Retry-After", refusal(408, Retry_After="0"), by_safety(Busy)),
    Fault("500 with Retry-After", refusal(500, Retry_After="0"), by_safety(StatusError)),
    Fault("502 with Retry-After", refusal(502, Retry_After="0"), by_safety(Busy)),
    Fault("504 with Retry-After", refusal(504, Retry_After="0"), by_safety(Busy)),
    Fault("400", refusal(400), each(StatusError)),
    Fault("401 for ever", refusal(401, WWW_Authenticate=f"Bearer realm={SECRET}"), each(AccessDenied, 2)),
    Fault("403", refusal(403), each(AccessDenied)),
    Fault("404", refusal(404), each(NotFound)),
    Fault("406", refusal(406), each(NotAcceptable)),
    Fault("409", refusal(409), each(Conflict) | {"store": (InvalidResponse, 1)}),
    Fault("413", refusal(413), each(StatusError)),
    Fault("424", refusal(424), each(StatusError)),
    Fault("redirect", refusal(307, Location=f"/{SECRET}"), each(StatusError)),
    Fault("304 that nobody asked for", answer(304), each(StatusError)),
    Fault("503 whose body stalls", script(head(503, {"Content-Length": "9"}), b"<", End.STALL), each(Busy, 3)),
    Fault("404 whose body is broken gzip", answer(404, HTML, {"Content-Encoding": "gzip"}), each(NotFound)),
    Fault(
        "401 once, whose body is cut",
        (script(head(401, {"Content-Length": "9"}), b"<", End.RESET), answer(204)),
        {"store": (None, 2), "search": (None, 2), "delete": (None, 2)},
    ),
    # The body
    Fault("a page of HTML", answer(200, HTML, {"Content-Type": "text/html"}), wrong_form()),
    Fault("nonsense as JSON", answer(200, HTML, JSON), wrong_form()),
    Fault("no media type", answer(200, HTML), wrong_form()),
    Fault("JSON of another shape", answer(200, json.dumps({"00081199": SECRET}).encode(), JSON), wrong_form()),
    Fault("JSON without end", answer(200, b"[" * 200_000, JSON), wrong_form()),
    Fault("JSON in another encoding", answer(200, b'["\xff\xfe"]', JSON), wrong_form()),
    Fault(
        "gzip that was not asked for",
        answer(200, gzip.compress(b"[]"), {**JSON, "Content-Encoding": "gzip"}),
        wrong_form(),
    ),
    Fault("broken gzip", answer(200, HTML, {**JSON, "Content-Encoding": "gzip"}), wrong_form()),
    Fault("cut gzip", answer(200, gzip.compress(b"[]")[:12], {**JSON, "Content-Encoding": "gzip"}), wrong_form()),
    Fault("multipart without boundary", answer(200, HTML, {"Content-Type": "multipart/related"}), wrong_form()),
    Fault(
        "multipart with a boundary in another charset",
        answer(200, HTML, {"Content-Type": f"multipart/related; boundary*=utf-8''{SECRET}"}),
        wrong_form(),
    ),
    Fault("multipart cut inside a part", answer(200, ONE_PART, MULTIPART), {"retrieve": (InvalidResponse, 1)}),
    Fault("multipart of nothing", answer(200, b"", MULTIPART), {"retrieve": (InvalidResponse, 1)}),
    Fault(
        "multipart with part headers that are none",
        answer(200, f"--{SECRET}\r\n{SECRET}\r\n\r\n\r\n--{SECRET}--".encode(), MULTIPART),
        {"retrieve": (InvalidResponse, 1)},
    ),
    Fault(
        "multipart cut with the connection",
        script(head(200, {**MULTIPART, "Content-Length": "9999999"}) + ONE_PART, End.RESET),
        {"retrieve": (ResponseLost, 1)},
    ),
    Fault(
        "multipart without length, cut with the connection",
        script(head(200, MULTIPART) + ONE_PART, End.FIN),
        {"retrieve": (InvalidResponse, 1)},
    ),
    # What looks like a fault and is none
    Fault("nothing", answer(204), {"store": (None, 1), "search": (None, 1), "delete": (None, 1)}),
    Fault("nothing where something must be", answer(204), {"retrieve": (StatusError, 1)}),
    Fault("early hints", script(head(103) + head(204)), {"search": (None, 1), "delete": (None, 1)}),
    Fault(
        "JSON in drops",
        script(head(200, {**JSON, "Transfer-Encoding": "chunked"}), *chunked(b"[", b"{}", b"]"), LAST_CHUNK),
        {"search": (None, 1)},
    ),
    Fault("a reset, a refusal, an answer", (script(End.RESET), SAID_NO, answer(204)), {"search": (None, 3)}),
    Fault(
        "401 once, then an instance",
        (refusal(401), answer(200, ONE_PART + f"\r\n--{SECRET}--".encode(), MULTIPART)),
        {"retrieve": (None, 2)},
    ),
    Fault("401 once", (refusal(401), answer(204)), {"store": (None, 2), "search": (None, 2), "delete": (None, 2)}),
    Fault(
        "401 once, then one answer lost",
        (refusal(401), script(End.RESET)),
        {"store": (ResponseLost, 2), "search": (ResponseLost, 4), "delete": (ResponseLost, 2)},
    ),
    Fault("two refusals, an answer", (SAID_NO, refusal(429), answer(204)), {"store": (None, 3), "delete": (None, 3)}),
]
CASES = [
    pytest.param(fault, transaction, outcome, id=f"{transaction}-{fault.name.replace(' ', '_')}")
    for fault in FAULTS
    for transaction, outcome in fault.outcomes.items()
]


@pytest.mark.parametrize(("fault", "transaction", "outcome"), CASES)
async def test_faults(fault: Fault, transaction: str, outcome: Outcome) -> None:
    """A fault ends in its error after its number of requests, each of them whole, and the error tells nothing."""
    scripts = fault.scripts if isinstance(fault.scripts, tuple) else (fault.scripts,)
    error: DICOMwebError | None = None
    timeout = SHORT_TIMEOUT if fault.stalls else TIMEOUT
    async with serve(*scripts) as server, client_of(server.url, timeout=timeout, auth=TwoTokens()) as client:
        try:
            await TRANSACTIONS[transaction](client)
        except DICOMwebError as raised:
            error = raised
    assert (type(error) if error else None, len(server.requests)) == outcome
    whole = CONTENT if transaction == "store" and all(one.read is Read.ALL for one in scripts) else b""
    assert [request.body for request in server.requests] == [whole] * len(server.requests)
    if error:
        assert_tells_nothing(error)


@pytest.mark.parametrize("transaction", TRANSACTIONS)
async def test_refused_connection(transaction: str) -> None:
    """Where nobody listens nothing was sent, and every transaction is tried again, to the last attempt."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # bound, not listening
        pauses: list[float] = []

        def jitter() -> float:
            pauses.append(0.0)
            return pauses[-1]

        retry = RetryPolicy(first_pause_seconds=0.001, jitter=jitter)
        async with client_of(f"http://127.0.0.1:{bound.getsockname()[1]}/v2", retry=retry) as client:
            with pytest.raises(RequestNotSent) as raised:
                await TRANSACTIONS[transaction](client)
    assert len(pauses) == 2
    assert_tells_nothing(raised.value)
