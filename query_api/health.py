"""Is the app alive; could it do its work? Status only: the routes are anonymous."""

from __future__ import annotations

import asyncio
import logging

from shared.clients import get_clients
from shared.events import describe, event, place
from shared.kept import Kept

_KEPT_SECONDS = 10.0
_PATIENCE_SECONDS = 10.0  # the probe does not wait for all retries


class Readiness:
    """Ready means that a token was obtained and the service answered; the result is kept for ten seconds."""

    def __init__(self) -> None:
        self._known: Kept[bool] = Kept(_KEPT_SECONDS)

    async def is_ready(self) -> bool:
        """Return the kept result, or ask."""
        return await self._known.get(self._ask)

    async def _ask(self) -> bool:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                # Any role may ask for it, and it spans partitions: a service that has them refuses what names none.
                await get_clients().dicom.change_feed.latest()
        except TimeoutError:
            event("not_ready", level=logging.WARNING, error=f"no answer within {_PATIENCE_SECONDS:.0f} seconds")
            return False
        except Exception as error:
            event("not_ready", level=logging.WARNING, error=describe(error), at=place(error))
            return False
        return True
