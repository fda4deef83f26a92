"""Ingest of a large file with small ones beside it: how much the app's process grows at its peak."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count as numbers

from bench.aims import more_by_at_most
from bench.memory import MIB, reset_peak_bytes, status_bytes
from bench.results import Row, row_of
from bench.servers.app_under_load import AppUnderLoad, app_under_load
from bench.turns import Bench

SMALL_ONES = 64
SMALL_BYTES = 8 * 1024
LARGE = "large.dcm"
OURS = "ours"


def measure(bench: Bench) -> Iterator[Row]:
    """Yield the row: MiB of memory, at the peak of each round and before the first, with small ones seen."""
    size_mib, rounds = bench.either(2048, 128), numbers()
    with app_under_load(bench.folder) as load:
        load.drops.measure(what="drop_large", name=LARGE, pixels_bytes=size_mib * MIB)
        load.drops.measure(what="ingest", names=_small_ones(load, "warm-up"))
        idle = status_bytes("VmRSS", load.stack.part("app").pid) / MIB
        sides: dict[str, Callable[[], float]] = {OURS: partial(_peak, load, rounds)}
        peaks = bench.in_turns("large file", sides)[OURS]
    case = f"{size_mib} MiB, {SMALL_ONES} small ones beside it"
    yield row_of("large_file", case, "MiB", peaks, "idle", [idle] * len(peaks), more_by_at_most(64, "MiB"))


def _peak(load: AppUnderLoad, rounds: Iterator[int]) -> float:
    """Have the file ingested anew; return the app's peak in MiB."""
    app = load.stack.part("app").pid
    load.drops.measure(what="renew", name=LARGE)
    small_ones = _small_ones(load, f"round-{next(rounds)}")
    reset_peak_bytes(app)
    load.drops.measure(what="ingest", names=[LARGE, *small_ones])
    return status_bytes("VmHWM", app) / MIB


def _small_ones(load: AppUnderLoad, prefix: str) -> list[str]:
    """Drop the small ones, and return their names."""
    load.drops.measure(what="drop", prefix=prefix, count=SMALL_ONES, pixels_bytes=SMALL_BYTES)
    return [f"{prefix}/{number}.dcm" for number in range(SMALL_ONES)]
