"""Instances that the service has been about to store for an hour: remains of a store that died midway."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta

from shared.dicomweb import AccessDenied, DICOMwebClient, NotFound, StoreReason
from store_on_upload.receipts.receipt import Receipt, parse_timestamp
from store_on_upload.setback import NotYet

from .uids import Uids, is_stored

_LONG = timedelta(hours=1)


def is_stuck(receipt: Receipt, now: datetime) -> bool:
    """Say whether each attempt of the last hour, or of longer, was answered that the instance is being stored."""
    return receipt.stuck_since is not None and now - parse_timestamp(receipt.stuck_since) >= _LONG


async def clear_remains(dicom: DICOMwebClient, uids: Uids) -> bool:
    """Delete what is left of an instance that was never stored to its end; return False if there is a whole one.

    Raises:
        NotYet: the app may store and not delete, as is right for it.
        DICOMwebError: the service cannot be asked.
    """
    if await is_stored(dicom, uids):
        return False
    try:
        await dicom.delete_instance(**asdict(uids))
    except NotFound:
        pass  # gone meanwhile
    except AccessDenied:
        raise NotYet("remains_denied", StoreReason.BEING_STORED) from None
    return True
