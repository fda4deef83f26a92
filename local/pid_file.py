"""A process's id, in a file that stays locked for as long as the process runs: `up.pid` is that of `make up`.

Whether it runs is told by the lock alone, which the kernel drops with the process: an id that a crash left behind
means nothing, and may long be another program's.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

_BEGINNING_SECONDS = 1.0  # how long another process may hold the lock only to look, or to write its id


class AlreadyRunning(Exception):
    """Another process holds the file."""


def hold(path: Path) -> int:
    """Lock `path`, write our process id into it and return the descriptor, to be kept open to the end.

    Raises:
        AlreadyRunning: another process holds it.
    """
    deadline = time.monotonic() + _BEGINNING_SECONDS
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        if _lock(descriptor) and _is_at(path, descriptor):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
            return descriptor
        os.close(descriptor)
        if time.monotonic() > deadline:
            raise AlreadyRunning
        time.sleep(0.05)


def holder(path: Path) -> tuple[int, int] | None:
    """Return the id of the process that holds `path`, and a descriptor to wait on; None if there is none."""
    deadline = time.monotonic() + _BEGINNING_SECONDS
    while time.monotonic() < deadline:
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        written = os.read(descriptor, 32)
        if _lock(descriptor):
            os.close(descriptor)
            return None
        if written:
            return int(written), descriptor
        os.close(descriptor)
        time.sleep(0.05)
    return None


def is_released(descriptor: int) -> bool:
    """Tell whether the process that held the file has ended."""
    return _lock(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    """Tell whether the file that was locked still has its name, or its last holder has just removed it."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
