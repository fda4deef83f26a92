"""Lines that were not taken are sent again, for alerts go by them. Spans and metrics may be lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import requests
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult

# After each try but the last. A batch that never gets through must not hold up the others for ever.
_PAUSES_SECONDS: Final = (1, 2, 4, 8, 16, 32, *[60] * 14)
_PATIENCE_SECONDS: Final = 900.0
# Of Application Insights: it has been told to leave these out.
_SAMPLED_OUT: Final = "telemetry sampled out."


class RepeatingExporter(LogRecordExporter):
    """Has another exporter send again what was not taken, in the thread that sends: never what was.

    What has no answer counts as not taken. Where only the answer was lost, lines come twice.

    Args:
        open_exporter: makes the one that sends, by the session that it is given.
        passing: statuses after which the same may be taken a moment later.
    """

    def __init__(self, open_exporter: Callable[[requests.Session], LogRecordExporter], passing: frozenset[int]) -> None:
        session = requests.Session()
        session.hooks["response"].append(self._note)
        self._exporter = open_exporter(session)
        self._passing = passing
        self._answer: requests.Response | None = None
        self._hurrying = threading.Event()

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Send lines, until they are taken, will never be, or it has taken too long."""
        until = time.monotonic() + _PATIENCE_SECONDS
        for pause in (*_PAUSES_SECONDS, None):
            is_last = pause is None or self._hurrying.is_set() or time.monotonic() >= until
            self._answer = None
            if self._exporter.export(batch) is LogRecordExportResult.SUCCESS:
                return LogRecordExportResult.SUCCESS
            batch = self._worth_another_try(batch)
            if is_last or pause is None or not batch:
                break
            left = max(until - time.monotonic(), 0.0)
            self._hurrying.wait(min(max(pause, _retry_after_seconds(self._answer)), left))
        return LogRecordExportResult.FAILURE

    def hurry(self) -> None:
        """Try once more, now, and from now on once only: the process is ending."""
        self._hurrying.set()

    def shutdown(self) -> None:
        """End what sends."""
        self.hurry()
        self._exporter.shutdown()  # type: ignore[no-untyped-call]  # the SDK has no type for it

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Do nothing: what is here is being sent."""
        return True

    def _note(self, answer: requests.Response, **_: object) -> None:
        self._answer = answer

    def _worth_another_try(self, batch: Sequence[ReadableLogRecord]) -> Sequence[ReadableLogRecord]:
        answer = self._answer
        if answer is None or answer.status_code in self._passing:
            return batch
        try:
            return [batch[index] for index in _refused(answer.json(), self._passing)]
        except (AttributeError, LookupError, TypeError, ValueError):  # an answer of some other form
            return []


def _refused(answer: Any, statuses: frozenset[int]) -> Iterator[int]:
    """Yield which of a batch Application Insights has refused by these statuses, where it has taken others (206)."""
    for error in answer["errors"]:
        if error["statusCode"] in statuses and str(error.get("message")).lower() != _SAMPLED_OUT:
            yield error["index"]


def _retry_after_seconds(answer: requests.Response | None) -> float:
    """Return how long to wait at least. A date in its place counts for nothing: there are pauses of ours."""
    said = "" if answer is None else answer.headers.get("retry-after", "")
    return float(said) if said.isdecimal() else 0.0
