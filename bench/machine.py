"""The machine that is measured on: what it is, and whether other programs use it."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Final

_VERSIONS_OF: Final = (
    "aiohttp",
    "httpx",
    "azure-storage-blob",
    "orjson",
    "pydicom",
    "starlette",
    "dicomweb-client",
)
_IDLE_COLUMNS: Final = (3, 4)  # of /proc/stat: idle, iowait
# Of /proc/<pid>/stat behind name and state: in user and in kernel mode, and the same of children that have ended.
_PARENT: Final = 0
_TICKS_OF_ITS_OWN: Final = slice(10, 12)
_TICKS: Final = slice(10, 14)
# Ours that wait for work poll a little. With more than this the figures are somebody else's, too.
BUSY_SHARE: Final = 0.15


@dataclass(frozen=True)
class Machine:
    """What figures were measured on.

    Args:
        measured: when, in UTC.
        processor: its name, and how many cores.
        system: the kernel and its release.
        versions: of Python, and of the packages and programs that matter.
    """

    measured: str
    processor: str
    system: str
    versions: dict[str, str]


def this_machine(programs: Mapping[str, str] = MappingProxyType({})) -> Machine:
    """Return what is known of this one.

    Args:
        programs: the versions of those that take part.
    """
    versions = {"python": platform.python_version()} | {name: version(name) for name in _VERSIONS_OF} | dict(programs)
    processor = f"{_processor()}, {os.cpu_count()} cores"
    return Machine(
        f"{datetime.now(UTC):%Y-%m-%dT%H:%MZ}", processor, f"{platform.system()} {platform.release()}", versions
    )


def busy_share(seconds: float = 0.5) -> float:
    """Return how much of the processors is used now, what is stolen from this machine included; from 0 to 1.

    Asked while nothing is measured, it tells what other programs take.
    """
    before = _used_and_all()
    time.sleep(seconds)
    used, all_ = (after - earlier for after, earlier in zip(_used_and_all(), before, strict=True))
    return used / max(1, all_)


def processor_seconds(pid: int) -> float:
    """Return the seconds of the processor that a process has taken so far, for itself and in the kernel; in hundredths.

    Raises:
        OSError: it has ended.
    """
    return sum(_numbers_of(pid)[_TICKS_OF_ITS_OWN]) / os.sysconf("SC_CLK_TCK")


class Others:
    """Tells what other programs take of the processors while we and what we have started use them, too."""

    def __init__(self) -> None:
        self._before = self._look()

    def share(self) -> float:
        """Return it since the last time; from 0 to 1."""
        before, self._before = self._before, self._look()
        used, ours, all_ = (after - earlier for after, earlier in zip(self._before, before, strict=True))
        return max(0.0, used - ours) / max(1, all_)

    @staticmethod
    def _look() -> tuple[int, int, int]:
        used, all_ = _used_and_all()
        return used, _ticks_of_ours(), all_


def _ticks_of_ours() -> int:
    """Return the ticks of this process and of all that it has started, with those of them that have ended."""
    parents, ticks = dict[int, int](), dict[int, int]()
    for pid in [int(path.name) for path in Path("/proc").glob("[0-9]*")]:
        with suppress(FileNotFoundError, ProcessLookupError):  # ended meanwhile
            numbers = _numbers_of(pid)
            parents[pid], ticks[pid] = numbers[_PARENT], sum(numbers[_TICKS])
    ours = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in ours} - ours:
        ours |= more
    return sum(ticks[pid] for pid in ours)


def _numbers_of(pid: int) -> list[int]:
    """Return what /proc/<pid>/stat says of a process behind its name and its state."""
    return [int(word) for word in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1:]]


def _used_and_all() -> tuple[int, int]:
    """Return the ticks of all processors since the machine's start: those that were used, and all."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]]
    return sum(ticks) - sum(ticks[column] for column in _IDLE_COLUMNS), sum(ticks)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
