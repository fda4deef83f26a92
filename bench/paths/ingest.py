"""Ingest under load: from the event in the queue to the receipt, beside scripts, and what storage and service allow.

Instances of 512 KiB in a container that holds many others, their events sent to the queue `dicom-arrivals` all at once.
Every side has the files in the inbox before its time begins; rivals read those of the first round.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import count as numbers

from bench.aims import at_least
from bench.programs import Side
from bench.results import Row, row_of
from bench.servers.app_under_load import AppUnderLoad, app_under_load
from bench.turns import Bench

PIXELS_BYTES = 512 * 1024
OTHERS_BYTES = 64
OURS = "ours"
FLAT_OUT = "storage and service flat out"
SCRIPT = "azure-storage-blob and dicomweb-client, one by one"
UPLOADER = "an uploader that holds each blob whole, one by one"


def measure(bench: Bench) -> Iterator[Row]:
    """Yield the rows: instances a second."""
    with app_under_load(bench.folder) as load, ExitStack() as running:
        load.drops.measure(what="drop", prefix="others", count=bench.either(5000, 500), pixels_bytes=OTHERS_BYTES)
        sides = _sides(running, bench, load)
        for side in sides.values():
            side()
        found = bench.in_turns("ingest", sides)
    ours = found[OURS]
    case = f"512 KiB, in a container of {bench.either('5,000', '500')}"
    yield row_of("ingest", case, "1/s", ours, FLAT_OUT, found[FLAT_OUT], at_least(0.8))
    for rival in (SCRIPT, UPLOADER):
        yield row_of("ingest", case, "1/s", ours, rival, found[rival], at_least(3))


def _sides(running: ExitStack, bench: Bench, load: AppUnderLoad) -> dict[str, Callable[[], float]]:
    many, few = bench.either(256, 64), bench.either(48, 12)
    rounds = numbers()
    options = (*load.storage, "--service", load.service)
    python = bench.rivals.python
    flat_out = running.enter_context(Side("bench.rivals.flat_out", *options, "--queue", "flat-out", python=python))

    def ours() -> float:
        prefix = f"round-{next(rounds)}"
        load.drops.measure(what="drop", prefix=prefix, count=many, pixels_bytes=PIXELS_BYTES)
        return many / float(load.drops.measure(what="ingest", names=_names(prefix, many)))

    def all_out() -> float:
        return many / float(flat_out.measure(names=_names("round-0", many), receipts=f"flat-out-{next(rounds)}"))

    def script(side: Side) -> float:
        return few / float(side.measure(prefix="round-0/", count=few))

    sides: dict[str, Callable[[], float]] = {OURS: ours, FLAT_OUT: all_out}
    for name, client in ((SCRIPT, "dicomweb-client"), (UPLOADER, "requests")):
        side = Side("bench.rivals.store_script", *options, "--client", client, python=python)
        sides[name] = partial(script, running.enter_context(side))
    return sides


def _names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}/{number}.dcm" for number in range(count)]
