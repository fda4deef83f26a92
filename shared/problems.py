"""What callers are told when there is no answer to pass on: a problem (RFC 9457) in our own words."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Final

from starlette.responses import JSONResponse, Response

from shared.dicomweb import (
    AccessDenied,
    Busy,
    DICOMwebError,
    InvalidParameter,
    InvalidResponse,
    NotAcceptable,
    NotFound,
    RequestNotSent,
    ResponseLost,
    StatusError,
)
from shared.settings import ConfigurationError

# Patients' data: no cache on the way may keep it, and the caller's own asks before it uses it again.
NOT_KEPT: Final = {"cache-control": "private, no-cache"}


class Refused(Exception):
    """A request is not granted, for a reason of our own; nothing in it is the caller's.

    Args:
        status: of the answer.
        code: a stable word.
        title: what it means.
        retry_after_seconds: how long it is of no use to ask again.
        members: what else the body has (RFC 9457 §3.2).
        headers: what else the answer has.
    """

    def __init__(
        self,
        status: int,
        code: str,
        title: str,
        retry_after_seconds: float | None = None,
        *,
        members: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.title = title
        self.retry_after_seconds = retry_after_seconds
        self.members = dict(members or {})
        self.headers = dict(headers or {})


def invalid_parameter(parameter: str, detail: str) -> Refused:
    """Return the refusal of one parameter.

    Args:
        parameter: its name, a DICOM keyword or one of ours; never one that the caller made up.
        detail: what is wrong with it and what is allowed, without its value.
    """
    members = {"parameter": parameter, "detail": detail}
    return Refused(400, "invalid-parameter", "A parameter is not valid.", members=members)


def invalid_request(detail: str) -> Refused:
    """Return the refusal of a request as a whole.

    Args:
        detail: what is wrong with it and what to do, without any of its values.
    """
    return Refused(400, "invalid-request", "The request is not valid.", members={"detail": detail})


# Error → status, stable code, what it means. The first that fits counts; subclasses stand before their bases.
PROBLEMS: Final[tuple[tuple[type[Exception], int, str, str], ...]] = (
    (InvalidParameter, 400, "invalid-parameter", "A parameter is not valid."),
    (ConfigurationError, 503, "not-configured", "The app is not configured; its log says what is missing."),
    (NotFound, 404, "not-found", "The DICOM service has nothing under these identifiers."),
    (NotAcceptable, 406, "not-acceptable", "The DICOM service does not have it in the form asked for."),
    (AccessDenied, 502, "service-denied-access", "The DICOM service does not let the app in."),
    (Busy, 503, "service-busy", "The DICOM service is busy; try again later."),
    (RequestNotSent, 503, "service-unreachable", "The DICOM service cannot be reached."),
    (ResponseLost, 502, "service-response-lost", "The DICOM service did not answer to the end."),
    (
        InvalidResponse,
        502,
        "invalid-service-response",
        "The DICOM service answered something that cannot be understood.",
    ),
    (DICOMwebError, 502, "service-failed", "The DICOM service failed."),
)

# What the service's status alone tells; it stands before the table of errors.
_BY_STATUS: Final = {
    400: ("invalid-request", "The DICOM service does not take this request."),
    429: ("service-throttles", "The DICOM service gets too many requests; try again later, and more slowly."),
}
_INTERNAL: Final = (500, "internal", "The app failed; its log has the event.")

# All of them: code → status, what it means.
CODES: Final[Mapping[str, tuple[int, str]]] = {
    **{code: (status, title) for _, status, code, title in PROBLEMS},
    **{code: (status, title) for status, (code, title) in _BY_STATUS.items()},
    _INTERNAL[1]: (_INTERNAL[0], _INTERNAL[2]),
}


def problem(error: Exception) -> Response:
    """Return the answer that stands for an error; the service's own words never reach the caller."""
    status, code, title = _classify(error)
    headers = dict(NOT_KEPT)
    if isinstance(error, StatusError | Refused) and error.retry_after_seconds is not None and status in (429, 503):
        headers["Retry-After"] = str(ceil(error.retry_after_seconds))
    body: dict[str, object] = {"type": "about:blank", "status": status, "code": code, "title": title}
    if isinstance(error, InvalidParameter):
        body["detail"] = str(error)
    if isinstance(error, Refused):
        body |= error.members
        headers |= error.headers
    return JSONResponse(body, status_code=status, headers=headers, media_type="application/problem+json")


def _classify(error: Exception) -> tuple[int, str, str]:
    if isinstance(error, Refused):
        return error.status, error.code, error.title
    if isinstance(error, StatusError) and error.status_code in _BY_STATUS:
        return error.status_code, *_BY_STATUS[error.status_code]
    for kind, status, code, title in PROBLEMS:
        if isinstance(error, kind):
            return status, code, title
    return _INTERNAL
