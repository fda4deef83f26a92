"""Is it worth asking the DICOM service? A circuit breaker, so that an outage costs a few attempts a minute, not all."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

# So many first failures of different files without a success between them are taken for the service's. With nine bad
# files to a good one, a run of 50 failures is rare.
_FAILURES_TO_OPEN = 50
# After a pause so many files may be answered 5xx, one after another, before the next pause.
_TRIALS = 10
_FIRST_PAUSE_SECONDS = 5.0
_LONGEST_PAUSE_SECONDS = 60.0
# So long after a pause, only files that never failed are tried; then any file may be.
_PREFERENCE_SECONDS = 60.0
# So long after a success among failures that may be the files', one more such failure is no outage.
_LENIENT_SECONDS = 300.0


@dataclass
class Circuit:
    """Closed: every file is tried. Open: none is until its pause is over; then trials decide, one at a time.

    The first success closes it. A trial that shows an outage for certain begins the next pause. A trial that is
    answered 5xx may be the file's fault, so others follow it first: failing files must not hold back good ones.

    Args:
        clock: seconds that only rise.
    """

    clock: Callable[[], float] = time.monotonic
    is_certain: bool = False  # whether the latest failure can only be the service's
    _open_until: float | None = None
    _pause: float = _FIRST_PAUSE_SECONDS
    _trying: bool = False
    _trials_left: int = _TRIALS
    _lenient_until: float = 0.0
    _failed: set[str] = field(default_factory=set)

    @property
    def is_open(self) -> bool:
        """Whether the service is thought to be down."""
        return self._open_until is not None

    @property
    def is_blocked(self) -> bool:
        """Whether no file may be tried now, not even as a trial."""
        return self._open_until is not None and (self._trying or self.clock() < self._open_until)

    def admits(self, *, has_failed: bool = False) -> bool:
        """Say whether a file may be tried; in an outage one at a time may, after each pause.

        Args:
            has_failed: whether the file is known to fail: for a minute after a pause, others are preferred.
        """
        if self.is_blocked:
            return False
        if self._open_until is not None and has_failed and self.clock() < self._open_until + _PREFERENCE_SECONDS:
            return False
        self._trying = self.is_open
        return True

    def passed(self) -> bool:
        """Take note that the service answered as it should; return whether that ends an outage."""
        ended = self.is_open
        is_among_failures = bool(self._failed) and self.clock() < self._lenient_until
        if (ended and not self.is_certain) or is_among_failures:
            self._lenient_until = self.clock() + _LENIENT_SECONDS
        self._open_until, self._pause = None, _FIRST_PAUSE_SECONDS
        self.is_certain = self._trying = False
        self._failed.clear()
        return ended

    def failed(
        self,
        key: str,
        *,
        is_outage: bool,
        may_be_the_file: bool = False,
        has_failed: bool = False,
        retry_after_seconds: float | None = None,
    ) -> bool:
        """Take note that it failed; return whether that begins an outage.

        Args:
            key: of the file.
            is_outage: whether the failure is taken for the service's.
            may_be_the_file: whether it may be the file's nevertheless, as a 503 that one file gets each time.
            has_failed: whether the file was known to fail: then this says nothing new of the service.
            retry_after_seconds: how long the service asks to be left alone.
        """
        asked_until = self.clock() + (retry_after_seconds or 0)
        is_certain = is_outage and not may_be_the_file
        was_trial, self._trying = self._trying, False
        if self._open_until is None:
            if not has_failed:
                self._failed.add(key)
            is_clear = is_certain or (is_outage and self.clock() >= self._lenient_until)
            if not is_clear and len(self._failed) < _FAILURES_TO_OPEN:
                return False
            self._open(asked_until, is_certain=is_certain)
            return True
        self.is_certain = is_certain or (self.is_certain and not was_trial)
        if was_trial:
            self._trials_left -= 1
            if is_certain or not self._trials_left:
                self._open(asked_until, is_certain=is_certain)
        self._open_until = max(self._open_until, asked_until)  # also by one that was on its way when the outage began
        return False

    def _open(self, asked_until: float, *, is_certain: bool) -> None:
        self._open_until = max(self.clock() + self._pause, asked_until)
        self._pause = min(self._pause * 2, _LONGEST_PAUSE_SECONDS)
        self._trials_left = _TRIALS
        self.is_certain = is_certain

    def abandoned(self) -> None:
        """Take note that an attempt ended without a word of the service, so that the next one may decide."""
        self._trying = False
