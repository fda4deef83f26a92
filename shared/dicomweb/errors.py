"""What can go wrong between us and a DICOMweb service.

    DICOMwebError
    ├── RequestNotSent        DNS, connection, pool, token: always safe to repeat
    ├── ResponseLost          sent, but no complete answer: repeat only what is idempotent
    ├── StatusError           an answer that says no
    │   ├── AccessDenied      401, 403
    │   ├── NotFound          404
    │   ├── NotAcceptable     406
    │   ├── Conflict          409
    │   └── Busy              408, 429, 502, 503, 504
    └── InvalidResponse       wrong media type, malformed or truncated multipart, bad DICOM JSON
    InvalidParameter          a ValueError: refused by us before anything was sent

`str()` of each names the transaction, the level and what was wrong, and for a status what to do next: never a UID, a
query, a body or a header, since messages end in logs and error bodies. Foreign exceptions are translated `from None`: a
chained httpx error prints the full URL.
"""

from __future__ import annotations


class InvalidParameter(ValueError):
    """A parameter that no service would take; the message names the parameter, never its value."""


class DICOMwebError(Exception):
    """The base of all that the client raises once a request is under way."""


class RequestNotSent(DICOMwebError):
    """The service cannot have seen the request."""


class ResponseLost(DICOMwebError):
    """The request went out, in whole or in part, and no complete answer came back: its outcome is unknown."""


class InvalidResponse(DICOMwebError):
    """The service answered with something that cannot be understood."""


class StatusError(DICOMwebError):
    """The service answered with a status that says no."""

    def __init__(self, transaction: str, status_code: int, retry_after_seconds: float | None = None) -> None:
        advice = _ADVICE.get(status_code) or (
            "check the base URL" if status_code < 400 else "see the service's own log"
        )
        super().__init__(f"{transaction}: the service answered {status_code}: {advice}")
        self.status_code = status_code
        self.retry_after_seconds = retry_after_seconds


class AccessDenied(StatusError):
    """401 or 403: the token was not taken, or its role does not allow this."""


class NotFound(StatusError):
    """404: nothing there under these UIDs, or no such service at this address."""


class NotAcceptable(StatusError):
    """406: the service does not have it in the form asked for."""


class Conflict(StatusError):
    """409 on anything but a store, whose 409 is a result."""


class Busy(StatusError):
    """408, 429, 502, 503 or 504: later."""


# Status → what to do next.
_ADVICE = {
    400: "it does not take one of the parameters, or this feature is off",
    401: "see that the token is meant for this service",
    403: "give this identity a role that allows it",
    404: "there is none under these UIDs, or no such service at the base URL",
    405: "it does not offer this",
    406: "it does not have this in the form asked for",
    408: "try again later",
    409: "this is there already, or clashes with work under way",
    413: "the file is larger than it takes",
    415: "it takes no such media type",
    424: "see that its encryption key and its data lake can be reached",
    429: "try again later, and more slowly",
    500: "try again later",
    502: "try again later",
    503: "try again later",
    504: "try again later",
}

_BY_STATUS: dict[int, type[StatusError]] = {
    401: AccessDenied,
    403: AccessDenied,
    404: NotFound,
    406: NotAcceptable,
    408: Busy,
    409: Conflict,
    429: Busy,
    502: Busy,
    503: Busy,
    504: Busy,
}


def status_error(transaction: str, status_code: int, retry_after_seconds: float | None = None) -> StatusError:
    """Return the error that stands for a status."""
    return _BY_STATUS.get(status_code, StatusError)(transaction, status_code, retry_after_seconds)
