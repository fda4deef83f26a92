"""Recording who saw what, as far as the setting AUDIT demands."""

from __future__ import annotations

import logging
from functools import cached_property

from azure.core.exceptions import AzureError

from query_api.lookup import Lookup
from query_api.refusals import refused
from shared.clients import Clients, get_clients
from shared.events import describe, event, place
from shared.settings import ACCESS_AUDIT, Audit

from .access_log import AccessLog
from .record import access_record


class Auditor:
    """Writes the access record of lookups.

    Args:
        clients: of the storage account that holds `access-audit`, among others.
    """

    def __init__(self, clients: Clients) -> None:
        self._demand = clients.settings.audit
        self._clients = clients

    @cached_property
    def _log(self) -> AccessLog:
        return AccessLog(self._clients.container(ACCESS_AUDIT))  # where nothing is recorded there may be no storage

    async def begin(self, lookup: Lookup, status: int) -> None:
        """Record that something is about to be handed out, where nothing may be that is not recorded.

        Raises:
            Refused: it could not be recorded.
        """
        if self._demand is Audit.REQUIRED and not await self._append(lookup, access_record(lookup, "begins", status)):
            raise refused("not-recorded")

    async def end(self, lookup: Lookup, status: int, bytes_sent: int, outcome: str) -> None:
        """Record how a lookup ended; where that cannot be done, the log says so."""
        if self._demand is not Audit.OFF:
            record = access_record(lookup, "ends", status, bytes_sent=bytes_sent, outcome=outcome)
            await self._append(lookup, record)

    async def _append(self, lookup: Lookup, line: bytes) -> bool:
        try:
            await self._log.append(line)
        except (AzureError, TimeoutError) as error:
            event(
                "access_not_recorded",
                level=logging.ERROR,
                request_id=lookup.request_id,
                error=describe(error),
                at=place(error),
            )
            return False
        return True


_auditor: Auditor | None = None


def get_auditor() -> Auditor:
    """Return the process's own; the first caller creates it, inside the running event loop.

    Raises:
        ConfigurationError: settings are missing or wrong.
    """
    global _auditor
    if _auditor is None:
        _auditor = Auditor(get_clients())
    return _auditor
