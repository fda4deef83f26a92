"""What the transport leans on in aiohttp without a promise: a new version that changes it fails here first."""

from __future__ import annotations

import inspect
from contextlib import suppress

import aiohttp
import pytest
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection

from shared.dicomweb.transport import AiohttpTransport
from tests.component.scripted_server import End, answer, script, serve


@pytest.mark.parametrize(("is_on", "hits"), [(True, 2), (False, 1)])
async def test_the_switch_of_the_hidden_second_request(is_on: bool, hits: int) -> None:
    """aiohttp sends an idempotent request again on its own, unless a private attribute is off."""
    async with serve(script(End.FIN), answer(204)) as server, aiohttp.ClientSession() as session:
        session._retry_connection = is_on
        with suppress(aiohttp.ServerDisconnectedError):
            await session.get(server.url)
    assert len(server.requests) == hits


async def test_the_switch_is_off_in_ours() -> None:
    """Nothing goes out twice unless the client decides so."""
    async with AiohttpTransport()._new_session() as session:
        assert session._retry_connection is False


def test_the_place_where_a_request_meets_its_connection() -> None:
    """A request is sent by a coroutine that is given the connection, whose protocol tells how it ends."""
    assert inspect.iscoroutinefunction(aiohttp.ClientRequest.send)
    assert list(inspect.signature(aiohttp.ClientRequest.send).parameters) == ["self", "conn"]
    assert "DELETE" not in aiohttp.ClientRequest.GET_METHODS
    for owner, name in ((ResponseHandler, "closed"), (Connection, "protocol"), (Connection, "transport")):
        assert isinstance(vars(owner)[name], property)
    assert {"is_eof", "exception", "set_exception", "readany"} <= set(dir(aiohttp.StreamReader))
