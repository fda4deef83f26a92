"""Storing alone: the client, beside aiohttp with nothing above it, and dicomweb-client.

All send the same instances to a server that reads them and answers, at once or after 20 ms, as from another building.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial

from bench.aims import at_least
from bench.memory import MIB
from bench.programs import Side
from bench.results import Row, row_of
from bench.servers.sink_and_source import sink_and_source
from bench.turns import Bench

KIB = 1024
SIZES_KIB = (8, 32, 512, 32 * 1024)
QUICK_SIZES_KIB = (512,)
# By the server's delay in milliseconds. 64 are as many as the client has connections.
AT_ONCE = {0: (1, 2, 4, 8, 16, 32), 20: (1, 2, 4, 8, 16, 32, 64)}
QUICK_AT_ONCE = (8, 32)  # as `store_instances` has it, and the most
BATCHES = (10, 50)  # instances a request of dicomweb-client's
LARGEST_BATCH_BYTES = 512 * MIB  # it holds all of them in memory, twice over
BARE = "bare aiohttp"
ONE_BY_ONE = "dicomweb-client, one by one"


def in_batches(batch: int) -> str:
    """Return who the rival is that sends so many instances a request."""
    return f"dicomweb-client, {batch} a request"


def measure(bench: Bench) -> Iterator[Row]:
    """Yield the rows: instances a second, by size, delay and how many at once."""
    for delay_ms, at_once in AT_ONCE.items():
        for size_kib in bench.either(SIZES_KIB, QUICK_SIZES_KIB):
            yield from _rows(bench, size_kib, delay_ms, bench.either(at_once, QUICK_AT_ONCE))


def _rows(bench: Bench, size_kib: int, delay_ms: int, at_once: Sequence[int]) -> Iterator[Row]:
    size = f"{size_kib} KiB" if size_kib < KIB else f"{size_kib // KIB} MiB"
    case = f"{size}, {delay_ms} ms"
    with ExitStack() as running:
        sides = _sides(running, bench, size_kib * KIB, delay_ms, at_once)
        found = bench.in_turns(f"store, {case}", sides)
    for number in at_once:
        ours = found[f"ours, {number}"]
        here = f"{case}, {number} at once"
        yield row_of("store", here, "1/s", ours, BARE, found[f"{BARE}, {number}"], at_least(0.9))
        aim = at_least(5) if delay_ms else None
        for rival in (ONE_BY_ONE, *map(in_batches, BATCHES)):
            if rival in found:
                yield row_of("store", here, "1/s", ours, rival, found[rival], aim)


def _sides(
    running: ExitStack, bench: Bench, size_bytes: int, delay_ms: int, at_once: Sequence[int]
) -> dict[str, Callable[[], float]]:
    """Start the clients; return what measures each, once all are warm."""
    url = running.enter_context(sink_and_source(delay_ms=delay_ms))
    options = ("--url", url, "--size-bytes", str(size_bytes))
    ours = running.enter_context(Side("bench.load.store_client", *options))
    bare = running.enter_context(Side("bench.rivals.bare_aiohttp", *options, python=bench.rivals.python))
    other = running.enter_context(Side("bench.rivals.dicomweb_client_store", *options, python=bench.rivals.python))
    seconds = bench.either(0.6 if size_bytes > MIB else 0.4, 0.3)
    sides: dict[str, Callable[[], float]] = {}
    for number in at_once:
        sides[f"ours, {number}"] = partial(ours.measure, at_once=number, seconds=seconds)
        sides[f"{BARE}, {number}"] = partial(bare.measure, at_once=number, seconds=seconds)
    sides[ONE_BY_ONE] = partial(other.measure, batch=1, seconds=seconds)
    for batch in BATCHES:
        if batch * size_bytes <= LARGEST_BATCH_BYTES:
            sides[in_batches(batch)] = partial(other.measure, batch=batch, seconds=seconds)
    for name in (f"ours, {max(at_once)}", f"{BARE}, {max(at_once)}", ONE_BY_ONE):
        sides[name]()
    return sides
