"""Each file in quarantine, held against the reason beside it and its receipt; and each reason, against its file."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from shared.settings import QUARANTINE, QUARANTINE_REASONS
from shared.small_blobs import read_whole
from store_on_upload.files.listing import Listing, Row
from store_on_upload.files.naming import beginning_of
from store_on_upload.files.quarantine import reason_name
from store_on_upload.receipts.container import Unreadable, read_receipt

from .checking import Check, for_each
from .report import Difference


async def check_quarantine(check: Check) -> None:
    """Count files without a reason or a receipt, and reasons without a file.

    Raises:
        AzureError: storage failed.
    """
    async for page in Listing(check.clients.container(QUARANTINE)).pages():
        files = [row for row in page if not row.is_folder]
        check.report.in_quarantine += len(files)
        await for_each(files, partial(_check_file, check))
        check.report.say(f"quarantine: {check.report.in_quarantine:,} files")
    async for page in Listing(check.clients.container(QUARANTINE_REASONS)).pages():
        await for_each([row for row in page if not row.is_folder], partial(_check_reason, check))


async def _check_file(check: Check, row: Row) -> None:
    if check.is_recent(row.last_modified):
        return
    reason = await _read_reason(check, reason_name(row.name))
    if reason is None:
        check.report.add(Difference.WITHOUT_REASON, row.name)
    elif not await _is_known(check, reason):
        check.report.add(Difference.QUARANTINED_WITHOUT_RECEIPT, row.name)


async def _check_reason(check: Check, row: Row) -> None:
    name = row.name.removesuffix(".json")
    files: Any = check.clients.container(QUARANTINE).list_blob_names(name_starts_with=beginning_of(name))
    async for file in files:  # a long name is shortened in its reason's
        if reason_name(file) == row.name:
            return None
    return None if check.is_recent(row.last_modified) else check.report.add(Difference.REASON_WITHOUT_FILE, name)


async def _read_reason(check: Check, name: str) -> dict[str, Any] | None:
    """Return a reason; None if there is none, or nothing that could be one."""
    found = await read_whole(check.clients.container(QUARANTINE_REASONS).get_blob_client(name))
    try:
        reason = json.loads(found.content) if found else None
    except ValueError:
        return None
    return reason if isinstance(reason, dict) else None


async def _is_known(check: Check, reason: dict[str, Any]) -> bool:
    """Say whether a receipt tells of a file."""
    try:
        document = await read_receipt(check.clients, reason["blob"])
        return document is not None and (document.of_version(reason["etag"]) is not None or document.is_cut)
    except (Unreadable, KeyError, TypeError):
        return False
