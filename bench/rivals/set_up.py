"""Set up the rivals: their Python packages in a virtual environment of their own, and two programs of Debian's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.programs import ROOT

_LOCK: Final = "bench/rivals/requirements.txt"
_VENV: Final = ROOT / ".local/bench/venv"
_PACKAGES: Final = {"nginx": "nginx-light", "wrk": "wrk"}
_PATH: Final = f"{os.environ.get('PATH', '')}:/usr/sbin"  # where Debian has nginx


@dataclass(frozen=True)
class Rivals:
    """Where they are.

    Args:
        python: has the packages of the lock.
        nginx: the web server.
        wrk: makes load.
    """

    python: Path
    nginx: str
    wrk: str


def set_up() -> Rivals:
    """Install what is missing, and return where it is.

    Raises:
        SystemExit: something is missing and cannot be installed; the message says what to do.
    """
    python = set_up_python()
    missing = [package for program, package in _PACKAGES.items() if _which(program) is None]
    if missing:
        _install(missing)
    return Rivals(python, _which("nginx") or "", _which("wrk") or "")


def set_up_python() -> Path:
    """Install the Python packages that are missing, and return the Python that has them.

    Raises:
        SystemExit: they cannot be installed; the message says what to do.
    """
    command = [sys.executable, "-I", "local/bootstrap.py", "--venv", str(_VENV), "--only", _LOCK]
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        sys.exit("The rivals' Python packages could not be installed: see above.")
    return _VENV / "bin/python"


def _install(packages: list[str]) -> None:
    advice = f"The bench needs {' and '.join(packages)}: apt-get install {' '.join(packages)}"
    if os.geteuid() or shutil.which("apt-get") is None:
        sys.exit(advice)
    print(f"Installing {' and '.join(packages)} ...", file=sys.stderr, flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        done = subprocess.run(["apt-get", *command], env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{done.stderr}\n{advice}")


def _which(program: str) -> str | None:
    return shutil.which(program, path=_PATH)
