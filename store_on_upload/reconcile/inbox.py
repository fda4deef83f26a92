"""Each blob of the inbox, held against its receipt: is there one, and should the file be there still?"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from shared.settings import RECEIPTS
from store_on_upload.files.listing import Listing, Row
from store_on_upload.files.naming import is_name
from store_on_upload.receipts.container import Unreadable, read_receipt
from store_on_upload.receipts.known import Known
from store_on_upload.receipts.receipt import Disposition
from store_on_upload.sweeping.joining import ReceiptsListed

from .checking import Check, for_each
from .report import Difference


async def check_inbox(check: Check) -> None:
    """Count blobs without a receipt, and those that should have left.

    Raises:
        AzureError: storage failed.
    """
    receipts = ReceiptsListed(Listing(check.clients.container(RECEIPTS)))
    seen = 0
    async for listed in Listing(check.clients.inbox).pages():
        page = [row for row in listed if is_name(row.name)]  # others are ignored, and can have no receipt
        found = await receipts.find([row.name for row in page])
        await for_each(page, partial(_check_row, check, found.known))
        seen += len(listed)
        check.report.say(f"inbox: {seen:,} blobs")


async def _check_row(check: Check, listing: Mapping[str, Known | None], row: Row) -> None:
    listed = listing.get(row.name)
    known = listed if listed and listed.etag == row.etag else await _read(check, row)
    report = check.report
    if known is None:
        if row.is_folder:
            return
        if check.is_recent(row.last_modified):
            report.pending += 1
        else:
            report.add(Difference.WITHOUT_RECEIPT, row.name)
    elif known.disposition is Disposition.GONE:
        report.add(Difference.OVERDUE, row.name)
    elif known.is_final and known.disposition is not Disposition.KEEP and not check.is_recent(known.written_at):
        report.add(Difference.NOT_DISPOSED, row.name)


async def _read(check: Check, row: Row) -> Known | None:
    """Read a receipt that the listing does not show, or shows for another version."""
    try:
        document = await read_receipt(check.clients, row.name)
    except Unreadable:  # counted already
        return None
    return Known.of_document(document, row.etag) if document else None
