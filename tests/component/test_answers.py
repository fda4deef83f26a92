"""What each answer of the DICOM service to a store leads to: a verdict, or a reason to wait and whose fault it is."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import compress

import pytest

from shared.arrivals import Arrival, Door
from shared.clients import Clients
from shared.dicomweb import DICOMwebClient, RetryPolicy
from shared.settings import OnPurged
from shared.sources import Sources
from store_on_upload.ingest import Ingest
from store_on_upload.receipts.container import read_receipt
from store_on_upload.receipts.receipt import Receipt, parse_timestamp
from store_on_upload.upload import handle
from tests.kit.files import Sample, new_uid, untold
from tests.kit.runs import REPLACE, other
from tests.kit.scripted_server import End, Read, Received, Script, answer, head, script, serve

JSON = {"Content-Type": "application/dicom+json"}
OURS = Sample()
OTHER = Sample()
ELSEWHERE = (replace(OURS, study=OTHER.study), replace(OURS, series=OTHER.series))
INBOX = ("dicom-inbox",)
IN_QUARANTINE = ("dicom-quarantine",)


def confirmed(
    sop: str = OURS.sop, *, warning: int | None = None, tag: str = "00080020", at: Sample | None = None
) -> bytes:
    """Return a dataset that says: stored, perhaps where."""
    item: dict[str, object] = {"00081155": {"vr": "UI", "Value": [sop]}, "00741048": {"vr": "SQ"}}
    if at:
        item["00081190"] = {"vr": "UR", "Value": [f"https://host/v2{at.path}"]}
    if warning is not None:
        comment = f"DICOM100: ({tag[:4]},{tag[4:]}) - Canary"
        item["00081196"] = {"vr": "US", "Value": [warning]}
        item["00741048"] = {"vr": "SQ", "Value": [{"00000902": {"vr": "LO", "Value": [comment]}}]}
    return json.dumps({"00081199": {"vr": "SQ", "Value": [item]}}).encode()


def failed(*codes: int, sop: str | None = OURS.sop, tag: str | None = None) -> bytes:
    """Return a dataset that says: not stored, for these reasons, perhaps that of a tag."""
    named: dict[str, object] = {"00081155": {"vr": "UI", "Value": [sop]}} if sop else {}
    if tag:
        comment = f"DICOM100: ({tag[:4]},{tag[4:]}) - Canary"
        named["00741048"] = {"vr": "SQ", "Value": [{"00000902": {"vr": "LO", "Value": [comment]}}]}
    items = [{"00081197": {"vr": "US", "Value": [code]}, **named} for code in codes]
    return json.dumps({"00081198": {"vr": "SQ", "Value": items}}).encode()


@dataclass(frozen=True)
class Outcome:
    """What is to stand in the receipt, and where the file is to be."""

    verdict: str | None
    reason: str | None = None
    code: int | None = None
    where: tuple[str, ...] = INBOX
    is_own_fault: bool = False
    retry_after: int = 0
    opens_circuit: bool = False


STORED = Outcome("stored")
UNCONFIRMED = Outcome(None, "not_confirmed", is_own_fault=True)
SERVICE_FAILED = Outcome(None, "service_failed", is_own_fault=True)
MISPLACED = Outcome(None, "service_failed", opens_circuit=True)
BUSY = Outcome(None, "service_busy", opens_circuit=True)
NO_ACCESS = Outcome(None, "access_denied", opens_circuit=True)
REFUSED = Outcome("rejected", "refused", where=IN_QUARANTINE)
OTHER_STUDY = Outcome("rejected", "other_study", where=IN_QUARANTINE)
OTHER_UIDS = Outcome("rejected", "other_uids", where=IN_QUARANTINE)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        # Stored, if our UID is named; whatever the status
        (answer(200, confirmed(), JSON), STORED),
        (answer(202, confirmed(), JSON), STORED),
        (answer(202, confirmed(warning=1), JSON), Outcome("stored_with_warnings", code=1)),
        (answer(202, confirmed(warning=45063), JSON), Outcome("stored_with_warnings", code=45063)),
        (answer(200, confirmed(at=OURS), JSON), STORED),
        # Stored as another instance
        (answer(200, confirmed(OTHER.sop), JSON), OTHER_UIDS),
        (answer(202, confirmed(OTHER.sop), JSON), OTHER_UIDS),
        (answer(202, confirmed(OTHER.sop, warning=1), JSON), OTHER_UIDS),
        *((answer(200, confirmed(at=place), JSON), OTHER_UIDS) for place in ELSEWHERE),
        # Not known to be stored
        (answer(200, b"{}", JSON), UNCONFIRMED),
        (answer(204), UNCONFIRMED),
        # Not stored
        (answer(409, failed(43264), JSON), replace(REFUSED, code=43264)),
        (answer(409, failed(43264, tag="00080018"), JSON), replace(REFUSED, code=43264)),
        (answer(409, failed(43264, tag="0020000D"), JSON), replace(OTHER_STUDY, code=43264)),
        (answer(409, failed(43265), JSON), replace(OTHER_STUDY, code=43265)),
        (answer(409, failed(43264, sop=None), JSON), replace(REFUSED, code=43264)),
        (answer(202, failed(43264), JSON), replace(REFUSED, code=43264)),
        (answer(409, failed(272), JSON), replace(SERVICE_FAILED, code=272)),
        (answer(409, failed(4711), JSON), replace(SERVICE_FAILED, code=4711)),
        (answer(409, failed(45071), JSON), Outcome(None, "being_stored", 45071, is_own_fault=True)),
        *((answer(409, failed(code, sop=OTHER.sop), JSON), OTHER_UIDS) for code in (43264, 45070, 45071, 272)),
        (answer(409, b"{}", JSON), UNCONFIRMED),
        # The request is at fault, or the file; nobody can say which
        *((answer(status), SERVICE_FAILED) for status in (302, 400, 405, 406, 415, 500)),
        (answer(413), Outcome("rejected", "too_large", where=IN_QUARANTINE)),
        # The way to the service
        *((answer(status), NO_ACCESS) for status in (401, 403)),
        *((answer(status), MISPLACED) for status in (404, 424)),
        # Later
        *((answer(status), BUSY) for status in (408, 429, 502, 503, 504)),
        (answer(429, headers={"Retry-After": "1234"}), replace(BUSY, retry_after=1234)),
        (answer(503, headers={"Retry-After": "1234"}), replace(BUSY, retry_after=1234)),
        (answer(429, headers={"Retry-After": "soon"}), BUSY),
        (answer(500, headers={"Retry-After": "1234"}), replace(SERVICE_FAILED, retry_after=1234)),
        # No answer, half of one, or nonsense
        (script(End.RESET), SERVICE_FAILED),
        (script(End.RESET).after(Read.HEAD), SERVICE_FAILED),
        (script(head(200, {**JSON, "Content-Length": "900"}) + confirmed()[:40], End.FIN), SERVICE_FAILED),
        (answer(200, b"no JSON", JSON), SERVICE_FAILED),
        (answer(200, b"[]", JSON), SERVICE_FAILED),
        (answer(200, confirmed(), {"Content-Type": "text/html"}), SERVICE_FAILED),
        (answer(409, b"<html>", {"Content-Type": "text/html"}), SERVICE_FAILED),
        (script(b"no HTTP at all\r\n\r\n", End.FIN), SERVICE_FAILED),
    ],
)
async def test_an_answer(clients: Clients, caplog: pytest.LogCaptureFixture, said: Script, expected: Outcome) -> None:
    """Nothing is stored twice for it, nor in another study, and what is put off comes back when it may."""
    caplog.set_level(logging.INFO, "dicom_dropbox")
    run = await handled(clients, OURS.content, lambda _: said)
    receipt = run.receipt
    assert (receipt.verdict, receipt.reason, receipt.service_code) == (expected.verdict, expected.reason, expected.code)
    assert await where_is(clients, receipt.blob) == expected.where
    assert run.requests == [f"POST /v2{OURS.study_path}"]
    assert ('"event": "other_uids"' in caplog.text) is (expected.reason == "other_uids")
    assert run.circuit_is_open is expected.opens_circuit
    most = clients.settings.ingest_concurrency
    assert run.places == (most // 2 if expected.reason == "service_busy" else most)
    if expected.verdict is None:
        assert receipt.failed_by_itself is expected.is_own_fault
        assert receipt.due_at
        assert receipt.failed_at
        waits = (parse_timestamp(receipt.due_at) - parse_timestamp(receipt.failed_at)).total_seconds()
        assert max(5, expected.retry_after) <= waits <= 1.5 * max(5, expected.retry_after) + 1
    if expected.verdict == "stored_with_warnings":
        assert receipt.attributes == ("00080020",)
    assert not any(secret in caplog.text for secret in ("Canary", OURS.sop, receipt.blob))


@pytest.mark.parametrize(
    ("retrieved", "expected"),
    [
        (answer(200, OURS.content, {"Content-Type": "application/dicom"}), Outcome("duplicate")),
        (
            answer(200, b"\1" * 128 + OURS.content[128:], {"Content-Type": "application/dicom"}),
            Outcome("duplicate"),
        ),
        (
            answer(200, OTHER.content, {"Content-Type": "application/dicom"}),
            Outcome("conflict", "other_bytes", where=IN_QUARANTINE),
        ),
        (
            answer(200, OURS.content[:-1], {"Content-Type": "application/dicom"}),
            Outcome("conflict", "other_bytes", where=IN_QUARANTINE),
        ),
        (answer(404), UNCONFIRMED),
        (answer(406), SERVICE_FAILED),
        (answer(429, headers={"Retry-After": "60"}), replace(BUSY, retry_after=60)),
        (answer(403), NO_ACCESS),
        (
            script(head(200, {"Content-Type": "application/dicom", "Content-Length": "9000"}) + OURS.content, End.FIN),
            SERVICE_FAILED,
        ),
    ],
)
async def test_an_instance_that_is_there_already(clients: Clients, retrieved: Script, expected: Outcome) -> None:
    """The stored bytes decide, the preamble apart; and where they cannot be had, nothing is decided."""
    run = await handled(
        clients,
        OURS.content,
        lambda request: answer(409, failed(45070), JSON) if request.method == "POST" else retrieved,
    )
    receipt = run.receipt
    assert (receipt.verdict, receipt.reason) == (expected.verdict, expected.reason)
    assert await where_is(clients, receipt.blob) == expected.where
    assert receipt.failed_by_itself is expected.is_own_fault
    assert run.circuit_is_open is expected.opens_circuit


async def test_where_it_was_stored_as_another_instance(clients: Clients) -> None:
    """The receipt has the UIDs of that instance, which somebody has to look at."""
    said = answer(200, confirmed(OTHER.sop, at=replace(OURS, sop=OTHER.sop)), JSON)
    receipt = (await handled(clients, OURS.content, lambda _: said)).receipt
    assert (receipt.verdict, receipt.reason) == ("rejected", "other_uids")
    assert (receipt.study_instance_uid, receipt.sop_instance_uid) == (OURS.study, OTHER.sop)


async def test_a_replacement_goes_into_its_study(clients: Clients) -> None:
    """As the file itself did before."""
    stored = answer(200, other(OURS), {"Content-Type": "application/dicom"})
    found = answer(200, json.dumps([{"00080018": {"vr": "UI", "Value": [OURS.sop]}}]).encode(), JSON)
    answers = {"POST": answer(409, failed(45070), JSON), "PUT": answer(200, confirmed(), JSON), "GET": stored}

    def choose(request: Received) -> Script:
        if "changefeed" in request.target:  # which has nothing to tell
            return answer(204)
        return found if "/instances?" in request.target else answers[request.method]

    settings = clients.settings.model_copy(update=REPLACE)
    run = await handled(replace(clients, settings=settings, sources=Sources(settings)), OURS.content, choose)
    assert run.receipt.verdict == "replaced"
    sent = [request for request in run.requests if not request.startswith("GET")]
    assert sent == [f"POST /v2{OURS.study_path}", f"PUT /v2{OURS.study_path}"]


async def test_a_study_that_the_header_does_not_tell(clients: Clients) -> None:
    """The service is not told one either, and what it refuses in the file is no other study."""
    sample = untold()
    said = answer(409, failed(43264, sop=sample.sop, tag="0020000D"), JSON)
    settings = clients.settings.model_copy(update={"on_purged": OnPurged.STORE})
    run = await handled(replace(clients, settings=settings), sample.content, lambda _: said)
    assert (run.receipt.verdict, run.receipt.reason) == ("rejected", "refused")
    assert run.requests == ["POST /v2/studies"]


async def test_a_service_that_is_not_there(clients: Clients) -> None:
    """No connection: an outage at once, and the file is not blamed."""
    receipt = (await handled(clients, OURS.content, None)).receipt
    assert (receipt.verdict, receipt.reason, receipt.failed_by_itself) == (None, "service_unreachable", False)


@dataclass(frozen=True)
class Handled:
    """What came of one run."""

    receipt: Receipt
    requests: list[str]
    circuit_is_open: bool
    places: int


async def handled(clients: Clients, content: bytes, choose: Callable[[Received], Script] | None) -> Handled:
    """Drop a file and handle it once, with a service that answers as it is told, or none."""
    name = f"{new_uid()}.dcm"
    await clients.inbox.upload_blob(name, content)
    async with serve(choose or answer(500)) as server:
        url = server.url if choose else clients.settings.dicom_service_url
        async with DICOMwebClient(url, retry=RetryPolicy(attempts=1)) as dicom:
            ingest = Ingest.over(replace(clients, dicom=dicom))
            await handle(ingest, Arrival((name,), Door.BLOB))
    document = await read_receipt(clients, name)
    assert document is not None
    assert document.earlier == ()
    requests = [f"{request.method} {request.target}" for request in server.requests]
    return Handled(document.newest, requests, ingest.circuit.is_open, ingest.gate.places)


async def where_is(clients: Clients, name: str) -> tuple[str, ...]:
    """Return the containers that have the file."""
    places = ("dicom-inbox", "dicom-archive", "dicom-quarantine")
    found = [await clients.container(place).get_blob_client(name).exists() for place in places]
    return tuple(compress(places, found))
