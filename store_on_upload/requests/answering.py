"""What a request about receipts or the quarantine is refused for, each with a stable code."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from azure.core.exceptions import AzureError, HttpResponseError
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from shared import answering
from shared.auditing.auditor import NOT_RECORDED
from shared.auditing.record import Access
from shared.dicomweb import InvalidParameter
from shared.problems import Refused

# Code → status, what it means.
REFUSALS: dict[str, tuple[int, str]] = {
    "invalid-body": (
        400,
        'The body must be {"name": "..."} or {"all": true}; "dry_run" may stand beside it, with "all" "continuation".',
    ),
    "no-replay-key": (403, "Nobody may replay: REPLAY_KEY is not set. APPROVAL_KEY is for retention alone."),
    "wrong-replay-key": (403, "The header x-replay-key does not hold the key that the app asks for."),
    "no-receipt": (404, "There is no receipt of this name, or none of this version."),
    "not-in-quarantine": (404, "There is no file of this name in quarantine that can be replayed."),
    "unreadable-receipt": (
        500,
        "The receipt cannot be read. Delete it in the container dicom-receipts, and the file is looked at anew.",
    ),
    "not-recorded": NOT_RECORDED,
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
    """Answer a request; see `shared.answering`."""
    return await answering.answer(transaction, respond, _in_our_words)


async def answer_read(
    http: HttpRequest, kind: tuple[str, str], transaction: str, respond: Callable[[Access], Awaitable[Response]]
) -> Response:
    """Answer a request that reads, and record it as an access; see `shared.answering`."""
    return await answering.answer_read(http, kind, transaction, respond, _in_our_words)
