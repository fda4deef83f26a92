"""DCMTK's programs: the machine's own, or Debian's package unpacked into a folder of ours."""

from __future__ import annotations

import shutil
from pathlib import Path

from . import debian
from .installing import InstallationFailed

_CACHE = debian.CACHE / "dcmtk"
PROGRAMS = ("dcmsend", "echoscu", "storescp")


def find_or_fetch() -> dict[str, str]:
    """Return what runs each program, as a line of a shell, by its name; apt fetches what is missing.

    Raises:
        InstallationFailed: there are none, and apt cannot fetch them either.
    """
    if all(map(shutil.which, PROGRAMS)):
        return {name: f'exec {shutil.which(name)} "$@"\n' for name in PROGRAMS}
    root = debian.unpacked("dcmtk", _CACHE)
    if not all((root / "usr/bin" / name).exists() for name in PROGRAMS):
        raise InstallationFailed("the package dcmtk is not laid out as expected")
    return {name: _unpacked(root, name) for name in PROGRAMS}


def _unpacked(root: Path, name: str) -> str:
    # The dictionary: the package has the path of an installed one built in.
    dictionary = next(iter(root.glob("usr/share/*dcmtk*/dicom.dic")), "")
    variables = f"LD_LIBRARY_PATH='{debian.library_path(root)}' DCMDICTPATH='{dictionary}'"
    return f'exec env {variables} {root / "usr/bin" / name} "$@"\n'
