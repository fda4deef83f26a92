"""Does it all add up? `python -m local.reconcile [--names] [--json] [--grace SECONDS]`, or `make reconcile`.

Of the installation that the environment's settings lead to, if they name its storage; else of the local stack that
runs; else of the installation of local.settings.json. Exit codes: see `store_on_upload.reconcile`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping

from local.commands import BY_LOGIN, ROOT, no_proxy
from local.up import data_folder, read_access

_SETTINGS = ROOT / "local.settings.json"
_STORAGE = ("DICOM_STORAGE", "DICOM_STORAGE__blobServiceUri")


def main() -> int:
    """Run the command with the right settings and return its exit code; 2 if there are none."""
    settings = _of_environment(os.environ) or _of_running_stack() or _of_file()
    if settings is None:
        print(f"Nothing runs in {data_folder()}, and no setting names a storage account.", file=sys.stderr)
        return 2
    os.chdir(ROOT)
    command = [sys.executable, "-m", "store_on_upload.reconcile", *sys.argv[1:]]
    return os.execve(sys.executable, command, settings)  # noqa: S606 - our own command, which takes this process's place


def _of_environment(environment: Mapping[str, str]) -> dict[str, str] | None:
    return {**BY_LOGIN, **environment} if any(map(environment.get, _STORAGE)) else None


def _of_running_stack() -> dict[str, str] | None:
    access = read_access(data_folder())
    return {**os.environ, **access["settings"], **no_proxy()} if access else None


def _of_file() -> dict[str, str] | None:
    """Return what the file says, beneath what the environment does, as under the Core Tools."""
    if not _SETTINGS.exists():
        return None
    values = json.loads(_SETTINGS.read_text("utf-8")).get("Values", {})
    return _of_environment({**{name: str(value) for name, value in values.items()}, **os.environ})


if __name__ == "__main__":
    sys.exit(main())
