"""A night's report: which studies are due, one JSON line each, and why. It deletes nothing."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import date, datetime

from azure.storage.blob import ContentSettings
from pydicom import Dataset

from shared import clock
from shared.clients import Clients
from shared.dicomweb import DICOMwebClient, Query
from shared.settings import RETENTION_RECORDS

from .policy import judge, newest_due_date


@dataclass
class Summary:
    """What a report comes to."""

    examined: int = 0
    due: int = 0


async def write_report(clients: Clients, now: datetime | None = None) -> Summary:
    """Write the report for today (UTC) as `reports/<time>.jsonl` in the retention records, and return its summary.

    Without `PURGE_AFTER_DAYS` nothing is due, and the report is empty.

    Raises:
        DICOMwebError: the studies cannot be listed; no report is written then.
    """
    now = now or clock.now()
    summary = Summary()
    await clients.container(RETENTION_RECORDS).upload_blob(
        f"reports/{now:%Y-%m-%dT%H%M%S.%fZ}.jsonl",
        _lines(clients, now.date(), summary),
        overwrite=True,
        content_settings=ContentSettings(content_type="application/jsonl"),
    )
    return summary


async def _lines(clients: Clients, today: date, summary: Summary) -> AsyncIterator[bytes]:
    keep_days = clients.settings.purge_after_days
    if keep_days is None:
        return
    async with aclosing(_candidates(clients.dicom, today, keep_days)) as studies:
        async for study in studies:
            summary.examined += 1
            judgement = judge(study.get("StudyDate"), today, keep_days)
            if judgement.due:
                summary.due += 1
                line = {
                    "study_instance_uid": str(study.StudyInstanceUID),
                    "kept_until": str(judgement.kept_until),
                    "why": judgement.why,
                }
                yield json.dumps(line).encode() + b"\n"


def _candidates(dicom: DICOMwebClient, today: date, keep_days: int) -> AsyncGenerator[Dataset]:
    until = newest_due_date(today, keep_days)
    return dicom.iter_studies(Query({"StudyDate": f"-{until:%Y%m%d}"}))
