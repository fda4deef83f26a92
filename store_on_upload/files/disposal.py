"""What becomes of the file once its receipt is written; always of the version that was judged, never of a newer one."""

from __future__ import annotations

from shared.clients import Clients
from shared.settings import ARCHIVE, QUARANTINE
from store_on_upload.receipts.receipt import Disposition, Receipt

from .moving import copy_verified, delete_version
from .quarantine import copy_to_quarantine, delete_reason, write_reason
from .source import Version


async def dispose(
    clients: Clients, version: Version, receipt: Receipt, *, is_repeated: bool = False, is_lost: bool = False
) -> None:
    """Deal with a file as its receipt says; harmless when repeated.

    Args:
        clients: of the process.
        version: of the file.
        receipt: its own, final.
        is_repeated: whether an earlier run may have begun with it.
        is_lost: whether the service no longer has the instance that a receipt says it has: a replayed file may be the
            only copy, and is kept.

    Raises:
        Leased: the file may not be deleted now.
        Failed: a copy is not what it should be, or not there in time.
        SourceGone: the version is there no longer.
        AzureError: storage failed.
    """
    if version.blob.container_name == QUARANTINE:
        return await _dispose_of_replayed(clients, version, receipt, is_repeated, is_lost)
    match receipt.disposition:
        case Disposition.KEEP | Disposition.GONE:
            return None
        case Disposition.QUARANTINE:
            await copy_to_quarantine(clients, version, receipt, is_repeated=is_repeated)
        case Disposition.ARCHIVE:
            await copy_verified(clients, version, ARCHIVE, is_repeated=is_repeated)
        case Disposition.DELETE:
            pass
    return await delete_version(version)


async def _dispose_of_replayed(
    clients: Clients, version: Version, receipt: Receipt, is_repeated: bool, is_lost: bool
) -> None:
    """Take a file that has passed out of quarantine; where files are kept, the archive is the place left for it."""
    name = version.blob.blob_name
    if not receipt.is_in_service:
        return await write_reason(clients, name, receipt)
    if is_lost or receipt.disposition is not Disposition.DELETE:
        await copy_verified(clients, version, ARCHIVE, is_repeated=is_repeated)
    await delete_version(version)
    return await delete_reason(clients, name, version.etag)
