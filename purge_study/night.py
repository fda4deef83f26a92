"""A night's run: the ledger brought up to date, a plan, and what of it may be carried out."""

from __future__ import annotations

from shared.clients import Clients


async def run_night(clients: Clients) -> None:
    """Make the plan and carry out what the mode, the brakes and the approvals allow.

    Raises:
        ConfigurationError: settings are missing.
        DICOMwebError, AzureError: the service or the storage failed before anything was deleted.
    """
    raise NotImplementedError
