"""Is it worth asking the DICOM service? A circuit breaker, so that an outage costs one attempt a minute, not all."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

# So many first failures of different blobs without a success between them are taken for the service's.
_FAILURES_TO_OPEN = 5
# Twice as many after each time that a file went through after all, up to this.
_MOST_FAILURES_TO_OPEN = 40
_FIRST_PAUSE_SECONDS = 5.0
_LONGEST_PAUSE_SECONDS = 60.0
# So long after a pause, files that never failed may come first; then any file may be tried.
_PREFERENCE_SECONDS = 60.0


@dataclass
class Circuit:
    """Closed: every blob is tried. Open: none is until its pause is over; then trials decide.

    One trial is made if the failure can only be the service's. If it may be the files', several are made, because
    failing files would otherwise keep the circuit open: the first success closes it.

    Args:
        clock: seconds that only rise.
    """

    clock: Callable[[], float] = time.monotonic
    _open_until: float | None = None
    _pause: float = _FIRST_PAUSE_SECONDS
    _is_certain: bool = False
    _admitted: int = 0
    _answered: int = 0
    _needed: int = _FAILURES_TO_OPEN
    _failed: set[str] = field(default_factory=set)

    @property
    def is_open(self) -> bool:
        """Whether the service is thought to be down."""
        return self._open_until is not None

    @property
    def is_blocked(self) -> bool:
        """Whether no blob may be tried now, not even as a trial."""
        return self._open_until is not None and (self._admitted >= self._trials or self.clock() < self._open_until)

    @property
    def _trials(self) -> int:
        return 1 if self._is_certain else self._needed

    def admits(self, *, has_failed: bool = False) -> bool:
        """Say whether a blob may be tried; while open, a few trials are made after each pause.

        Args:
            has_failed: whether the blob failed by itself before; for a minute after a pause, others are preferred.
        """
        if self.is_blocked:
            return False
        if self._open_until is not None:
            if has_failed and self.clock() < self._open_until + _PREFERENCE_SECONDS:
                return False
            self._admitted += 1
        return True

    def passed(self) -> bool:
        """Take note that the service answered as it should; return whether that ends an outage."""
        ended = self.is_open
        if ended and not self._is_certain:
            self._needed = min(self._needed * 2, _MOST_FAILURES_TO_OPEN)
        elif not self._failed:
            self._needed = max(self._needed - 1, _FAILURES_TO_OPEN)
        self._open_until, self._pause, self._is_certain = None, _FIRST_PAUSE_SECONDS, False
        self._admitted = self._answered = 0
        self._failed.clear()
        return ended

    def failed(
        self, key: str, *, is_outage: bool, has_failed: bool = False, retry_after_seconds: float | None = None
    ) -> bool:
        """Take note that it failed; return whether that begins an outage.

        Args:
            key: of the blob.
            is_outage: whether the failure can only be the service's.
            has_failed: whether the blob failed by itself before: it then says nothing new of the service.
            retry_after_seconds: how long it asks to be left alone.
        """
        if is_outage or not has_failed:
            self._failed.add(key)
        asked_until = self.clock() + (retry_after_seconds or 0)
        if self._open_until is None:
            if not is_outage and len(self._failed) < self._needed:
                return False
            self._open(asked_until, is_certain=is_outage)
            return True
        if self._admitted:
            self._answered += 1
            if is_outage or self._answered >= self._trials:
                self._open(asked_until, is_certain=is_outage)
        self._open_until = max(self._open_until, asked_until)  # also of one on its way when the outage began
        return False

    def _open(self, asked_until: float, *, is_certain: bool) -> None:
        self._open_until = max(self.clock() + self._pause, asked_until)
        self._pause = min(self._pause * 2, _LONGEST_PAUSE_SECONDS)
        self._is_certain = is_certain
        self._admitted = self._answered = 0

    def abandoned(self) -> None:
        """Take note that an attempt ended without a word of the service, so that another may be tried instead."""
        self._admitted = max(self._admitted - 1, 0)
