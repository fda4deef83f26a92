"""What a store of 512 KiB takes of the processor, by our client and by HTTP clients alone.

`python -m bench.http_clients` gives the figures behind the choice of the transport: in turns, eight stores at once,
beside aiohttp alone, on which ours is built.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

from bench.machine import processor_seconds
from bench.programs import Side
from bench.rivals.set_up import set_up
from bench.servers.sink_and_source import sink_and_source
from bench.turns import Bench

AIOHTTP: Final = "aiohttp alone"
ALONE: Final = {
    AIOHTTP: ("--client", "aiohttp"),
    "aiohttp alone, on uvloop": ("--client", "aiohttp", "--uvloop"),
    "httpx alone": ("--client", "httpx"),
    "httpx2 alone": ("--client", "httpx2"),
    "pyreqwest alone": ("--client", "pyreqwest"),
}
_SIZE_BYTES: Final = 512 * 1024
_AT_ONCE: Final = 8
_SECONDS: Final = 2.0


def main() -> None:
    """Measure, and print the table."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as running:
        bench = Bench(Path(folder), set_up())
        url = running.enter_context(sink_and_source())
        size = ("--size-bytes", str(_SIZE_BYTES))
        sides = {"our client": Side("bench.load.store_client", "--url", url, *size)}
        for name, options in ALONE.items():
            rival = ("bench.rivals.http_clients", "--url", f"{url}/studies", *size, *options)
            sides[name] = Side(*rival, python=bench.rivals.python)
        for side in sides.values():
            running.enter_context(side)
            _milliseconds(side)
        found = bench.in_turns("stores", {name: partial(_milliseconds, side) for name, side in sides.items()})
    print("| client | ms of the processor for a store | times aiohttp alone | from, to |\n|---|---|---|---|")
    for name, figures in found.items():
        ratios = [mine / other for mine, other in zip(figures, found[AIOHTTP], strict=True)]
        print(f"| {name} | {median(figures):.2f} | {median(ratios):.2f} | {min(ratios):.2f}, {max(ratios):.2f} |")
    if bench.was_busy:
        print("\nOther programs used the processors meanwhile: too busy to tell.")


def _milliseconds(side: Side) -> float:
    """Have a side store for a while; return what one store took of the processor."""
    before, started = processor_seconds(side.pid), time.perf_counter()
    a_second: float = side.measure(at_once=_AT_ONCE, seconds=_SECONDS)
    stores = a_second * (time.perf_counter() - started)
    return (processor_seconds(side.pid) - before) * 1000 / stores


if __name__ == "__main__":
    main()
