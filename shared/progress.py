"""How far a command has come, told in one line of the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable

Say = Callable[[str], None]


def on_terminal() -> Say:
    """Return what writes each line over the one before; it writes nothing where nobody looks on."""
    return _write_over if sys.stderr.isatty() else say_nothing


def say_nothing(line: str) -> None:
    """Tell nobody."""


def _write_over(line: str) -> None:
    sys.stderr.write(f"\r\x1b[K{line}")
    sys.stderr.flush()
