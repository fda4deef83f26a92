"""Recording who saw what, as far as the setting AUDIT demands."""

from __future__ import annotations

import logging
from functools import cached_property
from typing import Final

from azure.core.exceptions import AzureError

from shared.clients import Clients, get_clients
from shared.events import describe, event, place
from shared.problems import Refused
from shared.settings import ACCESS_AUDIT, Audit

from .access_log import AccessLog
from .record import Access, access_record

# The refusal `not-recorded`: its status, and what it means.
NOT_RECORDED: Final = (503, "It could not be recorded that this was handed out, and it must be; try again later.")
_RETRY_AFTER_SECONDS: Final = 2


class Auditor:
    """Writes the access record.

    Args:
        clients: of the storage account that holds `access-audit`, among others.
    """

    def __init__(self, clients: Clients) -> None:
        self._demand = clients.settings.audit
        self._clients = clients

    @cached_property
    def _log(self) -> AccessLog:
        return AccessLog(self._clients.container(ACCESS_AUDIT))  # where nothing is recorded there may be no storage

    async def begin(self, access: Access, status: int) -> None:
        """Record that something is about to be handed out, where nothing may be that is not recorded.

        Raises:
            Refused: it could not be recorded.
        """
        if self._demand is Audit.REQUIRED and not await self._append(access, access_record(access, "begins", status)):
            code, title = NOT_RECORDED
            raise Refused(code, "not-recorded", title, _RETRY_AFTER_SECONDS)

    async def end(self, access: Access, status: int, bytes_sent: int, outcome: str) -> None:
        """Record how an access ended; where that cannot be done, the log says so."""
        if self._demand is not Audit.OFF:
            record = access_record(access, "ends", status, bytes_sent=bytes_sent, outcome=outcome)
            await self._append(access, record)

    async def _append(self, access: Access, line: bytes) -> bool:
        try:
            await self._log.append(line)
        except (AzureError, TimeoutError) as error:
            event(
                "access_not_recorded",
                level=logging.ERROR,
                request_id=access.request_id,
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
