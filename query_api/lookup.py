"""One lookup: from the caller's request to the service's answer, with one line in the log."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from shared.clients import get_clients
from shared.dicomweb import Answer, InvalidResponse, NotFound, Request
from shared.events import describe, event, place
from shared.problems import problem

from .answers import pass_through, without_body

# Turns the caller's request into the request to the service.
Translate = Callable[[HttpRequest], Request]


async def look_up(http: HttpRequest, translate: Translate) -> Response:
    """Answer a lookup."""
    started = time.monotonic()
    request: Request | None = None
    error: Exception | None = None
    try:
        request = translate(http)
        response = await _forward(request)
    except Exception as failure:
        error = failure
        response = problem(failure)
    event(
        "lookup",
        level=logging.ERROR if response.status_code >= 500 else logging.INFO,
        transaction=request.transaction if request else None,
        status=response.status_code,
        error=describe(error) if error else None,
        at=place(error) if error else None,
        seconds=round(time.monotonic() - started, 3),
    )
    return response


@asynccontextmanager
async def _send(request: Request) -> AsyncIterator[Answer]:
    """Ask the service; a search knows no 404, so one means that this is no such service's address."""
    try:
        async with get_clients().dicom.send(request) as answer:
            yield answer
    except NotFound:
        if request.transaction.startswith("search"):
            raise InvalidResponse(f"{request.transaction}: the service knows no searches at this address") from None
        raise


async def _forward(request: Request) -> Response:
    async with AsyncExitStack() as upstream:
        answer = await upstream.enter_async_context(_send(request))
        bodiless = answer.status_code in (204, 304)
        response = without_body(answer) if bodiless else await pass_through(upstream, answer, request.accept)
    return response  # noqa: RET504  (inside, mypy would miss a return: the stack may swallow exceptions)
