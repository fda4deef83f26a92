"""Ingest of one blob at a time: from its event at the webhook to its receipt, beside the same store alone.

The functions host puts the event into its own queue and takes it from there; both are part of the time. As in Azure, it
looks for a message that it has put there itself, so that no interval of a poll is in the figure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count as numbers
from statistics import median, quantiles

from bench.aims import more_by_at_most
from bench.results import Row, row_of
from bench.servers.app_under_load import app_under_load
from bench.turns import Bench

PIXELS_BYTES = 512 * 1024
OURS = "ours"
SERVICE = "the service alone"


def measure(bench: Bench) -> Iterator[Row]:
    """Yield the rows: milliseconds, half and 99 of 100 of them take no longer than."""
    count, rounds = bench.either(24, 6), numbers()
    with app_under_load(bench.folder) as load:

        def ours() -> list[float]:
            prefix = f"round-{next(rounds)}"
            found = load.drops.measure(what="latencies", prefix=prefix, count=count, pixels_bytes=PIXELS_BYTES)
            return [1000 * float(seconds) for seconds in found]

        def service() -> list[float]:
            found = load.drops.measure(what="stores", count=count, pixels_bytes=PIXELS_BYTES)
            return [1000 * float(seconds) for seconds in found]

        sides: dict[str, Callable[[], list[float]]] = {OURS: ours, SERVICE: service}
        for side in sides.values():
            side()
        found = bench.in_turns("ingest latency", sides)
    row = partial(row_of, "ingest_latency", unit="ms", against=SERVICE, aim=more_by_at_most(60, "ms"))
    yield row("512 KiB, p50", ours=list(map(median, found[OURS])), rival=list(map(median, found[SERVICE])))
    yield row("512 KiB, p99", ours=[_p99(found[OURS])], rival=[_p99(found[SERVICE])])


def _p99(rounds: list[list[float]]) -> float:
    """Return the 99th percentile of all rounds together: one round has too few for it."""
    return quantiles([figure for round_ in rounds for figure in round_], n=100, method="inclusive")[98]
