"""Could the app do its work?"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable

from shared.clients import Clients, get_clients
from shared.events import describe, event, place
from shared.kept import Kept
from shared.settings import ACCESS_AUDIT, REPLACED, RETENTION_RECORDS, RETENTION_STATE, Audit

_KEPT_SECONDS = 10.0
_PATIENCE_SECONDS = 10.0  # whoever asks does not wait for all retries


class Readiness:
    """Ready means that the DICOM service, and the containers without which nothing goes, answered; kept for ten
    seconds.
    """

    def __init__(self) -> None:
        self._known: Kept[bool] = Kept(_KEPT_SECONDS)

    async def is_ready(self) -> bool:
        """Return the kept result, or ask."""
        return await self._known.get(self._ask)

    async def _ask(self) -> bool:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await _everything_answers(get_clients())
        except TimeoutError:
            event("not_ready", level=logging.WARNING, error=f"no answer within {_PATIENCE_SECONDS:.0f} seconds")
            return False
        except Exception as error:
            event("not_ready", level=logging.WARNING, error=describe(error), at=place(error))
            return False
        return True


async def _everything_answers(clients: Clients) -> None:
    # Any role may ask for the feed, and it spans partitions: a service that has them refuses what names none.
    asked: list[Awaitable[object]] = [clients.dicom.change_feed.latest()]
    asked += [clients.container(name).get_container_properties() for name in _needed(clients)]
    await asyncio.gather(*asked)


def _needed(clients: Clients) -> list[str]:
    """Return the containers without which the app could not do its work."""
    settings = clients.settings
    stores = "store_on_upload" in settings.enabled_functions
    needed = {
        settings.dicom_inbox_container: stores,
        REPLACED: stores and clients.sources.may_replace,
        RETENTION_RECORDS: "purge_study" in settings.enabled_functions,
        RETENTION_STATE: "purge_study" in settings.enabled_functions,
        ACCESS_AUDIT: "query_api" in settings.enabled_functions and settings.audit is Audit.REQUIRED,
    }
    return [name for name, is_needed in needed.items() if is_needed]
