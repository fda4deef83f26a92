"""Who saw what: the access record of lookups, plans and receipts, in a real storage account."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import httpx
import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob.aio import BlobServiceClient, ContainerClient
from starlette.routing import Route

import shared.clients
from purge_study.blueprint import retention_plan, retention_plans, retention_study
from shared.auditing import access_log, auditor
from shared.auditing.access_log import AccessLog
from shared.callers import fingerprint_of
from shared.clients import Clients
from shared.dicomweb import DICOMwebClient
from shared.settings import RECEIPTS, RETENTION_RECORDS, load
from store_on_upload.blueprint import receipts
from store_on_upload.receipts.document import Document
from store_on_upload.receipts.receipt import Receipt
from store_on_upload.verdict import Verdict
from tests.kit.drop_box import make_instance
from tests.kit.files import Sample
from tests.kit.lookups import Start, served, until, work_of
from tests.kit.purged import Purged
from tests.kit.scripted_server import End, answer, head, script

pytestmark = pytest.mark.usefixtures("clients")  # whose account has the containers

DICOM = {"Content-Type": "application/dicom"}
FILE = make_instance().content
STUDY = "1.2.840.1"
INSTANCE = f"/studies/{STUDY}/series/1.3/instances/1.4"
KEY = "a function key"
AUDIT_KEY = "0123456789abcdef"
ON = {"AUDIT": "required", "AUDIT_KEY": AUDIT_KEY, "CALLERS": f"ris={fingerprint_of(KEY, AUDIT_KEY)}"}


PLAN = "20260131T081530Z-0123abcd"
PLAN_PAGE = b"<!doctype html><title>CANARY</title>"
RECEIPT = "CANARY/ward 7.dcm"
PURGED = Purged.of([Sample(study="1.2.840.3")], partition="audited")


@asynccontextmanager
async def reads(azurite: str, monkeypatch: pytest.MonkeyPatch, **settings: str) -> AsyncIterator[httpx.AsyncClient]:
    """Serve what ingest and retention answer to reads: of a plan, a purged study, and a file that came twice."""
    service = {
        "DICOM_SERVICE_URL": "http://127.0.0.1:1/v2",
        "DICOM_STORAGE": azurite,
        "LEDGER_KEY": "a key of this test",
    }
    given = load({**service, **settings})
    async with aclosing(Clients.over(given, DICOMwebClient(given.dicom_service_url))) as clients:
        plans = clients.container(RETENTION_RECORDS)
        await plans.upload_blob(f"plans/{PLAN}.jsonl", b"CANARY", overwrite=True)
        await plans.upload_blob(f"plans/{PLAN}.html", PLAN_PAGE, overwrite=True)
        for (container, name), blob in PURGED.blobs().items():
            await clients.container(container).upload_blob(name, blob, overwrite=True)
        content = json.dumps(receipt_of_two_versions().to_json())
        await clients.container(RECEIPTS).upload_blob(RECEIPT, content, overwrite=True)
        monkeypatch.setattr(shared.clients, "_clients", clients)
        monkeypatch.setattr(auditor, "_auditor", None)
        functions = {
            "receipts": receipts,
            "retention/plans": retention_plans,
            "retention/plans/{plan}": retention_plan,
            "retention/studies/{study}": retention_study,
        }
        routes = [Route(f"/{path}", work_of(function), methods=["GET"]) for path, function in functions.items()]
        async with (
            served(routes) as url,
            httpx.AsyncClient(base_url=url, timeout=20, trust_env=False, params={"code": KEY}) as http,
        ):
            yield http


def receipt_of_two_versions() -> Document:
    versions = [
        Receipt(RECEIPT, etag, 1, "2026-01-31T08:15:30Z", verdict=Verdict.STORED, study_instance_uid=study)
        for etag, study in (("0x2", "1.2.840.2"), ("0x1", STUDY))
    ]
    return Document(versions[0], (versions[1],))


async def records(azurite: str, request_id: str) -> list[dict[str, Any]]:
    """Return the lines of one lookup."""
    async with BlobServiceClient.from_connection_string(azurite) as storage:
        container = storage.get_container_client("access-audit")
        found = []
        async for name in container.list_blob_names():
            content = await (await container.download_blob(name)).readall()
            found += [json.loads(line) for line in content.splitlines()]
    return [line for line in found if line["request_id"] == request_id]


async def test_who_saw_what(start: Start, azurite: str) -> None:
    """Before the first byte, and when all is over: who, what, of which study, how much."""
    async with start(answer(200, FILE, DICOM), **ON) as running:
        response = await running.http.get(INSTANCE, headers={"x-functions-key": KEY})
        assert response.content == FILE
        await running.ended()
    begins, ends = await records(azurite, response.headers["x-request-id"])
    common = {
        "request_id": response.headers["x-request-id"],
        "caller": {"kind": "key", "id": fingerprint_of(KEY, AUDIT_KEY), "name": "ris"},
        "transaction": "retrieve",
        "resource": "instance",
        "partition": None,
        "study_instance_uid": STUDY,
        "status": 200,
    }
    assert begins == {"time": begins["time"], "phase": "begins", "outcome": None, "bytes": None, **common}
    assert ends == {"time": ends["time"], "phase": "ends", "outcome": "complete", "bytes": len(FILE), **common}
    assert begins["time"] <= ends["time"]


@pytest.mark.parametrize(
    ("path", "study"),
    [
        (f"/studies?StudyInstanceUID={STUDY}", STUDY),
        (f"/studies?0020000d={STUDY}", STUDY),
        (f"/studies/{STUDY}/series", STUDY),
        (f"/studies/{STUDY}-a/series", f"{STUDY}-a"),
        ("/studies?PatientID=CANARY", None),
        (f"/studies?StudyInstanceUID={STUDY},1.2", f"{STUDY}\\1.2"),
        (f"/studies?StudyInstanceUID={STUDY}%5C{STUDY}", STUDY),
        (f"/studies/{STUDY}?StudyInstanceUID=CANARY", STUDY),
    ],
)
async def test_which_study_a_search_is_about(start: Start, azurite: str, path: str, study: str | None) -> None:
    """The one that it names, or each of them; nothing else of the query."""
    async with start(answer(204), **ON) as running:
        response = await running.http.get(path)
        await running.ended()
    lines = await records(azurite, response.headers["x-request-id"])
    assert {line["study_instance_uid"] for line in lines} == {study}
    assert "CANARY" not in json.dumps(lines)


async def test_in_which_partition(start: Start, azurite: str) -> None:
    """The one that the path names."""
    async with start(answer(204), **ON) as running:
        response = await running.http.get(f"/partitions/site-a/studies/{STUDY}/series")
        await running.ended()
    lines = await records(azurite, response.headers["x-request-id"])
    assert [(line["phase"], line["partition"]) for line in lines] == [("begins", "site-a"), ("ends", "site-a")]


async def test_what_was_cut_and_what_was_refused(start: Start, azurite: str) -> None:
    """Who tried counts, too."""
    cut = script(head(200, {**DICOM, "Content-Length": "9999"}) + FILE, End.RESET)
    async with start(cut, answer(404), **ON) as running:
        with pytest.raises(httpx.RemoteProtocolError):
            await running.http.get(INSTANCE)
        refused = await running.http.get(INSTANCE)
        lines = await running.ended(2)
    begins, ends = await records(azurite, lines[0]["request_id"])
    assert (begins["phase"], ends["outcome"]) == ("begins", "cut")
    [ends] = [line for line in await records(azurite, refused.headers["x-request-id"]) if line["phase"] == "ends"]
    assert (ends["status"], ends["outcome"]) == (404, "complete")


@pytest.mark.parametrize(("demand", "status"), [("required", 503), ("best_effort", 200)])
async def test_where_nothing_can_be_recorded(
    start: Start, azurite: str, monkeypatch: pytest.MonkeyPatch, demand: str, status: int
) -> None:
    """Nothing is handed out that must be recorded; the log tells of it either way."""
    monkeypatch.setattr("shared.auditing.auditor.ACCESS_AUDIT", "no-such-container")
    async with start(answer(200, FILE, DICOM), **{**ON, "AUDIT": demand}) as running:
        response = await running.http.get(INSTANCE)
        assert response.status_code == status
        assert (response.content == FILE) is (status == 200)
        if status == 503:
            assert response.json()["code"] == "not-recorded"
            assert int(response.headers["retry-after"]) > 0
        [line] = await running.ended()
        assert line["status"] == status
        await until(lambda: bool(running.events("access_not_recorded")))
        failed = running.events("access_not_recorded")
        assert {event["request_id"] for event in failed} == {response.headers["x-request-id"]}


async def test_a_caller_that_hangs_up_while_it_is_recorded(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection to the service is given back at once, however long storage takes; so is the place."""
    recording = asyncio.Event()

    async def never(self: AccessLog, line: bytes) -> None:
        recording.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(AccessLog, "append", never)
    stalled = script(head(200, {**DICOM, "Content-Length": "9999"}) + FILE, End.STALL)
    async with start(stalled, **ON) as running:
        caller = asyncio.create_task(running.http.get(INSTANCE))
        request = await running.service.arrival()
        async with asyncio.timeout(10):
            await recording.wait()
            caller.cancel()
            await request.gone.wait()
        [line] = await running.ended()
        assert (line["status"], line["error"]) == (499, "ClientDisconnect")


@pytest.mark.parametrize(
    ("path", "query", "told"),
    [
        ("/receipts", {"name": RECEIPT}, {"resource": "receipt", "study_instance_uid": f"{STUDY}\\1.2.840.2"}),
        ("/receipts", {"name": RECEIPT, "etag": "0x1"}, {"resource": "receipt", "study_instance_uid": STUDY}),
        ("/retention/plans", {}, {"resource": "plans"}),
        (f"/retention/plans/{PLAN}.html", {}, {"resource": "plan", "plan": PLAN}),
        (f"/retention/plans/{PLAN}", {"format": "html"}, {"resource": "plan", "plan": PLAN}),
        (
            f"/retention/studies/{PURGED.key.uid}",
            {},
            {"resource": "retention", "study_instance_uid": PURGED.key.uid, "partition": PURGED.partition},
        ),
    ],
)
async def test_who_read_a_plan_a_receipt_or_the_future_of_a_study(
    azurite: str, monkeypatch: pytest.MonkeyPatch, path: str, query: dict[str, str], told: dict[str, Any]
) -> None:
    """Recorded as lookups are: who, what, of which studies or which plan, how much; nothing else of the request."""
    async with reads(azurite, monkeypatch, **ON) as http:
        response = await http.get(path, params=query)
        assert response.status_code == 200
    begins, ends = await records(azurite, response.headers["x-request-id"])
    common = {
        "request_id": response.headers["x-request-id"],
        "caller": {"kind": "key", "id": fingerprint_of(KEY, AUDIT_KEY), "name": "ris"},
        "transaction": "search" if told["resource"] == "plans" else "retrieve",
        "partition": None,
        "study_instance_uid": None,
        "status": 200,
        **told,
    }
    assert begins == {"time": begins["time"], "phase": "begins", "outcome": None, "bytes": None, **common}
    size = len(response.content)
    assert ends == {"time": ends["time"], "phase": "ends", "outcome": "complete", "bytes": size, **common}
    assert "CANARY" not in json.dumps([begins, ends])


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/receipts", {"name": "CANARY.dcm"}, 404),
        ("/receipts", {"name": RECEIPT, "CANARY": "1"}, 400),
        ("/retention/plans/CANARY", {}, 404),
        ("/retention/studies/CANARY", {}, 404),
        ("/retention/studies/1.2.840.3", {"CANARY": "1"}, 400),
    ],
)
async def test_who_was_refused_a_plan_a_receipt_or_the_future_of_a_study(
    azurite: str, monkeypatch: pytest.MonkeyPatch, path: str, query: dict[str, str], status: int
) -> None:
    """Whoever asks counts, too; what was asked for is not written down unless it is there."""
    async with reads(azurite, monkeypatch, **ON) as http:
        response = await http.get(path, params=query)
        assert response.status_code == status
    [ends] = await records(azurite, response.headers["x-request-id"])
    assert (ends["phase"], ends["status"], ends["study_instance_uid"]) == ("ends", status, None)
    assert "CANARY" not in json.dumps(ends)


@pytest.mark.parametrize(("demand", "status"), [("required", 503), ("best_effort", 200)])
@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/receipts", {"name": RECEIPT}),
        (f"/retention/plans/{PLAN}.html", {}),
        ("/retention/plans", {}),
        (f"/retention/studies/{PURGED.key.uid}", {}),
    ],
)
async def test_a_read_that_cannot_be_recorded(
    azurite: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    path: str,
    query: dict[str, str],
    demand: str,
    status: int,
) -> None:
    """As with lookups: nothing is handed out that must be recorded; the log tells of it either way."""
    monkeypatch.setattr("shared.auditing.auditor.ACCESS_AUDIT", "no-such-container")
    async with reads(azurite, monkeypatch, **{**ON, "AUDIT": demand}) as http:
        response = await http.get(path, params=query)
    assert response.status_code == status
    if status == 503:
        assert response.json()["code"] == "not-recorded"
        assert int(response.headers["retry-after"]) > 0
        assert PLAN not in response.text
        assert STUDY not in response.text
        assert PURGED.key.uid not in response.text
    told = [json.loads(record.message) for record in caplog.records if record.name == "dicom_dropbox"]
    failed = {line["request_id"] for line in told if line["event"] == "access_not_recorded"}
    assert failed == {response.headers["x-request-id"]}


async def test_reads_without_an_access_record(azurite: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With AUDIT off, which is the default, nothing of them is written."""
    async with reads(azurite, monkeypatch) as http:
        response = await http.get(f"/retention/plans/{PLAN}.html")
    assert response.content == PLAN_PAGE
    assert await records(azurite, response.headers["x-request-id"]) == []


async def test_off_writes_nothing(start: Start, azurite: str) -> None:
    """That is the default."""
    async with start(answer(200, FILE, DICOM)) as running:
        response = await running.http.get(INSTANCE)
        await running.ended()
    assert await records(azurite, response.headers["x-request-id"]) == []


async def test_lines_that_come_together_are_written_together(clients: Clients) -> None:
    """None is lost, and none is torn; a thousand take few requests."""
    container = await _container(clients, "together")
    log = AccessLog(container)
    await asyncio.gather(*(log.append(b"%d\n" % number) for number in range(1000)))
    [name] = [name async for name in container.list_blob_names()]
    blob = container.get_blob_client(name)
    content = await (await blob.download_blob()).readall()
    assert sorted(map(int, content.split())) == list(range(1000))
    assert (await blob.get_blob_properties()).append_blob_committed_block_count in range(1, 10)


async def test_a_full_blob_gives_way_to_another(clients: Clients) -> None:
    """A sealed one answers 409 as a full one does."""
    container = await _container(clients, "full")
    log = AccessLog(container)
    await log.append(b"1\n")
    [first] = [name async for name in container.list_blob_names()]
    await container.get_blob_client(first).seal_append_blob()
    await log.append(b"2\n")
    names = [name async for name in container.list_blob_names()]
    contents = [await (await container.download_blob(name)).readall() for name in names]
    assert sorted(contents) == [b"1\n", b"2\n"]


async def test_a_block_has_its_bounds(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many lines wait; and one that is larger by itself goes alone."""
    monkeypatch.setattr(access_log, "_MOST_BYTES", 10)
    container = await _container(clients, "bounds")
    log = AccessLog(container)
    lines = [b"x" * 25 + b"\n", *(b"%04d\n" % number for number in range(6))]
    await asyncio.gather(*map(log.append, lines))
    [name] = [name async for name in container.list_blob_names()]
    blob = container.get_blob_client(name)
    assert await (await blob.download_blob()).readall() == b"".join(lines)
    assert (await blob.get_blob_properties()).append_blob_committed_block_count == 4


async def test_whoever_is_not_recorded_is_told(clients: Clients) -> None:
    """All that waited for the same request; and the next line is tried anew."""
    container = clients.container("not-there-yet")
    log = AccessLog(container)
    results = await asyncio.gather(*(log.append(b"x\n") for _ in range(3)), return_exceptions=True)
    assert all(isinstance(result, HttpResponseError) for result in results)
    await container.create_container()
    await log.append(b"y\n")
    [name] = [name async for name in container.list_blob_names()]
    assert await (await container.download_blob(name)).readall() == b"y\n"


async def _container(clients: Clients, name: str) -> ContainerClient:
    container = clients.container(f"access-log-{name}")
    await container.create_container()
    return container
