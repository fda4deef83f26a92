"""`python -m store_on_upload.reconcile`: does it all add up? With the app's own settings; nothing is changed.

Exit code 0 if it does, 1 if there are differences, 2 if it cannot be told.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys

from azure.core.exceptions import AzureError

from shared.clients import get_clients
from shared.dicomweb import DICOMwebError
from shared.events import Failed, describe, silence_libraries
from shared.progress import Say, on_terminal
from shared.settings import LONGEST_RUN_SECONDS, ConfigurationError

from .everything import reconcile
from .report import MEANINGS, Difference, Report

_WIDTH = 28


def main() -> int:
    """Print the report and return the exit code."""
    parser = argparse.ArgumentParser(prog="reconcile", description="Does it all add up? Nothing is changed.")
    parser.add_argument("--names", action="store_true", help="print the blobs' names too: they are patient data")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument(
        "--grace",
        type=float,
        default=LONGEST_RUN_SECONDS,
        metavar="SECONDS",
        help="what has happened since may be under way still (default: %(default)s); 0 where nothing comes in",
    )
    options = parser.parse_args()
    silence_libraries()
    try:
        report = asyncio.run(_reconcile(options.names, options.grace, on_terminal()))
    except (AzureError, ConfigurationError, DICOMwebError, Failed) as error:
        sys.stderr.write(f"It cannot be told: {describe(error)}\n")
        return 2
    _print(json.dumps(report.to_json(), indent=1) if options.json else "\n".join(_lines(report)))
    return 1 if report.differences else 0


async def _reconcile(names: bool, grace_seconds: float, say: Say) -> Report:
    clients = get_clients()
    try:
        return await reconcile(clients, names=names, grace_seconds=grace_seconds, say=say)
    finally:
        say("")
        await clients.aclose()


def _lines(report: Report) -> list[str]:
    counts = {**dict(sorted(report.verdicts.items())), "pending": report.pending}
    lines = [_row("versions seen", report.versions), *(_row(f"  {name}", count) for name, count in counts.items())]
    lines += [_row("files in quarantine", report.in_quarantine)]
    lines += [_row("copies of what was replaced", report.in_replaced)]
    notes = {
        "deleted by retention since": report.purged,
        "overwritten before the move": report.overwritten,
        "stored, without a UID": report.unnamed,
    }
    lines += [_row(name, count) for name, count in notes.items() if count]
    lines += [_row("differences", report.differences.total())]
    for kind in Difference:
        if report.differences[kind]:
            lines += [f"{_row(f'  {kind}', report.differences[kind])}  {MEANINGS[kind]}"]
            lines += [f"    {name}" for name in report.names.get(kind, [])]
    if report.differences and not report.with_names:
        lines += ["Which ones: --names. They may hold patients' names."]
    return lines


def _row(name: str, count: int) -> str:
    return f"{name:{_WIDTH}}{count:>11,}"


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
