"""Does a figure grow, or does it only go up and down? (pure)"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Final

# Samples that follow each other are alike, and would make any slope look certain: so a line is fitted through the
# middles of ten stretches of time.
STRETCHES: Final = 10
_T_95: Final = 2.306  # Student's t for 95 % on both sides, with the eight degrees of freedom of ten points and a line
_SECONDS_PER_HOUR: Final = 3600


@dataclass(frozen=True)
class Trend:
    """A line through a figure.

    Args:
        start: where the line begins.
        per_hour: its slope.
        low: of the slope, with 95 % confidence; the same per hour.
        high: the same.
        growth: what the line has gained when it ends.
        tolerance: of the growth.
    """

    start: float
    per_hour: float
    low: float
    high: float
    growth: float
    tolerance: float

    @property
    def is_flat(self) -> bool:
        """Whether it does not grow: the slope may be none at all, or what was gained is within the tolerance."""
        return self.low <= 0 or self.growth <= self.tolerance


def trend_of(
    points: Sequence[tuple[float, float]], tolerance: float, of_stretch: Callable[[list[float]], float] = median
) -> Trend:
    """Fit a line.

    Args:
        points: seconds and figure, in the order of time; at least ten.
        tolerance: what may be gained without being taken for growth.
        of_stretch: what a stretch of time comes to.
    """
    middles = [_middle(points, number, of_stretch) for number in range(STRETCHES)]
    mean_x, mean_y = fmean(x for x, _ in middles), fmean(y for _, y in middles)
    spread = sum((x - mean_x) ** 2 for x, _ in middles)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in middles) / spread
    start = mean_y - slope * mean_x
    rest = sum((y - start - slope * x) ** 2 for x, y in middles) / (STRETCHES - 2)
    margin = float(_T_95 * (rest / spread) ** 0.5)
    per_hour, low, high = (one * _SECONDS_PER_HOUR for one in (slope, slope - margin, slope + margin))
    first, last = points[0][0], points[-1][0]
    return Trend(start + slope * first, per_hour, low, high, slope * (last - first), tolerance)


def _middle(
    points: Sequence[tuple[float, float]], number: int, of_stretch: Callable[[list[float]], float]
) -> tuple[float, float]:
    some = points[len(points) * number // STRETCHES : len(points) * (number + 1) // STRETCHES]
    return fmean(x for x, _ in some), of_stretch([y for _, y in some])
