"""A request about receipts or the quarantine: answered as JSON or as a problem, with one line in the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable

from azure.core.exceptions import AzureError, HttpResponseError
from starlette.responses import Response

from shared.dicomweb import InvalidParameter
from shared.events import describe, event, place
from shared.problems import Refused, problem

# Code → status, what it means.
REFUSALS: dict[str, tuple[int, str]] = {
    "invalid-body": (
        400,
        'The body must be {"name": "..."} or {"all": true}; "dry_run" may stand beside it, with "all" "continuation".',
    ),
    "not-approved": (403, "The header x-approval-key does not hold the key that the app asks for."),
    "no-receipt": (404, "There is no receipt of this name, or none of this version."),
    "not-in-quarantine": (404, "There is no file of this name in quarantine that can be replayed."),
    "unreadable-receipt": (
        500,
        "The receipt cannot be read. Delete it in the container dicom-receipts, and the file is looked at anew.",
    ),
    "storage-failed": (503, "The storage account did not answer as it should; try again later."),
}
_RETRY_AFTER_SECONDS = 30
NO_NAME = "name must be that of a blob: 1 to 1024 characters, without `.` or `..` between slashes"


def refused(code: str) -> Refused:
    """Return the exception that stands for a refusal of the table."""
    status, title = REFUSALS[code]
    return Refused(status, code, title, _RETRY_AFTER_SECONDS)


def _in_our_words(failure: Exception) -> Exception:
    if isinstance(failure, HttpResponseError) and failure.status_code == 400:
        return InvalidParameter(NO_NAME)  # it has characters that storage does not take
    return refused("storage-failed") if isinstance(failure, AzureError) else failure


async def answer(transaction: str, respond: Callable[[], Awaitable[Response]]) -> Response:
    """Answer a request; whatever is raised becomes a problem.

    Args:
        transaction: what is asked for, as it stands in the log.
        respond: does it.
    """
    started = time.monotonic()
    error: Exception | None = None
    try:
        response = await respond()
    except Exception as failure:
        error = failure
        response = problem(_in_our_words(failure))
    event(
        "request",
        level=logging.ERROR if response.status_code >= 500 else logging.INFO,
        transaction=transaction,
        status=response.status_code,
        error=describe(error) if error else None,
        at=place(error) if error else None,
        seconds=round(time.monotonic() - started, 3),
    )
    response.headers["cache-control"] = "no-store"
    return response
