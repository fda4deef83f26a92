"""The versions of the programs that take part; those of Python's packages are the machine's (`bench.machine`)."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from bench.programs import ROOT
from bench.rivals.set_up import Rivals
from tests.live.installing import InstallationFailed
from tests.live.orthanc import find_or_fetch

_AZURITE: Final = ROOT / "local/node/node_modules/azurite/package.json"
_UVICORN: Final = "from importlib.metadata import version; print(version('uvicorn'))"


def program_versions(rivals: Rivals, *, with_orthanc: bool) -> dict[str, str]:
    """Return the version of each program that is there.

    Args:
        rivals: where they are.
        with_orthanc: whether it is measured: for its version's sake alone it is not fetched.
    """
    found = {"uvicorn": version_of([rivals.python, "-c", _UVICORN])}
    found |= {name: version_of([program, "-v"]) for name, program in rivals.programs.items()}
    found["azurite"] = json.loads(_AZURITE.read_text())["version"]
    if with_orthanc:
        with suppress(InstallationFailed):  # its path says so, and is left out
            orthanc = find_or_fetch()
            found["orthanc"] = version_of([orthanc.executable, "--version"], orthanc.environment)
    return found


def version_of(command: list[str | Path], environment: Mapping[str, str] | None = None) -> str:
    """Return the first version that a program prints; wrk ends with 1 when asked for it, nginx answers on stderr.

    Raises:
        RuntimeError: it prints none.
    """
    environment = {**os.environ, **(environment or {})}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    version = re.search(r"\d+(\.\d+)+", done.stdout + done.stderr)
    if not version:
        raise RuntimeError(f"{command[0]} does not say its version: {done.stdout}{done.stderr}")
    return version[0]
