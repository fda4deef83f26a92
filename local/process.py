"""Child processes: each with a session and a log of its own, and none that outlives us.

A session of its own keeps the terminal's Ctrl-C from the children, so that they end when and in the order we
say; `local.leash` ends them if we are killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

_LEASH = Path(__file__).with_name("leash.py")
_LONGEST_TAIL_BYTES = 64 * 1024
_READY_SECONDS = 60.0  # the longest wait for a part; a machine's very first start reads everything from disk


class PartFailed(Exception):
    """A child process ended, or did not become ready."""

    def __init__(self, part: Part, what: str) -> None:
        super().__init__(f"{part.name} {what}")
        self.part = part


class Part:
    """A running child process and its log."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        """Start `command`, from a thread that lives as long as the process (see `local.leash`)."""
        self.name = name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        if log.exists():
            log.replace(log.with_suffix(".log.old"))  # what a part that died had to say
        with log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - the commands are ours
                [sys.executable, "-I", "-S", _LEASH, str(os.getpid()), *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=folder,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id, also that of its group and its session."""
        return self._process.pid

    def check(self) -> None:
        """Raise PartFailed if the process has ended."""
        code = self._process.poll()
        if code is not None:
            how = f"with exit code {code}" if code >= 0 else f"by {signal.Signals(-code).name}"
            raise PartFailed(self, f"ended {how}")

    def tail(self, lines: int = 20) -> str:
        """Return the last lines of the log."""
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - _LONGEST_TAIL_BYTES))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])


def wait_until_ready(part: Part, is_ready: Callable[[], bool], check: Callable[[], None] = lambda: None) -> None:
    """Wait until a part that was started can be used.

    Args:
        part: what is waited for.
        is_ready: asked again and again.
        check: called again and again meanwhile; what it raises ends the wait.

    Raises:
        PartFailed: the part ended or is not ready in time.
    """
    began = time.monotonic()
    while not is_ready():
        check()
        part.check()
        waited = time.monotonic() - began
        if waited > _READY_SECONDS:
            raise PartFailed(part, f"is not ready after {_READY_SECONDS:g} s")
        time.sleep(min(1.0, 0.03 + waited / 10))


def stop(parts: Iterable[Part], *, grace_seconds: float = 10.0) -> None:
    """End the process groups of `parts` side by side: SIGTERM, then SIGKILL for what is left."""
    parts = list(parts)
    for part in parts:
        _signal(part, signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    for part in parts:
        try:
            part._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            pass
        finally:
            _signal(part, signal.SIGKILL)
            part._process.wait()


def kill(part: Part) -> None:
    """End a part's process group by SIGKILL, as a crash would."""
    _signal(part, signal.SIGKILL)
    part._process.wait()


def _signal(part: Part, number: signal.Signals) -> None:
    try:
        os.killpg(part.pid, number)
    except ProcessLookupError:
        return
