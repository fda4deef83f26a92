"""Ingest of a large file with small ones beside it: how much the app's process grows at its peak."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count as numbers

from bench.aims import more_by_at_most
from bench.memory import MIB, reset_peak_bytes, status_bytes
from bench.results import Row, row_of
from bench.servers.drop_box import DropBox, drop_box
from bench.turns import Bench

SMALL_ONES = 64
SMALL_BYTES = 8 * 1024
OURS = "ours"


def measure(bench: Bench) -> Iterator[Row]:
    """Yield the row: MiB of memory, at the peak of a round and before it, when the process was idle."""
    size_mib, rounds = bench.either(2048, 128), numbers()
    with drop_box(bench.folder) as box:
        box.drops.measure(what="drop_large", name="large.dcm", pixels_bytes=size_mib * MIB)
        _round(box, rounds)  # so that everything is in place
        sides: dict[str, Callable[[], tuple[float, float]]] = {OURS: partial(_round, box, rounds)}
        found = bench.in_turns("large file", sides)[OURS]
    peak, idle = ([round_[place] for round_ in found] for place in (0, 1))
    case = f"{size_mib} MiB, {SMALL_ONES} small ones beside it"
    yield row_of("large file", case, "MiB", peak, "idle", idle, more_by_at_most(64, "MiB"))


def _round(box: DropBox, rounds: Iterator[int]) -> tuple[float, float]:
    """Have a copy of the file ingested, which is as new to the app as it was; return the peak and what was before."""
    prefix, app = f"round-{next(rounds)}", box.stack.part("app").pid
    box.drops.measure(what="copy", name="large.dcm", to=f"{prefix}/large.dcm")
    box.drops.measure(what="drop", prefix=prefix, count=SMALL_ONES, pixels_bytes=SMALL_BYTES)
    names = [f"{prefix}/{name}.dcm" for name in ("large", *range(SMALL_ONES))]
    idle = reset_peak_bytes(app)
    box.drops.measure(what="ingest", names=names)
    return status_bytes("VmHWM", app) / MIB, idle / MIB
