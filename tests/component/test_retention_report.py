"""The retention report, in a real storage account, of what a scripted DICOM service answers."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from purge_study.plan import Summary, write_report
from shared.clients import Clients
from shared.dicomweb import DICOMwebClient
from shared.settings import RETENTION_RECORDS
from tests.component.scripted_server import answer, serve

JSON = {"Content-Type": "application/dicom+json"}
NOW = datetime(2026, 6, 15, 3, 0, 0, 123456, tzinfo=UTC)


def study(uid: str, date: str | None) -> dict[str, object]:
    attributes: dict[str, object] = {"0020000D": {"vr": "UI", "Value": [uid]}}
    return attributes | ({"00080020": {"vr": "DA", "Value": [date]}} if date else {})


async def report(clients: Clients, *studies: dict[str, object]) -> tuple[Summary, list[str]]:
    """Return a report's summary and the studies in it; whoever keeps 30 days asks."""
    settings = clients.settings.model_copy(update={"purge_after_days": 30})
    async with serve(answer(200, json.dumps(studies).encode(), JSON), answer(204)) as server:
        asking = replace(clients, settings=settings, dicom=DICOMwebClient(server.url))
        summary = await write_report(asking, NOW)
        await asking.dicom.aclose()
    name = "reports/2026-06-15T030000.123456Z.jsonl"
    content = await (await clients.container(RETENTION_RECORDS).get_blob_client(name).download_blob()).readall()
    return summary, [json.loads(line)["study_instance_uid"] for line in content.splitlines()]


@pytest.mark.parametrize(
    ("date", "due"),
    [("20260515", True), ("20260516", False), ("29990101", False), ("20261332", False), (None, False)],
)
async def test_what_the_service_returns_is_judged_again(clients: Clients, date: str | None, due: bool) -> None:
    """A service that ignores the range must not make a study due: the date in its answer decides, to the day."""
    summary, studies = await report(clients, study("1.2.3", date))
    assert summary == Summary(examined=1, due=int(due))
    assert studies == (["1.2.3"] if due else [])
