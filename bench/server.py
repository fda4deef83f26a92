"""A server of the benchmarks in a process of its own, so that what it does is not in the figures."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import PIPE, Popen


@contextmanager
def port_of(module: str, *options: str) -> Iterator[int]:
    """Run a module that prints the port it listens on, give that, and end it."""
    with Popen([sys.executable, "-m", module, *options], stdout=PIPE, text=True) as process:
        try:
            assert process.stdout
            yield int(process.stdout.readline())
        finally:
            process.terminate()
