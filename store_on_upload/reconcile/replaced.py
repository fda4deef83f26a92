"""Compare each copy in `dicom-replaced` with the receipt, or the instance's latest replacement, that names it."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from shared.settings import REPLACED
from shared.small_blobs import read_whole
from store_on_upload.files.listing import Listing, Row
from store_on_upload.receipts.container import Unreadable, read_receipt
from store_on_upload.setback import NotYet
from store_on_upload.storing.claim import read_replacement
from store_on_upload.storing.keeping import description_name
from store_on_upload.storing.uids import Uids

from .checking import Check, for_each
from .report import Difference


async def check_replaced(check: Check) -> None:
    """Count copies that nothing names.

    Raises:
        AzureError: storage failed.
    """
    async for page in Listing(check.clients.container(REPLACED)).pages():
        copies = [row for row in page if row.name.endswith(".dcm") and not row.is_folder]
        check.report.in_replaced += len(copies)
        await for_each(copies, partial(_check_copy, check))
        check.report.say(f"replaced: {check.report.in_replaced:,} copies")


async def _check_copy(check: Check, row: Row) -> None:
    if check.is_recent(row.last_modified):
        return
    if not (await _is_in_receipt(check, row.name) or await _is_in_note(check, row.name)):
        check.report.add(Difference.REPLACED_WITHOUT_RECEIPT, row.name)


async def _is_in_receipt(check: Check, name: str) -> bool:
    """Say whether the receipt of the version that replaced the instance names the copy, or is too old to be listed."""
    by = await _replaced_by(check, name)
    try:
        document = await read_receipt(check.clients, by["blob"])
        receipt = document.of_version(by["etag"]) if document else None
    except (Unreadable, KeyError, TypeError):
        return False
    if receipt is None:
        return document is not None and document.is_cut
    return receipt.replaced is not None and receipt.replaced.kept_as == name


async def _replaced_by(check: Check, name: str) -> Any:
    """Return which version a copy was made for; None if that is not written, or cannot be read."""
    found = await read_whole(check.clients.container(REPLACED).get_blob_client(description_name(name)))
    try:
        document = json.loads(found.content) if found else {}
    except ValueError:
        return None
    return document.get("replaced_by") if isinstance(document, dict) else None


async def _is_in_note(check: Check, name: str) -> bool:
    """Say whether the latest replacement of the instance, made or about to be, names the copy."""
    partition, *uids, _ = name.split("/")
    if len(uids) != 3:
        return False
    try:
        latest = await read_replacement(check.clients, partition, Uids(*uids))
    except NotYet:  # the note is damaged
        return False
    return latest is not None and latest.replaced.kept_as == name
