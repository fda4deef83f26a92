"""Each receipt, held against what it says: the instance is in the service, each file and copy in its container."""

from __future__ import annotations

from collections import defaultdict
from functools import partial

from shared.settings import ARCHIVE, QUARANTINE, RECEIPTS, REPLACED
from store_on_upload.files.listing import Listing, Row
from store_on_upload.files.moving import SOURCE_ETAG
from store_on_upload.files.naming import copy_names
from store_on_upload.files.source import version_of
from store_on_upload.probing.instance import SHA256
from store_on_upload.receipts.container import Unreadable, read_receipt
from store_on_upload.receipts.document import Document
from store_on_upload.receipts.known import Known
from store_on_upload.receipts.receipt import Disposition, Receipt, parse_timestamp
from store_on_upload.storing.uids import uids_of

from .checking import Check, for_each
from .report import Difference
from .service import Stored, Study, check_instances

Expected = defaultdict[Study, list[Stored]]  # what the receipts of a page say is in the service


async def check_receipts(check: Check) -> None:
    """Count the verdicts, and what they promise and is not there.

    Raises:
        AzureError, DICOMwebError: storage or the service failed.
    """
    seen = 0
    async for page in Listing(check.clients.container(RECEIPTS)).pages():
        expected: Expected = defaultdict(list)
        await for_each([row for row in page if not row.is_folder], partial(_check_row, check, expected))
        await for_each(list(expected.items()), lambda item: check_instances(check, *item))
        seen += len(page)
        check.report.say(f"receipts: {seen:,}")


async def _check_row(check: Check, expected: Expected, row: Row) -> None:
    try:
        document = await read_receipt(check.clients, row.name)
    except Unreadable:
        return check.report.add(Difference.RECEIPT_INVALID, row.name)
    if document is None:  # it was deleted just now
        return None
    if not _is_sound(document, row):
        check.report.add(Difference.RECEIPT_INVALID, row.name)
    for verdict, count in document.dropped.items():
        check.report.verdicts[verdict] += count
    for receipt in document.versions:
        await _check_version(check, receipt, expected, is_newest=receipt is document.newest)
    return None


def _is_sound(document: Document, row: Row) -> bool:
    """Say whether a receipt is about this blob, has each version once, and waits for none but the newest."""
    etags = [one.etag for one in document.versions]
    return (
        all(one.blob == row.name for one in document.versions)
        and len(set(etags)) == len(etags)
        and all(one.is_final for one in document.earlier)
        and Known.of_row(row) is not None
    )


async def _check_version(check: Check, receipt: Receipt, expected: Expected, *, is_newest: bool) -> None:
    report = check.report
    if receipt.verdict is None or receipt.decided_at is None:
        report.pending += 1
        if receipt.due_at is None or check.now - parse_timestamp(receipt.due_at) > check.grace:
            report.add(Difference.OVERDUE, receipt.blob)
        return
    report.verdicts[receipt.verdict] += 1
    if receipt.sha256 == SHA256:
        return  # a probe's: the instance expires, and the file is removed
    if receipt.is_in_service:
        _expect(check, receipt, expected)
    if receipt.replaced is not None:
        await _check_kept(check, receipt, receipt.replaced.kept_as)
    container = {Disposition.QUARANTINE: QUARANTINE, Disposition.ARCHIVE: ARCHIVE}.get(receipt.disposition)
    if container and not check.is_recent(parse_timestamp(receipt.decided_at)):
        await _check_moved(check, receipt, container, is_newest=is_newest)


def _expect(check: Check, receipt: Receipt, expected: Expected) -> None:
    if uids := uids_of(receipt):
        expected[Study(receipt.partition, uids.study_instance_uid)].append(Stored(uids, receipt.blob))
    else:
        check.report.unnamed += 1


async def _check_kept(check: Check, receipt: Receipt, kept_as: str) -> None:
    if await check.find(REPLACED, kept_as) is not None:
        return
    if not await check.purged.has(receipt.partition, receipt.study_instance_uid or ""):
        check.report.add(Difference.NOT_IN_REPLACED, receipt.blob)


async def _check_moved(check: Check, receipt: Receipt, container: str, *, is_newest: bool) -> None:
    """Look for the copy of a file that was to be moved; while the original is there, nothing is lost."""
    if await _is_moved(check, receipt, container):
        return
    if await version_of(check.clients.inbox.get_blob_client(receipt.blob)) == receipt.etag:
        return
    if not is_newest:
        check.report.overwritten += 1
        return
    kinds = {QUARANTINE: Difference.NOT_IN_QUARANTINE, ARCHIVE: Difference.NOT_IN_ARCHIVE}
    check.report.add(kinds[container], receipt.blob)


async def _is_moved(check: Check, receipt: Receipt, container: str) -> bool:
    for name in copy_names(receipt.blob, receipt.etag):
        copy = await check.find(container, name)
        if copy and copy.metadata.get(SOURCE_ETAG) == receipt.etag and not copy.is_being_copied:
            return True
    return False
