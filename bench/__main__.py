"""Measure everything beside its rivals, print one table, and keep it as JSON: `make bench`, or `make bench-quick`."""

from __future__ import annotations

import argparse
import math
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from bench.machine import this_machine
from bench.paths import PATHS
from bench.programs import ROOT
from bench.publishing import publish
from bench.results import Row, check_is_of, renew, table, write
from bench.rivals.set_up import Rivals, set_up
from bench.turns import Bench, progress
from bench.versions import program_versions
from tests.live.installing import InstallationFailed

_QUICK_SECONDS: Final = 150.0  # after which no path is begun in a rough run, so that it ends within three minutes


def main() -> None:
    """Run what the options say."""
    options = _read_options()
    _end_in_order()
    _check_room(1 if options.quick else 5)
    started = time.monotonic()
    names, rows = options.only or list(PATHS), list[Row]()
    rivals = set_up()
    machine = this_machine(program_versions(rivals, with_orthanc="orthanc" in names and not options.quick))
    if options.renew:
        check_is_of(machine)
    until = time.monotonic() + (_QUICK_SECONDS if options.quick and not options.only else math.inf)
    try:
        for name in names:
            rows += _measured(name, rivals, until, is_quick=options.quick)
    finally:
        progress("")
        print(table(rows))  # whatever becomes of the others
    if not rows:
        sys.exit("Nothing could be measured.")
    if left_out := [name for name in names if name not in {row.path for row in rows}]:
        print(f"\nLeft out: {', '.join(left_out)}")
    if options.renew or not options.only:
        path = renew(rows, machine) if options.renew else write(rows, machine, is_quick=options.quick)
        print(f"\nWritten to {path.relative_to(ROOT)}")
        if not options.quick:
            publish(rivals.python)
    print(f"{time.monotonic() - started:.0f} s on {machine.processor}, Python {machine.versions['python']}")


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="rough figures, in three minutes")
    parser.add_argument("--only", nargs="+", choices=PATHS, metavar="PATH", help=f"some of: {', '.join(PATHS)}")
    parser.add_argument("--renew", action="store_true", help="with --only: write these into the latest results")
    options = parser.parse_args()
    options.renew = options.renew and bool(options.only) and not options.quick
    return options


def _end_in_order() -> None:
    """Have what ends this process from outside end what it has started, and remove what it has written."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: sys.exit(128 + number))


def _check_room(gib: int) -> None:
    folder = tempfile.gettempdir()
    if shutil.disk_usage(folder).free < gib * 1024**3:
        sys.exit(f"The bench writes up to {gib} GiB into {folder}, which has not so much room: set TMPDIR.")


def _measured(name: str, rivals: Rivals, until: float, *, is_quick: bool) -> Iterator[Row]:
    """Yield the rows of a path; those during which the machine was busy say so, and nothing of their aims.

    A path is left out that would begin too late, on a slow machine, or a busy one; and one for want of a program.
    """
    started, was_busy = time.monotonic(), False
    if started > until:
        print(f"{name}: left out, for the time is over: --only {name}", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), rivals, is_quick)
        try:
            for row in PATHS[name](bench):
                was_busy |= bench.was_busy
                yield replace(row, busy=True, met=None) if bench.was_busy else row
        except InstallationFailed as why:
            print(f"{name}: left out: {why}", file=sys.stderr)
            return
    progress("")
    print(f"{name}: {time.monotonic() - started:.0f} s{', busy' if was_busy else ''}", file=sys.stderr)


if __name__ == "__main__":
    main()
