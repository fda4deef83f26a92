"""How long a trigger's work may take."""

from __future__ import annotations

import asyncio

import pytest

from shared.events import Failed
from store_on_upload import blueprint as ingest


async def never_ending(*_: object) -> None:
    """Work that does not come to its end."""
    await asyncio.Event().wait()


async def test_ingest_is_ended_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host tries again."""
    monkeypatch.setattr(ingest, "LONGEST_RUN_SECONDS", 0.01)
    monkeypatch.setattr(ingest, "get_ingest", object)
    with pytest.raises(Failed, match="TimeoutError"):
        await ingest._run("ingest_failed", never_ending)
