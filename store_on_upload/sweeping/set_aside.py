"""What was set aside and waits for a person: told as long as it lies there, so that its alert lasts as long."""

from __future__ import annotations

import logging

from azure.core.exceptions import AzureError, ResourceNotFoundError

from shared.events import describe, event
from shared.queues import FOREIGN_POISON, PARKED
from shared.settings import DEAD_LETTERS
from store_on_upload.files.listing import Listing
from store_on_upload.ingest import Ingest


async def tell_of_what_is_set_aside(ingest: Ingest) -> None:
    """Log how much there is, if there is anything; that it cannot be counted is logged, and keeps nothing else."""
    try:
        messages = [await ingest.queues.waiting(name) for name in (PARKED, FOREIGN_POISON)]
        dead_letters = await _count_dead_letters(ingest)
    except AzureError as error:
        return event("set_aside_unknown", level=logging.WARNING, error=describe(error))
    if any(messages) or dead_letters:
        event("set_aside", level=logging.WARNING, messages=sum(messages), dead_letters=dead_letters)
    return None


async def _count_dead_letters(ingest: Ingest) -> int:
    """Return how many events Event Grid could not deliver; of more than a page's, a page's."""
    try:
        page = await Listing(ingest.clients.container(DEAD_LETTERS)).next_page()
    except ResourceNotFoundError:  # nobody but infra/ makes the container
        return 0
    return sum(not row.is_folder for row in page)
