"""What an error of the client tells."""

from __future__ import annotations

import pytest

from shared.dicomweb import AccessDenied, Busy, Conflict, NotAcceptable, NotFound, StatusError
from shared.dicomweb.errors import status_error


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (302, StatusError),
        (400, StatusError),
        (401, AccessDenied),
        (403, AccessDenied),
        (404, NotFound),
        (406, NotAcceptable),
        (408, Busy),
        (409, Conflict),
        (413, StatusError),
        (424, StatusError),
        (429, Busy),
        (500, StatusError),
        (502, Busy),
        (503, Busy),
        (504, Busy),
        (599, StatusError),
    ],
)
def test_status(status: int, kind: type[StatusError]) -> None:
    """An error names the transaction with its level and the status, and says what to do next."""
    error = status_error("retrieve series", status, 7.0)
    assert type(error) is kind
    assert (error.status_code, error.retry_after_seconds) == (status, 7.0)
    said, advice = str(error).rsplit(": ", 1)
    assert said == f"retrieve series: the service answered {status}"
    assert len(advice.split()) >= 3
