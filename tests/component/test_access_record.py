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
PURGED_UID = PURGED.key.uid
OF_PURGED = {"resource": "retention", "study_instance_uid": PURGED_UID, "partition": "audited"}


@asynccontextmanager
async def reads(azurite: str, monkeypatch: pytest.MonkeyPatch, **settings: str) -> AsyncIterator[httpx.AsyncClient]:
    """Serve the reads of ingest and retention: of plans, a purged study, and a file with two versions."""
    service = {
        "DICOM_SERVICE_URL": "http://127.0.0.1:1/v2",
        "DICOM_STORAGE": azurite,
        "LEDGER_KEY": "a key of this test",
    }
    given = load({**service, **settings})
    async with aclosing(Clients.over(given, DICOMwebClient(given.dicom_service_url))) as clients:
        blobs = {
            (RETENTION_RECORDS, f"plans/{PLAN}.jsonl"): b"CANARY",
            (RETENTION_RECORDS, f"plans/{PLAN}.html"): PLAN_PAGE,
            (RECEIPTS, RECEIPT): json.dumps(receipt_of_two_versions().to_json()).encode(),
            **PURGED.blobs(),
        }
        for (container, name), blob in blobs.items():
            await clients.container(container).upload_blob(name, blob, overwrite=True)
        monkeypatch.setattr(shared.clients, "_clients", clients)
        monkeypatch.setattr(auditor, "_auditor", None)
        routes = [Route(f"/{path}", work_of(function), methods=["GET"]) for path, function in READS.items()]
        options: dict[str, Any] = {"timeout": 20, "trust_env": False, "params": {"code": KEY}}
        async with served(routes) as url, httpx.AsyncClient(base_url=url, **options) as http:
            yield http


READS = {
    "receipts": receipts,
    "retention/plans": retention_plans,
    "retention/plans/{plan}": retention_plan,
    "retention/studies/{study}": retention_study,
}


def receipt_of_two_versions() -> Document:
    versions = [
        Receipt(RECEIPT, etag, 1, "2026-01-31T08:15:30Z", verdict=Verdict.STORED, study_instance_uid=study)
        for etag, study in (("0x2", "1.2.840.2"), ("0x1", STUDY))
    ]
    return Document(versions[0], (versions[1],))


async def records(azurite: str, request_id: str) -> list[dict[str, Any]]:
    """Return the lines of one request."""
    async with BlobServiceClient.from_connection_string(azurite) as storage:
        container = storage.get_container_client("access-audit")
        found = []
        async for name in container.list_blob_names():
            content = await (await container.download_blob(name)).readall()
            found += [json.loads(line) for line in content.splitlines()]
    return [line for line in found if line["request_id"] == request_id]


async def assert_recorded(azurite: str, response: httpx.Response, transaction: str, **members: Any) -> None:
    """Check the two lines of a read: one before its first byte and one at its end, with nothing else of the request."""
    begins, ends = await records(azurite, response.headers["x-request-id"])
    common = {
        "request_id": response.headers["x-request-id"],
        "caller": {"kind": "key", "id": fingerprint_of(KEY, AUDIT_KEY), "name": "ris"},
        "transaction": transaction,
        "partition": None,
        "study_instance_uid": None,
        "status": 200,
        **members,
    }
    assert begins == {"time": begins["time"], "phase": "begins", "outcome": None, "bytes": None, **common}
    size = len(response.content)
    assert ends == {"time": ends["time"], "phase": "ends", "outcome": "complete", "bytes": size, **common}
    assert begins["time"] <= ends["time"]
    assert "CANARY" not in json.dumps([begins, ends])


async def test_a_retrieval_is_recorded(start: Start, azurite: str) -> None:
    async with start(answer(200, FILE, DICOM), **ON) as running:
        response = await running.http.get(INSTANCE, headers={"x-functions-key": KEY})
        assert response.content == FILE
        await running.ended()
    await assert_recorded(azurite, response, "retrieve", resource="instance", study_instance_uid=STUDY)


@pytest.mark.parametrize(
    ("path", "query", "transaction", "members"),
    [
        (
            "/receipts",
            {"name": RECEIPT},
            "retrieve",
            {"resource": "receipt", "study_instance_uid": f"{STUDY}\\1.2.840.2"},
        ),
        (
            "/receipts",
            {"name": RECEIPT, "etag": "0x1"},
            "retrieve",
            {"resource": "receipt", "study_instance_uid": STUDY},
        ),
        ("/retention/plans", {}, "search", {"resource": "plans"}),
        (f"/retention/plans/{PLAN}.html", {}, "retrieve", {"resource": "plan", "plan": PLAN}),
        (f"/retention/plans/{PLAN}", {"format": "html"}, "retrieve", {"resource": "plan", "plan": PLAN}),
        (f"/retention/studies/{PURGED_UID}", {}, "retrieve", OF_PURGED),
    ],
)
async def test_a_read_of_a_receipt_a_plan_or_a_purged_study_is_recorded(
    azurite: str,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    query: dict[str, str],
    transaction: str,
    members: dict[str, Any],
) -> None:
    async with reads(azurite, monkeypatch, **ON) as http:
        response = await http.get(path, params=query)
        assert response.status_code == 200
    await assert_recorded(azurite, response, transaction, **members)


@pytest.mark.parametrize(
    ("path", "study"),
    [
        (f"/studies?StudyInstanceUID={STUDY}", STUDY),
        (f"/studies?0020000d={STUDY}", STUDY),
        (f"/studies/{STUDY}-a/series", f"{STUDY}-a"),
        ("/studies?PatientID=CANARY", None),
        (f"/studies?StudyInstanceUID={STUDY},1.2", f"{STUDY}\\1.2"),
        (f"/studies?StudyInstanceUID={STUDY}%5C{STUDY}", STUDY),
        (f"/studies/{STUDY}?StudyInstanceUID=CANARY", STUDY),
        (f"/partitions/site-a/studies/{STUDY}/series", STUDY),
    ],
)
async def test_a_search_is_recorded_with_the_studies_that_it_names(
    start: Start, azurite: str, path: str, study: str | None
) -> None:
    """Nothing else of the query is."""
    async with start(answer(204), **ON) as running:
        response = await running.http.get(path)
        await running.ended()
    lines = await records(azurite, response.headers["x-request-id"])
    partition = "site-a" if "site-a" in path else None
    assert {(line["study_instance_uid"], line["partition"]) for line in lines} == {(study, partition)}
    assert "CANARY" not in json.dumps(lines)


async def test_a_cut_and_a_refused_retrieval_are_recorded(start: Start, azurite: str) -> None:
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


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/receipts", {"name": "CANARY.dcm"}, 404),
        ("/receipts", {"name": RECEIPT, "CANARY": "1"}, 400),
        ("/retention/plans/CANARY", {}, 404),
        ("/retention/studies/CANARY", {}, 404),
        (f"/retention/studies/{PURGED_UID}", {"CANARY": "1"}, 400),
    ],
)
async def test_a_refused_read_is_recorded_without_what_it_named(
    azurite: str, monkeypatch: pytest.MonkeyPatch, path: str, query: dict[str, str], status: int
) -> None:
    async with reads(azurite, monkeypatch, **ON) as http:
        response = await http.get(path, params=query)
        assert response.status_code == status
    [ends] = await records(azurite, response.headers["x-request-id"])
    assert (ends["phase"], ends["status"], ends["study_instance_uid"]) == ("ends", status, None)
    assert "CANARY" not in json.dumps(ends)


@pytest.mark.parametrize(("demand", "status"), [("required", 503), ("best_effort", 200)])
async def test_an_answer_that_cannot_be_recorded(
    start: Start, azurite: str, monkeypatch: pytest.MonkeyPatch, demand: str, status: int
) -> None:
    """It is refused if it must be recorded; the log names the request either way."""
    monkeypatch.setattr("shared.auditing.auditor.ACCESS_AUDIT", "no-such-container")
    settings = {**ON, "AUDIT": demand}
    async with start(answer(200, FILE, DICOM), **settings) as running:
        responses = [await running.http.get(INSTANCE)]
        assert (responses[0].content == FILE) is (status == 200)
        [line] = await running.ended()
        assert line["status"] == status
        async with reads(azurite, monkeypatch, **settings) as http:
            responses.append(await http.get("/receipts", params={"name": RECEIPT}))
            for path in (f"plans/{PLAN}.html", "plans", f"studies/{PURGED_UID}"):
                responses.append(await http.get(f"/retention/{path}"))
        ids = {response.headers["x-request-id"] for response in responses}
        await until(lambda: {line["request_id"] for line in running.events("access_not_recorded")} == ids)
    for response in responses:
        assert response.status_code == status
        if status == 503:
            assert response.json()["code"] == "not-recorded"
            assert int(response.headers["retry-after"]) > 0
            assert not any(word in response.text for word in (PLAN, STUDY, PURGED_UID))


async def test_a_caller_that_hangs_up_while_it_is_recorded(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection to the service is released immediately, however long storage takes."""
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


async def test_nothing_is_recorded_by_default(start: Start, azurite: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with start(answer(200, FILE, DICOM)) as running:
        retrieved = await running.http.get(INSTANCE)
        await running.ended()
    async with reads(azurite, monkeypatch) as http:
        read = await http.get(f"/retention/plans/{PLAN}.html")
    assert (retrieved.content, read.content) == (FILE, PLAN_PAGE)
    for response in (retrieved, read):
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
