"""What is too long to be passed on is refused before the service is asked."""

from __future__ import annotations

import pytest

from query_api.answering import MAX_TARGET_BYTES
from shared.clients import Clients
from tests.component.lookups import asking


@pytest.mark.parametrize("path", ["/api/changes?since=", "/api/studies/"])
async def test_path_and_query_have_a_limit(clients: Clients, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """Up to it the parameters are looked at, as ever."""
    async with asking(clients, "http://127.0.0.1:1/v2", monkeypatch) as app:
        longest = await app.get("http://app" + path.ljust(MAX_TARGET_BYTES + path.count("?"), "1"))
        longer = await app.get("http://app" + path.ljust(MAX_TARGET_BYTES + path.count("?") + 1, "1"))
    assert (longest.status_code, longest.json()["code"]) == (400, "invalid-parameter")
    assert (longer.status_code, longer.json()["code"]) == (414, "uri-too-long")
    assert "7168" in longer.json()["detail"]
