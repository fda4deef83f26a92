"""The whole reconciliation, part by part; nothing is changed, and no more than a page of each listing is held."""

from __future__ import annotations

from datetime import timedelta

from shared import clock
from shared.clients import Clients
from shared.progress import Say, say_nothing
from shared.queues import ARRIVALS_POISON, BLOB_POISON, PARKED, Queues
from shared.settings import LONGEST_RUN_SECONDS
from store_on_upload.storing.purged import PurgedStudies

from .archived import check_archive
from .checking import Check
from .inbox import check_inbox
from .quarantined import check_quarantine
from .receipts import check_receipts
from .replaced import check_replaced
from .report import Difference, Report


async def reconcile(
    clients: Clients,
    *,
    names: bool = False,
    grace_seconds: float = LONGEST_RUN_SECONDS,
    say: Say = say_nothing,
) -> Report:
    """Hold all that is known of blobs against what is there.

    Args:
        clients: of the process.
        names: keep the names of what does not add up: they are patient data.
        grace_seconds: what has happened since may still be under way, and is no difference.
        say: told how far it has come.

    Raises:
        AzureError, DICOMwebError: it cannot be told.
    """
    report = Report(with_names=names, say=say)
    check = Check(clients, PurgedStudies(clients), report, clock.now(), timedelta(seconds=grace_seconds))
    await check_receipts(check)
    await check_inbox(check)
    await check_quarantine(check)
    await check_replaced(check)
    await check_archive(check)
    await _check_queues(check)
    return report


async def _check_queues(check: Check) -> None:
    queues = Queues(check.clients.queues)
    kinds = {
        ARRIVALS_POISON: Difference.POISONED,
        BLOB_POISON: Difference.POISONED,
        PARKED: Difference.PARKED,
    }
    for name, kind in kinds.items():
        if waiting := await queues.waiting(name):
            check.report.add(kind, count=waiting)
