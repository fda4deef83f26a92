"""The sweep: inbox and receipts, joined by name, so that no blob is forgotten."""

from __future__ import annotations

from .ingest import Ingest


async def sweep(ingest: Ingest) -> None:
    """Queue every blob that has been missed.

    Raises:
        AzureError: storage failed; the next run goes on.
    """
