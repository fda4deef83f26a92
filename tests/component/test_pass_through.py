"""An answer of the service on its way to the caller, from a scripted service, over ASGI."""

from __future__ import annotations

import gzip
from contextlib import AsyncExitStack

import pytest
from starlette.types import Message

from query_api.retrieving.passing import pass_through
from shared.dicomweb import Busy, InvalidResponse, Request, media_types
from shared.problems import problem
from tests.component.dicomweb.client_under_test import client_of
from tests.component.scripted_server import Script, answer, serve

DICOM = {"Content-Type": "application/dicom"}
JSON = {"Content-Type": "application/dicom+json"}
NOT_KEPT = "private, no-cache"


async def passed(script: Script, accept: str = media_types.INSTANCE) -> tuple[dict[str, str], bytes]:
    """Return the headers and the body that a caller gets."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async with serve(script) as server, client_of(server.url) as client, AsyncExitStack() as upstream:
        request = Request("retrieve instance", "GET", "/studies/1.2", accept=accept)
        response = await pass_through(upstream, await upstream.enter_async_context(client.send(request)), accept)
        await response({"type": "http", "asgi": {"spec_version": "2.4"}}, nothing, send)
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return headers, b"".join(message.get("body", b"") for message in sent[1:])


async def nothing() -> Message:
    raise AssertionError("nobody listens")


@pytest.mark.parametrize(
    ("script", "accept"),
    [
        (answer(200, b"<html>CANARY</html>", {"Content-Type": "text/html"}), media_types.INSTANCE),
        (answer(200, b"[]", JSON), media_types.INSTANCE),
        (answer(200, b"[]", {"Content-Type": "text/html"}), media_types.DICOM_JSON),
        (answer(200, b"{}", JSON), media_types.DICOM_JSON),
        (answer(200, b"CANARY", JSON), media_types.DICOM_JSON),
        (answer(200, b"", JSON), media_types.DICOM_JSON),
    ],
)
async def test_what_is_not_of_the_kind_asked_for_goes_no_further(script: Script, accept: str) -> None:
    """A proxy's page or another service's answer is not handed on as if it were the DICOM service's."""
    with pytest.raises(InvalidResponse):
        await passed(script, accept)


async def test_the_callers_headers_fit_the_body_that_is_sent() -> None:
    """A length is passed on; a compressed body, which was not asked for, is not."""
    headers, body = await passed(answer(200, b"DICM", {**DICOM, "ETag": "7-1"}))
    assert (headers["content-length"], headers["etag"], body) == ("4", "7-1", b"DICM")
    packed = answer(200, gzip.compress(b"DICM"), {**DICOM, "Content-Encoding": "gzip"})
    with pytest.raises(InvalidResponse):
        await passed(packed)


async def test_no_cache_keeps_what_is_answered() -> None:
    """Not data, not a problem."""
    headers, _ = await passed(answer(200, b"[]", JSON), media_types.DICOM_JSON)
    assert headers["cache-control"] == NOT_KEPT
    assert problem(Busy("search studies", 503)).headers["cache-control"] == NOT_KEPT
