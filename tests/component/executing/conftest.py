"""What the tests of deletions share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from tests.kit.deleting_process import opened, without_pauses
from tests.kit.deletions import Deletions


@pytest.fixture(scope="module")
def all_deletions(azurite: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deletions]:
    """One storage account and DICOM service, which a module's tests share."""
    with Deletions.over(azurite, tmp_path_factory.mktemp("dicom")) as deletions:
        yield deletions


@pytest.fixture
async def deletions(all_deletions: Deletions, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Deletions]:
    """The same with nothing in the way, and with nothing that waits before it tries again."""
    without_pauses(monkeypatch)
    all_deletions.begin()
    async with opened(all_deletions.direct) as run:
        yield replace(all_deletions, own=run)
