"""What is to be reached, and whether it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeAlias

Figures: TypeAlias = Sequence[float]


@dataclass(frozen=True)
class Aim:
    """Something to be reached.

    Args:
        text: says what, for the table.
        is_met: tells from the figures of each round, ours and the rival's, whether it is.
    """

    text: str
    is_met: Callable[[Figures, Figures], bool]


def at_least(ratio: float) -> Aim:
    """Ours is so many times the rival's, or more."""
    return Aim(f"≥ {ratio:g} times", lambda ours, rival: _ratio(ours, rival) >= ratio)


def at_most(ratio: float) -> Aim:
    """Ours is so many times the rival's, or less."""
    return Aim(f"≤ {ratio:g} times", lambda ours, rival: _ratio(ours, rival) <= ratio)


def more_by_at_most(difference: float, unit: str) -> Aim:
    """Ours is more than the rival's by so much, or less."""
    return Aim(f"≤ {difference:g} {unit} more", lambda ours, rival: _difference(ours, rival) <= difference)


def no_more_than(figure: float, unit: str) -> Aim:
    """Ours is so much, or less; there is no rival."""
    return Aim(f"≤ {figure:g} {unit}", lambda ours, rival: median(ours) <= figure)


def _ratio(ours: Figures, rival: Figures) -> float:
    return median(mine / other for mine, other in zip(ours, rival, strict=True))


def _difference(ours: Figures, rival: Figures) -> float:
    return median(mine - other for mine, other in zip(ours, rival, strict=True))
