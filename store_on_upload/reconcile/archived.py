"""Each file in the archive, held against the receipts: one that none knows of was never accounted for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from shared.settings import ARCHIVE, RECEIPTS
from store_on_upload.files.listing import Listing, Row
from store_on_upload.files.moving import SOURCE_ETAG
from store_on_upload.files.naming import may_be_shortened
from store_on_upload.receipts.container import Unreadable, read_receipt
from store_on_upload.receipts.known import Known
from store_on_upload.sweeping.joining import ReceiptsListed

from .checking import Check, for_each
from .report import Difference


async def check_archive(check: Check) -> None:
    """Count files without a receipt.

    Raises:
        AzureError: storage failed.
    """
    receipts = ReceiptsListed(Listing(check.clients.container(RECEIPTS)))
    seen = 0
    async for page in Listing(check.clients.container(ARCHIVE)).pages():
        files = [row for row in page if not row.is_folder]
        found = await receipts.find([_original_name(row) for row in files])
        await for_each(files, partial(_check_file, check, found.known))
        seen += len(files)
        check.report.say(f"archive: {seen:,} files")


async def _check_file(check: Check, listing: Mapping[str, Known | None], row: Row) -> None:
    name, etag = _original_name(row), row.metadata.get(SOURCE_ETAG)
    listed = listing.get(name)
    if (listed and listed.etag == etag) or check.is_recent(row.last_modified):
        return
    # A name that was shortened does not tell that of the receipt.
    is_shortened = row.name != name and may_be_shortened(name)
    if not is_shortened and not await _is_known(check, name, etag):
        check.report.add(Difference.ARCHIVED_WITHOUT_RECEIPT, row.name)


def _original_name(row: Row) -> str:
    """Return the name that the file had in the inbox."""
    return row.name.removesuffix(f"~{row.metadata.get(SOURCE_ETAG)}")


async def _is_known(check: Check, name: str, etag: str | None) -> bool:
    try:
        document = await read_receipt(check.clients, name)
    except Unreadable:  # counted already
        return True
    return document is not None and etag is not None and (document.of_version(etag) is not None or document.is_cut)
