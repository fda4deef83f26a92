"""What the checks share: what they work with, and how many requests they send at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from shared.clients import Clients
from store_on_upload.files.naming import is_name
from store_on_upload.files.source import Version, find_version
from store_on_upload.storing.purged import PurgedStudies

from .report import Report

_AT_ONCE = 32
Item = TypeVar("Item")


@dataclass(frozen=True)
class Check:
    """A reconciliation under way.

    Args:
        clients: of the process.
        purged: which studies retention has deleted.
        report: what is found goes there.
        now: when it began.
        grace: what is younger may still be in somebody's hands.
    """

    clients: Clients
    purged: PurgedStudies
    report: Report
    now: datetime
    grace: timedelta

    def is_recent(self, when: datetime) -> bool:
        """Say whether something may still be going on."""
        return self.now - when < self.grace

    async def find(self, container: str, name: str) -> Version | None:
        """Return what lies in a container under a name; None if nothing."""
        if not is_name(name):
            return None
        return await find_version(self.clients.container(container).get_blob_client(name))


async def for_each(items: Sequence[Item], work: Callable[[Item], Awaitable[None]]) -> None:
    """Do something with each item, some at once."""
    for start in range(0, len(items), _AT_ONCE):
        await asyncio.gather(*map(work, items[start : start + _AT_ONCE]))
