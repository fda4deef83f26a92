"""Programs that take part in a measurement, each a process of its own.

A server prints the port it listens on. A side, such as a client that stores, takes a line of JSON for each round, and
prints a line of JSON with what it measured: so it imports, connects and warms up once, and that is not in the figures.
With the standard library alone, for a rival's program runs on a Python of its own.

Each has a session of its own: Ctrl-C on a terminal reaches the bench alone, which ends them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any, Final, Self

ROOT = Path(__file__).resolve().parent.parent
_READY_SECONDS: Final = 60.0


@contextmanager
def port_of(module: str, *options: str, python: str | Path = sys.executable) -> Iterator[int]:
    """Run a module that prints the port it listens on, give that, and end it."""
    with Popen([python, "-m", module, *options], stdout=PIPE, text=True, cwd=ROOT, start_new_session=True) as process:
        try:
            assert process.stdout
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def is_listened_to(port: int) -> bool:
    """Say whether a server takes connections on a port of this machine."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def wait_until(is_ready: Callable[[], bool], what: str, check: Callable[[], object] = bool) -> None:
    """Wait for a program to be ready.

    Args:
        is_ready: says whether it is.
        what: the program, for the error.
        check: raises if it has ended.

    Raises:
        RuntimeError: it was not ready in time.
    """
    until = time.monotonic() + _READY_SECONDS
    while not is_ready():
        check()
        if time.monotonic() > until:
            raise RuntimeError(f"{what} was not ready within {_READY_SECONDS:g} s")
        time.sleep(0.01)


def check_runs(process: Popen[Any], what: str) -> None:
    """See whether a process is still there.

    Raises:
        RuntimeError: it has ended.
    """
    if process.poll() is not None:
        raise RuntimeError(f"{what} has ended with {process.returncode}")


class Side:
    """A running program that measures when it is told to; a context manager, left with it ended.

    Args:
        module: it is, with `take_turns` at its end.
        options: it is started with.
        python: runs it.
        environment: of it, if another than ours.
    """

    def __init__(
        self,
        module: str,
        *options: str,
        python: str | Path = sys.executable,
        environment: dict[str, str] | None = None,
    ) -> None:
        self._process = Popen(
            [python, "-m", module, *options],
            stdin=PIPE,
            stdout=PIPE,
            text=True,
            cwd=ROOT,
            env=environment,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, why: object, *rest: object) -> None:
        assert self._process.stdin
        if why:
            self._process.kill()
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def measure(self, **round_: Any) -> Any:
        """Have it measure one round, and return what it found.

        Raises:
            RuntimeError: it ended; what it printed on stderr says why.
        """
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(round_) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args} ended: see above")  # type: ignore[str-bytes-safe]  # they are text
        return json.loads(line)


async def take_turns(measure: Callable[..., Awaitable[Any]]) -> None:
    """Measure a round for each line of stdin, until it ends: what `Side` talks to."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(await measure(**json.loads(line))), flush=True)


@dataclass(frozen=True)
class StoreOptions:
    """What a program that stores is told.

    Args:
        url: of the DICOM service, with its version.
        size_bytes: of an instance.
        are_kept: whether the server keeps what it gets and knows multipart alone: then each instance is a new one.
    """

    url: str
    size_bytes: int
    are_kept: bool


def store_options(description: str | None) -> StoreOptions:
    """Read the command line of a program that stores."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--url", required=True, help="of the DICOM service, with the version")
    parser.add_argument("--size-bytes", type=int, required=True, help="of an instance")
    parser.add_argument("--are-kept", action="store_true", help="by the server: new ones each, in multipart messages")
    return StoreOptions(**vars(parser.parse_args()))
