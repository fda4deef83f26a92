"""Is it worth asking the DICOM service? A circuit breaker, so that an outage costs one attempt a minute, not all."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

# So many failures of different blobs without a success between them are the service's, whatever they look like.
_FAILURES_TO_OPEN = 5
_FIRST_PAUSE_SECONDS = 5.0
_LONGEST_PAUSE_SECONDS = 60.0


@dataclass
class Circuit:
    """Closed: all go through. Open: none does, until its pause is over; then one is tried, and decides.

    Args:
        clock: seconds that only rise.
    """

    clock: Callable[[], float] = time.monotonic
    _open_until: float | None = None
    _pause: float = _FIRST_PAUSE_SECONDS
    _trying: bool = False
    _failed: set[str] = field(default_factory=set)

    @property
    def is_open(self) -> bool:
        """Whether the service is thought to be down."""
        return self._open_until is not None

    @property
    def is_blocked(self) -> bool:
        """Whether no blob is to be tried now, not even the one that decides."""
        return self._open_until is not None and (self._trying or self.clock() < self._open_until)

    def admits(self) -> bool:
        """Say whether a blob may be tried; in an outage one at a time may, after each pause."""
        if self.is_blocked:
            return False
        self._trying = self.is_open
        return True

    def passed(self) -> bool:
        """Take note that the service answered as it should; return whether that ends an outage."""
        ended = self.is_open
        self._open_until, self._pause, self._trying = None, _FIRST_PAUSE_SECONDS, False
        self._failed.clear()
        return ended

    def failed(self, key: str, *, is_outage: bool, retry_after_seconds: float | None = None) -> bool:
        """Take note that it failed; return whether that begins an outage.

        Args:
            key: of the blob.
            is_outage: whether the failure can only be the service's.
            retry_after_seconds: how long it asks to be left alone.
        """
        self._failed.add(key)
        begins = not self.is_open and (is_outage or len(self._failed) >= _FAILURES_TO_OPEN)
        asked_until = self.clock() + (retry_after_seconds or 0)
        if begins or self._trying:
            self._open_until = max(self.clock() + self._pause, asked_until)
            self._pause = min(self._pause * 2, _LONGEST_PAUSE_SECONDS)
        elif self._open_until is not None:  # it was on its way already when the outage began
            self._open_until = max(self._open_until, asked_until)
        self._trying = False
        return begins

    def abandoned(self) -> None:
        """Take note that an attempt ended without a word of the service, so that the next one may decide."""
        self._trying = False
