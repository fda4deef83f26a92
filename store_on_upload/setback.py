"""Why a blob has no verdict yet, and whose fault that is (pure)."""

from __future__ import annotations

from dataclasses import dataclass

from azure.core.exceptions import AzureError

from shared.dicomweb import AccessDenied, Busy, DICOMwebError, RequestNotSent, StatusError
from shared.events import Failed

_LONGEST_RETRY_AFTER_SECONDS = 24 * 3600.0

# There is no such service at the address; its encryption key or its data lake cannot be reached. No file's fault.
_SERVICE_IS_SET_UP_WRONGLY = (404, 424)


@dataclass(frozen=True)
class Setback:
    """Why a blob has no verdict yet.

    Args:
        reason: a key of `verdict.REASONS`.
        is_outage: the service, its token, the storage or a stop is at fault, whatever the file is like: the time
            does not count against it.
        retry_after_seconds: how long the service asks to be left alone.
        service_code: FailureReason, as the service gave it.
        is_untried: whether the file was held back though the service may be up: what was known of the file stays known.
    """

    reason: str
    is_outage: bool
    retry_after_seconds: float | None = None
    service_code: int | None = None
    is_untried: bool = False

    @property
    def asked_seconds(self) -> float:
        """How long to leave the service alone, as it asks: never cut short, up to a day."""
        return min(self.retry_after_seconds or 0, _LONGEST_RETRY_AFTER_SECONDS)


STOPPED = Setback("stopped", is_outage=True)


def outage(*, is_certain: bool) -> Setback:
    """Return why a file is not tried while the circuit is open."""
    return Setback("outage", is_outage=True, is_untried=not is_certain)


class NotYet(Failed):
    """No verdict can be given now: the service has neither taken nor refused the instance, or was not asked.

    Args:
        reason, service_code, is_outage, retry_after_seconds, is_untried: those of its `setback`.
    """

    def __init__(
        self,
        reason: str,
        service_code: int | None = None,
        *,
        is_outage: bool = False,
        retry_after_seconds: float | None = None,
        is_untried: bool = False,
    ) -> None:
        super().__init__(f"no verdict yet: {reason}" + (f", service code {service_code}" if service_code else ""))
        self.setback = Setback(reason, is_outage, retry_after_seconds, service_code, is_untried)


def setback_of(error: Exception) -> Setback:
    """Return what an exception means for the file that met it."""
    match error:
        case NotYet():
            return error.setback
        case RequestNotSent():
            return Setback("service_unreachable", is_outage=True)
        case AccessDenied():
            return Setback("access_denied", is_outage=True)
        case Busy():
            return Setback("service_busy", is_outage=True, retry_after_seconds=error.retry_after_seconds)
        case StatusError(status_code=status) if status in _SERVICE_IS_SET_UP_WRONGLY:
            return Setback("service_failed", is_outage=True, retry_after_seconds=error.retry_after_seconds)
        case DICOMwebError():
            after = error.retry_after_seconds if isinstance(error, StatusError) else None
            return Setback("service_failed", is_outage=False, retry_after_seconds=after)
        case AzureError():
            return Setback("storage_failed", is_outage=True)
        case TimeoutError():
            return Setback("too_slow", is_outage=False)
    return Setback("app_failed", is_outage=False)
