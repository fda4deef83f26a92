"""Set up the rivals: their Python packages in a virtual environment of their own, and two programs of Debian's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.programs import ROOT
from tests.live.installing import InstallationFailed

_LOCK: Final = "bench/rivals/requirements.txt"
_VENV: Final = ROOT / ".local/bench/venv"
_PACKAGES: Final = {"nginx": "nginx-light", "wrk": "wrk"}
_PATH: Final = f"{os.environ.get('PATH', '')}:/usr/sbin"  # where Debian has nginx


@dataclass(frozen=True)
class Rivals:
    """Where they are.

    Args:
        python: has the packages of the lock.
        programs: of Debian's, those that are there.
    """

    python: Path
    programs: Mapping[str, str]

    @property
    def nginx(self) -> str:
        """The web server.

        Raises:
            InstallationFailed: there is none, and none could be installed.
        """
        return self._program("nginx")

    @property
    def wrk(self) -> str:
        """What makes load; raises as `nginx` does."""
        return self._program("wrk")

    def _program(self, name: str) -> str:
        if name not in self.programs:
            raise InstallationFailed(f"there is no {name}: apt-get install {_PACKAGES[name]}")
        return self.programs[name]


def set_up() -> Rivals:
    """Install what is missing, and return where it is. Without a program, only the paths that need it are not measured.

    Raises:
        SystemExit: the Python packages cannot be installed; the message says what to do.
    """
    python = set_up_python()
    missing = [package for program, package in _PACKAGES.items() if _which(program) is None]
    if missing and not os.geteuid() and shutil.which("apt-get"):
        _install(missing)
    found = {program: _which(program) for program in _PACKAGES}
    return Rivals(python, {program: path for program, path in found.items() if path})


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
    print(f"Installing {' and '.join(packages)} ...", file=sys.stderr, flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        done = subprocess.run(["apt-get", *command], env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            print(done.stderr, file=sys.stderr)
            return


def _which(program: str) -> str | None:
    return shutil.which(program, path=_PATH)
