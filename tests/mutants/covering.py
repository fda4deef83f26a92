"""Run the suite under coverage: `make coverage`. It prints the branches that tests reach, folder by folder.

What it finds, with the test that reaches each line, stays in `.local/coverage`: mutants choose their tests by it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import coverage

from tests.mutants.contexts import CONTEXT, FOLDER

ROOT = Path(__file__).resolve().parents[2]
DATA = FOLDER / "data"
APP = ("store_on_upload", "query_api", "purge_study", "shared")
_PYTEST = ["-m", "pytest", "-q", "-p", "tests.mutants.contexts", "-p", "no:cacheprovider", "--timeout", "600"]
_WORKERS = ["-n", "auto", "--maxprocesses", "6", "--dist", "loadfile", "--no-loadscope-reorder"]


def main() -> int:
    """Run the tests, and write and print how much of each folder they reach; return pytest's exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants.covering", description="Measure coverage.")
    parser.add_argument("--output", type=Path, help="a JSON file for the table")
    options, arguments = parser.parse_known_args()
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    environment = {
        **os.environ,
        "COVERAGE_PROCESS_START": str(ROOT / "pyproject.toml"),
        "COVERAGE_FILE": str(DATA),
        "COVERAGE_CORE": "ctrace",  # the one that knows contexts
        CONTEXT: "",
    }
    command = [sys.executable, *_PYTEST, *_WORKERS, *arguments]
    code = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
    measured = coverage.Coverage(data_file=str(DATA), config_file=str(ROOT / "pyproject.toml"))
    measured.combine([str(FOLDER)])
    measured.save()
    table = reached(measured)
    for folder, (branches, of) in table.items():
        print(f"{folder}: {branches} of {of} lines and branches, {branches / of:.2%}")
    if options.output:
        options.output.write_text(json.dumps(table, indent=1) + "\n")
    return code


def reached(measured: coverage.Coverage) -> Mapping[str, tuple[int, int]]:
    """Return for each folder of the app how many lines and branches the tests reach, and how many there are."""
    report = FOLDER / "report.json"
    os.environ[CONTEXT] = ""
    measured.json_report(outfile=str(report))
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for path, file in json.loads(report.read_text())["files"].items():
        folder, summary = path.split("/")[0], file["summary"]
        found[folder][0] += summary["covered_lines"] + summary["covered_branches"]
        found[folder][1] += summary["num_statements"] + summary["num_branches"]
    return {folder: (found[folder][0], found[folder][1]) for folder in APP if folder in found}


if __name__ == "__main__":
    sys.exit(main())
