"""How much memory the files that are transcoded take together, and that nobody waits for ever for it."""

from __future__ import annotations

import asyncio

import pytest

from store_on_upload.setback import NotYet
from store_on_upload.transcoding.explicit_vr import MAX_BYTES
from store_on_upload.transcoding.transcode import most_bytes_held
from store_on_upload.waiting import memory
from store_on_upload.waiting.memory import BUDGET_BYTES, Memory


def test_the_largest_file_fits() -> None:
    """What transcoding takes at most is within what there is, so that no file waits for what never comes."""
    assert most_bytes_held(100 * MAX_BYTES) <= BUDGET_BYTES


async def test_no_more_is_handed_out_than_there_is() -> None:
    """Several share it as far as it goes; the others wait, and all have their turn."""
    handed_out = most = 0
    shared_memory = Memory(100)

    async def use(size: int) -> None:
        nonlocal handed_out, most
        async with shared_memory.reserved(size):
            handed_out += size
            most = max(most, handed_out)
            await asyncio.sleep(0)
            handed_out -= size

    await asyncio.gather(*(use(size) for size in (60, 60, 100, 1, 30, 50) * 5))
    assert 60 < most <= 100


async def test_what_a_failure_held_comes_back() -> None:
    """However a file ends."""
    shared_memory = Memory(100)
    with pytest.raises(ZeroDivisionError):
        async with shared_memory.reserved(100):
            raise ZeroDivisionError
    async with shared_memory.reserved(100):
        pass


async def test_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who gets none in time is put off, and takes nothing away."""
    monkeypatch.setattr(memory, "_PATIENCE_SECONDS", 0.01)
    shared_memory = Memory(100)
    async with shared_memory.reserved(100):
        with pytest.raises(NotYet):
            async with shared_memory.reserved(1):
                pass
    async with shared_memory.reserved(100):
        pass
