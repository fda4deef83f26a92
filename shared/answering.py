"""A request that is no lookup: answered, or told in a problem why not, with one line in the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable

from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from shared.dicomweb import InvalidParameter
from shared.events import describe, event, place
from shared.function_key import is_function_key
from shared.problems import problem
from shared.telemetry.recording import span


async def answer(
    transaction: str, respond: Callable[[], Awaitable[Response]], in_our_words: Callable[[Exception], Exception]
) -> Response:
    """Answer a request; whatever is raised becomes a problem.

    Args:
        transaction: what is asked for, as it stands in the log.
        respond: does it.
        in_our_words: turns what storage or the service raises into what the caller is told.
    """
    with span(transaction):
        return await _answer(transaction, respond, in_our_words)


async def _answer(
    transaction: str, respond: Callable[[], Awaitable[Response]], in_our_words: Callable[[Exception], Exception]
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
