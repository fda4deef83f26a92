"""Are vulnerabilities known of what is locked? `python -m local.audit [--url URL]`, or `make audit`.

pip-audit asks the database at osv.dev, or one like it, of each pin, whichever Python or platform it is for: by itself
it would leave out what this one does not install. Exit codes: 0 none are known, 1 some are, 2 it could not be asked.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from local.lock import FILES, ROOT

_PIN = re.compile(r"^([a-z0-9._-]+)(?:\[[a-z0-9,._-]+\])?==([^ ;\\]+)", re.MULTILINE)
_COMMAND = (
    "-m pip_audit --vulnerability-service osv --disable-pip --no-deps --progress-spinner off --timeout 30 --format json"
)

Pin = tuple[str, str]


class Unknown(Exception):
    """The database could not be asked; the text says why."""


def main() -> int:
    """Ask, say what is known, and return the exit code."""
    parser = argparse.ArgumentParser(description="Ask for known vulnerabilities of what is locked.")
    parser.add_argument("--url", help="a service that answers as OSV's /v1/query does; without it, osv.dev itself")
    url = parser.parse_args().url
    pins = locked()
    try:
        found = list(_known(pins, ["--osv-url", url] if url else []))
    except Unknown as why:
        print(f"The database of vulnerabilities could not be asked, so nothing is known: {why}", file=sys.stderr)
        return 2
    for line in found:
        print(line)
    print(f"{len(pins)} packages of {len(FILES)} lock files: {len(found) or 'no'} known vulnerabilities.")
    return 1 if found else 0


def locked() -> dict[Pin, list[str]]:
    """Return each package and version that is locked, with the files that lock it."""
    pins: dict[Pin, list[str]] = {}
    for file in FILES:
        for pin in dict.fromkeys(_PIN.findall((ROOT / file).read_text())):
            pins.setdefault(pin, []).append(file)
    return pins


def _known(pins: Mapping[Pin, list[str]], options: list[str]) -> Iterator[str]:
    """Yield a line for each vulnerability.

    Raises:
        Unknown: pip-audit has not come to its end.
    """
    for package in (one for share in _once_each(pins) for one in _audit(share, options)):
        pin = package["name"], package["version"]
        for one in package["vulns"]:
            names = ", ".join([one["id"], *one["aliases"]])
            mended = ", ".join(one["fix_versions"]) or "no version yet"
            yield f"{' '.join(pin)}: {names}; mended in {mended} ({', '.join(pins[pin])})"


def _audit(pins: Mapping[str, str], options: list[str]) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as name:
        pinned, output = Path(name, "pinned.txt"), Path(name, "found.json")
        pinned.write_text("".join(f"{package}=={version}\n" for package, version in pins.items()))
        command: list[str | Path] = [
            sys.executable,
            *_COMMAND.split(),
            *options,
            "--output",
            output,
            "--requirement",
            pinned,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - the command is above
        if not output.exists():
            raise Unknown(done.stderr.strip().rpartition("\n")[2])
        found: list[dict[str, Any]] = json.loads(output.read_text())["dependencies"]
    if skipped := [package["name"] for package in found if "skip_reason" in package]:
        raise Unknown(f"pip-audit skipped {', '.join(skipped)}")
    return found


def _once_each(pins: Iterable[Pin]) -> list[dict[str, str]]:
    """Share the pins out so that no package is in one share twice, which pip-audit refuses."""
    shares: list[dict[str, str]] = []
    for package, version in pins:
        share = next((one for one in shares if package not in one), None)
        if share is None:
            shares.append(share := {})
        share[package] = version
    return shares


if __name__ == "__main__":
    sys.exit(main())
