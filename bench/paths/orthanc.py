"""Storing in Orthanc, which parses, keeps and indexes each instance: the server decides here, and it is another's.

No aim: what a client can win is only what the server leaves to it. Not in a rough run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial

from bench.programs import Side
from bench.results import Row, row_of
from bench.turns import Bench
from tests.live.orthanc import Orthanc, Program, find_or_fetch

from .store import BARE, BATCHES, KIB, ONE_BY_ONE, in_batches

SIZES_KIB = (32, 512)
AT_ONCE = 8
SECONDS = 0.4  # a round of each side: one to two GB are kept in all, until the end
OURS = "ours"
RIVALS = (BARE, ONE_BY_ONE, *map(in_batches, BATCHES))


def measure(bench: Bench) -> Iterator[Row]:
    """Yield the rows: instances a second, by size.

    Raises:
        InstallationFailed: there is no Orthanc, and none can be fetched.
    """
    if bench.is_quick:
        return
    program = find_or_fetch()
    for size_kib in SIZES_KIB:
        yield from _rows(bench, program, size_kib)


def _rows(bench: Bench, program: Program, size_kib: int) -> Iterator[Row]:
    case = f"{size_kib} KiB, {AT_ONCE} at once"
    folder = bench.folder / str(size_kib)
    folder.mkdir()
    with ExitStack() as running:
        orthanc = running.enter_context(Orthanc(program, folder, wants_password=False))
        found = bench.in_turns(f"orthanc, {case}", _sides(running, bench, orthanc.url, size_kib * KIB))
    for rival in RIVALS:
        yield row_of("orthanc", case, "1/s", found[OURS], rival, found[rival])


def _sides(running: ExitStack, bench: Bench, url: str, size_bytes: int) -> dict[str, Callable[[], float]]:
    """Start the clients; return what measures each, once all are warm."""
    options = ("--url", url, "--size-bytes", str(size_bytes), "--are-kept")
    ours = running.enter_context(Side("bench.load.store_client", *options))
    bare, other = (
        running.enter_context(Side(f"bench.rivals.{name}", *options, python=bench.rivals.python))
        for name in ("bare_aiohttp", "dicomweb_client_store")
    )
    turns: tuple[Callable[[], float], ...] = (
        partial(ours.measure, at_once=AT_ONCE, seconds=SECONDS),
        partial(bare.measure, at_once=AT_ONCE, seconds=SECONDS),
        partial(other.measure, batch=1, seconds=SECONDS),
        *(partial(other.measure, batch=batch, seconds=SECONDS) for batch in BATCHES),
    )
    sides = dict(zip((OURS, *RIVALS), turns, strict=True))
    for side in sides.values():
        side()
    return sides
