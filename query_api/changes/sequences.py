"""A set of sequence numbers, kept as ranges: numbers of the feed follow on one another, but for a few gaps."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator


class Sequences:
    """Whole numbers; what it takes up grows with its gaps, not with its numbers.

    Args:
        ranges: first and last number of each, ascending, with a gap between any two.
    """

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self._ranges = list(ranges)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Give the ranges, ascending."""
        return iter(self._ranges)

    def __len__(self) -> int:
        """Return how many ranges there are."""
        return len(self._ranges)

    def __contains__(self, number: int) -> bool:
        at = self._at(number)
        return at >= 0 and number <= self._ranges[at][1]

    def add(self, number: int) -> None:
        """Take a number in."""
        if number in self:
            return
        at = self._at(number)
        first = last = number
        begin = end = at + 1
        if at >= 0 and self._ranges[at][1] == number - 1:
            first, begin = self._ranges[at][0], at
        if end < len(self._ranges) and self._ranges[end][0] == number + 1:
            last, end = self._ranges[end][1], end + 1
        self._ranges[begin:end] = [(first, last)]

    def discard(self, number: int) -> None:
        """Leave a number out."""
        if number in self:
            at = self._at(number)
            first, last = self._ranges[at]
            rest = [(first, number - 1), (number + 1, last)]
            self._ranges[at : at + 1] = [one for one in rest if one[0] <= one[1]]

    def close_gaps(self, most: int) -> None:
        """Take in what lies between the first ranges, so that there are at most so many."""
        if surplus := max(0, len(self._ranges) - most):
            self._ranges[: surplus + 1] = [(self._ranges[0][0], self._ranges[surplus][1])]

    def _at(self, number: int) -> int:
        """Return which range is the last that begins at the number or before it; -1 if none does."""
        return bisect_right(self._ranges, number, key=lambda one: one[0]) - 1
