"""Notices that the `make` that started us is gone, or on its way out."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

_DEADLY = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


class Parent:
    """The make whose recipe runs us.

    If it is killed, we get another parent. It hands SIGTERM on to us; signalled with another one alone, not
    from the terminal, it only waits for our end, which would be for ever. But before it waits it puts the
    signal back to its default, and on Linux that can be seen.

    Args:
        pid: its process id; None watches nothing.
    """

    def __init__(self, pid: int | None) -> None:
        self._pid = pid
        self._caught = self._caught_signals()

    def is_gone(self) -> bool:
        """Tell whether it has ended or waits for our end."""
        if self._pid is None:
            return False
        return os.getppid() != self._pid or not self._caught <= self._caught_signals()

    def _caught_signals(self) -> set[signal.Signals]:
        """Return the deadly signals that it has handlers for."""
        mask = 0
        with contextlib.suppress(OSError):  # gone, or not Linux
            status = Path(f"/proc/{self._pid}/status").read_text()
            mask = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigCgt:"))
        return {number for number in _DEADLY if mask >> (number - 1) & 1}
