"""Other people's software is fetched once, by one test run at a time, within a stated time."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path


class InstallationFailed(Exception):
    """A program that installs did not do so; says which, and what it printed last."""


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Keep other processes out, until they may see that the work is done; the lock ends with this process."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def run(
    command: Sequence[str | Path],
    *,
    folder: Path,
    timeout_seconds: float,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run a program in a folder and return what it prints.

    Raises:
        InstallationFailed: it is not there, failed, or took too long.
    """
    what = f"{Path(command[0]).name} {command[1]}"
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            timeout=timeout_seconds,
            check=True,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except subprocess.TimeoutExpired:
        raise InstallationFailed(f"{what} took more than {timeout_seconds:g} s") from None
    except subprocess.CalledProcessError as error:
        raise InstallationFailed(f"{what} failed: {_last_line(error.stdout)}") from None
    except OSError as error:
        raise InstallationFailed(f"{what}: {error.strerror}") from None
    return done.stdout


def _last_line(output: str) -> str:
    return (output.strip().splitlines() or ["it printed nothing"])[-1]
