"""How many requests of a kind are in flight in this process: bounded, so that ingest is not starved."""

from __future__ import annotations


class Places:
    """A number of places that are taken and given back; nobody waits for one."""

    def __init__(self) -> None:
        self._taken = 0

    def take(self, most: int) -> bool:
        """Take a place, if fewer than `most` are taken."""
        if self._taken >= most:
            return False
        self._taken += 1
        return True

    def give_back(self) -> None:
        """Give a place back."""
        self._taken -= 1
