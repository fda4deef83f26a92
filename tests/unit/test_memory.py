from __future__ import annotations

import asyncio

import pytest

from store_on_upload.transcoding.explicit_vr import MAX_BYTES
from store_on_upload.transcoding.transcode import most_bytes_held
from store_on_upload.verdict import NotYet
from store_on_upload.waiting import memory
from store_on_upload.waiting.memory import BUDGET_BYTES, Memory


def test_the_largest_file_fits() -> None:
    assert most_bytes_held(100 * MAX_BYTES) <= BUDGET_BYTES


async def test_no_more_is_handed_out_than_there_is() -> None:
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
    shared_memory = Memory(100)
    with pytest.raises(ZeroDivisionError):
        async with shared_memory.reserved(100):
            raise ZeroDivisionError
    async with shared_memory.reserved(100):
        pass


async def test_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_PATIENCE_SECONDS", 0.01)
    shared_memory = Memory(100)
    async with shared_memory.reserved(100):
        with pytest.raises(NotYet):
            async with shared_memory.reserved(1):
                pass
    async with shared_memory.reserved(100):
        pass
