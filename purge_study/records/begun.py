"""Open deletions: each study's intent, in `retention-state`, until its deletion is recorded."""

from __future__ import annotations

from typing import Final

from purge_study.ledger.row import StudyKey
from shared.clients import Clients
from shared.settings import RETENTION_STATE

INTENTS: Final = "intents/"


def intent_name(key: StudyKey) -> str:
    """Return the name of a study's intent, whichever deletion it is of."""
    return f"{INTENTS}{key.partition}/{key.uid}.json"


async def has_begun(clients: Clients, key: StudyKey) -> bool:
    """Say whether a deletion of a study has begun whose outcome is not known yet.

    Raises:
        AzureError: storage failed.
    """
    return await clients.container(RETENTION_STATE).get_blob_client(intent_name(key)).exists()
