"""How many files are on their way at once, and that large ones do not stand in the way of small ones."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from store_on_upload.setback import NotYet
from store_on_upload.waiting import gate as gate_module
from store_on_upload.waiting.gate import LARGE_BYTES, Gate

TWO_GB = 2 * 1024**3


class Files:
    """Transfers through a gate, each of which ends when it is told to."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.inside = 0
        self.most = 0
        self._end = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, number: int, size: int = 1) -> None:
        """Start so many, and wait until each is as far as it can get."""
        self._tasks += [asyncio.create_task(self._one(size)) for _ in range(number)]
        await everything_that_can_run()

    async def end(self) -> None:
        """End them all."""
        self._end.set()
        await asyncio.gather(*self._tasks)

    async def _one(self, size: int) -> None:
        async with self.gate.entered(), self.gate.large(size):
            self.inside += 1
            self.most = max(self.most, self.inside)
            await self._end.wait()
            self.inside -= 1


async def everything_that_can_run() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


@pytest.mark.parametrize("most", [1, 2, 16])
async def test_no_more_than_the_setting_says(most: int) -> None:
    """So many are inside, the others wait, and all have their turn."""
    files = Files(Gate(most))
    await files.start(40)
    assert files.inside == most
    await files.end()
    assert (files.inside, files.most) == (0, most)


async def test_large_files_let_small_ones_pass() -> None:
    """A quarter of the places is for large files; the others of them wait outside, and small files go in."""
    gate = Gate(8)
    large, small = Files(gate), Files(gate)
    await large.start(20, TWO_GB)
    assert large.inside == 2
    await small.start(1000, LARGE_BYTES - 1)
    assert small.inside == 6
    await small.end()
    assert large.inside == 2
    await large.end()
    assert large.most + small.most == 8


async def test_overload_halves_and_success_adds_one() -> None:
    """Each refusal halves the places, down to one; as many successes as there are places add one, up to the most."""
    gate = Gate(16)
    places = []
    for _ in range(6):
        gate.overloaded()
        places.append(gate.places)
    assert places == [8, 4, 2, 1, 1, 1]
    grown = []
    for _ in range(200):
        gate.passed()
        grown.append(gate.places)
    assert grown == sorted(grown)
    assert grown[:6] == [2, 2, 3, 3, 3, 4]
    assert grown[-1] == 16


async def test_fewer_places_hold_for_those_who_come_then() -> None:
    """Nobody is put out; but until there are as few inside as there are places, nobody goes in."""
    gate = Gate(4)
    before, after = Files(gate), Files(gate)
    await before.start(4)
    gate.overloaded()
    await after.start(4)
    assert (before.inside, after.inside) == (4, 0)
    await before.end()
    await everything_that_can_run()
    assert after.inside == 2
    await after.end()


async def test_waiting_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who finds no place is put off, no matter of its own, and leaves no trace."""
    monkeypatch.setattr(gate_module, "_PATIENCE_SECONDS", 0)
    monkeypatch.setattr(gate_module, "_PATIENCE_FOR_LARGE_SECONDS", 0)
    gate = Gate(1)
    async with gate.entered():
        with pytest.raises(NotYet, match="no_room") as raised:
            async with gate.entered():
                pass
        assert raised.value.setback.is_outage
    gate = Gate(2)
    async with gate.entered(), gate.large(TWO_GB):
        with pytest.raises(NotYet, match="no_room"):
            async with gate.entered(), gate.large(TWO_GB):
                pass
    files = Files(gate)
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(gate.entered())
    await files.start(2)
    assert files.inside == 2
    await files.end()
