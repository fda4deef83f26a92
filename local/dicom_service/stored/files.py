"""The stored files, byte for byte as they came, under the data folder.

`incoming/` has bodies that are still arriving and is emptied at start. A file moves to `instances/` when its bytes
are on disk, before its row is committed, and leaves after its row was deleted: a row never points at a missing file,
and a file without a row is what a crash left behind.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from local.dicom_service.stored.readers import Readers


class DataFolderInUse(RuntimeError):
    """Another service has the data folder open: sweeping would take its incoming files away."""


class Files:
    """The two folders; every method may be called from any thread, none from the event loop."""

    def __init__(self, data_dir: Path) -> None:
        data_dir.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(data_dir / "lock")
        self.readers = Readers()
        self._incoming = data_dir / "incoming"
        self._instances = data_dir / "instances"
        self._incoming.mkdir(parents=True, exist_ok=True)
        self._instances.mkdir(parents=True, exist_ok=True)

    def close(self) -> None:
        """Let another service have the folder; the system does it for one that was killed."""
        self._lock.close()

    def sweep(self, known: Iterable[str]) -> None:
        """Remove what a crash left: everything that is incoming, and files that no row knows."""
        for path in self._incoming.iterdir():
            path.unlink()
        names = set(known)
        for path in self._instances.glob("*/*"):
            if path.name not in names:
                path.unlink()

    def new_incoming(self) -> Path:
        """Return a path for a file that is about to arrive."""
        return self._incoming / secrets.token_hex(16)

    def keep(self, incoming: Path) -> str:
        """Put an incoming file in its place, durably, and return its name."""
        _sync(incoming)
        place = self.path_of(incoming.name)
        if not place.parent.exists():
            place.parent.mkdir(exist_ok=True)
            _sync(self._instances)
        incoming.rename(place)
        _sync(place.parent)
        return incoming.name

    def path_of(self, name: str) -> Path:
        """Return where the file of that name lies."""
        return self._instances / name[:2] / name

    def remove(self, names: Iterable[str]) -> None:
        """Remove files whose rows are gone, at once or when the last request that may be reading them has ended."""
        self.unlink(self.readers.retire(names))

    def unlink(self, names: Iterable[str]) -> None:
        """Remove files that nobody is about to open."""
        for name in names:
            self.path_of(name).unlink(missing_ok=True)


def _locked(path: Path) -> IO[bytes]:
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise DataFolderInUse from None
    return file


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
