"""Measuring in turns: every side once a round, so that what the machine does meanwhile meets them all."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from bench.machine import BUSY_SHARE, Others, busy_share
from bench.rivals.set_up import Rivals

T = TypeVar("T")
_ROUNDS, _QUICK_ROUNDS = 5, 2
_LONGEST_WAIT_SECONDS = 20.0


@dataclass
class Bench:
    """What a path is measured with.

    Args:
        folder: for what it writes, its own and empty.
        rivals: the programs that are not ours.
        is_quick: whether figures may be rough.
        was_busy: whether other programs used the machine just before what was measured last, meanwhile or just after.
    """

    folder: Path
    rivals: Rivals
    is_quick: bool = False
    was_busy: bool = field(default=False, init=False)

    def either(self, usual: T, quick: T) -> T:
        """Return what a usual run takes, or a quick one: seconds, sizes, counts."""
        return quick if self.is_quick else usual

    def in_turns(self, what: str, sides: Mapping[str, Callable[[], T]]) -> dict[str, list[T]]:
        """Measure each side once a round; return what each gave, a figure a round.

        The order turns, too: who comes first in one round comes later in the next.

        Args:
            what: is measured, for the line of progress.
            sides: measure one round each, by name.
        """
        found: dict[str, list[T]] = {name: [] for name in sides}
        names = list(sides)
        self.was_busy = not self._is_quiet_in_time()
        others, rounds = Others(), self.either(_ROUNDS, _QUICK_ROUNDS)
        for number in range(rounds):
            for name in names[number % len(names) :] + names[: number % len(names)]:
                progress(f"{what}: round {number + 1} of {rounds}, {name}")
                found[name].append(sides[name]())
        self.was_busy |= others.share() > BUSY_SHARE or self._busy_share() > BUSY_SHARE
        return found

    def _is_quiet_in_time(self) -> bool:
        until = time.monotonic() + self.either(_LONGEST_WAIT_SECONDS, 2.0)
        while (share := self._busy_share()) > BUSY_SHARE:
            if time.monotonic() > until:
                return False
            progress(f"waiting for other programs, which use {share:.0%} of the processors")
        return True

    def _busy_share(self) -> float:
        return busy_share(self.either(0.5, 0.2))


def progress(line: str) -> None:
    """Show what is under way, in place, on a terminal; a log file gets nothing."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{line[:120]}", end="", file=sys.stderr, flush=True)
