"""`make soak`: exit code 0 if every file is accounted for, 1 otherwise."""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from local.soak.account import Account
from local.soak.run import soak

_FILES_PER_KILL = 800
_FILES_PER_FAULT = 50
_CALM_SECONDS = 15.0
_SHOWN = 50


def main() -> int:
    """Soak, and say what came of it."""
    options = _read_options()
    console = Console()
    again = f"make soak ARGS='--count={options.count} --seed={options.seed}'"
    console.print(f"{options.count} files; the same once more: {again}", highlight=False)
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="soak-", ignore_cleanup_errors=True) as folder,
        console.status("Starting ...") as status,
    ):
        account = soak(
            options.folder or Path(folder),
            count=options.count,
            kills=max(2, options.count // _FILES_PER_KILL),
            faults=max(6, options.count // _FILES_PER_FAULT),
            calm_seconds=_CALM_SECONDS,
            seed=options.seed,
            say=status.update if console.is_terminal else _print,
        )
    _show(console, account, time.monotonic() - started)
    return 1 if account.differences else 0


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.soak", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="how many files are dropped")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="of what is dropped, and goes wrong")
    parser.add_argument("--folder", type=Path, help="keep data and logs there")
    return parser.parse_args()


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _show(console: Console, account: Account, seconds: float) -> None:
    table = Table("verdict", "versions", title=f"{seconds:.0f} seconds")
    for verdict, count in sorted(account.verdicts.items()):
        table.add_row(verdict, str(count))
    table.add_row("in all", str(account.verdicts.total()), style="bold")
    console.print(table)
    for difference in account.differences[:_SHOWN]:
        console.print(difference, highlight=False)
    console.print(f"{len(account.differences)} differences", style="bold")


if __name__ == "__main__":
    sys.exit(main())
