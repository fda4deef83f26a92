"""A request that is no lookup: answered, or told in a problem why not, with one line in the log."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from shared.auditing.auditor import get_auditor
from shared.auditing.record import Access
from shared.callers import caller_of
from shared.clients import get_clients
from shared.delivery import Delivery, Outcome, close
from shared.dicomweb import InvalidParameter
from shared.events import describe, event, place
from shared.function_key import is_function_key
from shared.problems import problem
from shared.telemetry.recording import span

REQUEST_ID: Final = "x-request-id"


async def answer(
    transaction: str,
    respond: Callable[[], Awaitable[Response]],
    in_our_words: Callable[[Exception], Exception],
    request_id: str | None = None,
) -> Response:
    """Answer a request; whatever is raised becomes a problem.

    Args:
        transaction: what is asked for, as it stands in the log.
        respond: does it.
        in_our_words: turns what storage or the service raises into what the caller is told.
        request_id: names the request in the log.
    """
    with span(transaction):
        return await _answer(transaction, respond, in_our_words, request_id)


async def answer_read(
    http: HttpRequest,
    kind: tuple[str, str],
    transaction: str,
    respond: Callable[[Access], Awaitable[Response]],
    in_our_words: Callable[[Exception], Exception],
) -> Response:
    """Answer a request that reads patients' data, as `answer` does, and record it as an access, as AUDIT demands.

    Args:
        http: what the caller sent.
        kind: the transaction and the resource, as they stand in the access record.
        transaction: what is asked for, as it stands in the log.
        respond: does it; it adds to the access what the answer is about.
        in_our_words: turns what storage or the service raises into what the caller is told.
    """
    request_id = uuid.uuid4().hex
    access: Access | None = None

    async def read() -> Response:
        nonlocal access
        access = Access(request_id, caller_of(http, get_clients().settings), *kind)
        response = await respond(access)
        try:
            await get_auditor().begin(access, response.status_code)
        except BaseException:
            await close(response)
            raise
        return response

    response = await answer(transaction, read, in_our_words, request_id)
    response.headers[REQUEST_ID] = request_id
    return response if access is None else _recorded(response, access)


def _recorded(response: Response, access: Access) -> Response:
    """Return the response as one that has its end recorded."""

    async def end(outcome: Outcome) -> None:
        await get_auditor().end(access, outcome.status, outcome.bytes, outcome.word)

    return Delivery(response, get_clients().settings.lookup_timeout_seconds, end)


async def _answer(
    transaction: str,
    respond: Callable[[], Awaitable[Response]],
    in_our_words: Callable[[Exception], Exception],
    request_id: str | None,
) -> Response:
    started = time.monotonic()
    error: Exception | None = None
    try:
        response = await respond()
    except Exception as failure:
        error = failure
        response = problem(in_our_words(failure))
    event(
        "request",
        level=logging.ERROR if response.status_code >= 500 else logging.INFO,
        transaction=transaction,
        status=response.status_code,
        error=describe(error) if error else None,
        at=place(error) if error else None,
        seconds=round(time.monotonic() - started, 3),
        request_id=request_id,
    )
    response.headers["cache-control"] = "no-store"
    return response


def read_query(http: HttpRequest, *known: str) -> dict[str, str]:
    """Return the parameters of a query, the function key apart.

    Raises:
        InvalidParameter: there is another one than those that are known, or one twice.
    """
    pairs = [pair for pair in http.query_params.multi_items() if not is_function_key(pair[0])]
    given = dict(pairs)
    if len(given) < len(pairs) or not given.keys() <= set(known):
        raise InvalidParameter(f"only {' and '.join(known)} are known, each once" if known else "none is known here")
    return given
