"""Rows of studies that are gone from the service: which of them the ledger keeps."""

from __future__ import annotations

from dataclasses import replace

from purge_study.records.begun import has_begun
from purge_study.records.pointers import read_time_of_deletion
from purge_study.run import Run

from .row import Row


class DeletionOpen(Exception):
    """Retention may have deleted the study: its row must not change until that is resolved."""


async def after_leaving(run: Run, row: Row) -> Row | None:
    """Return the row of a study that is gone; None if another client has deleted it, and the ledger forgets it.

    If retention has deleted the study, its row stays, and its date counts for the patient's other studies.

    Raises:
        DeletionOpen: retention has begun to delete it, and the outcome is not known yet.
        AzureError: storage failed.
    """
    if row.purged_at is not None:
        return row
    if row.reading is None:  # it has no date
        return None
    # A deletion is recorded by its pointer first, and then its intent is removed.
    if await has_begun(run.clients, row.key):
        raise DeletionOpen
    purged_at = await read_time_of_deletion(run.clients, row.key)
    return None if purged_at is None else replace(row, purged_at=purged_at, failures=0)
