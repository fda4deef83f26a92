"""What the transport leans on in aiohttp without a promise: a new version that changes it fails here first."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection

from shared.dicomweb.transport.exchange import _heed_keep_alive

STEPS: dict[Callable[..., Any], list[str]] = {
    aiohttp.TCPConnector.connect: ["self", "req", "traces", "timeout"],
    aiohttp.ClientRequest.send: ["self", "conn"],
    aiohttp.ClientRequest.write_bytes: ["self", "writer", "conn", "content_length"],
    aiohttp.ClientResponse.start: ["self", "connection"],
}


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
def test_the_steps_of_a_request(step: Callable[..., Any]) -> None:
    """A request goes out in steps that are coroutines with these parameters, below aiohttp's session."""
    assert inspect.iscoroutinefunction(step)
    assert list(inspect.signature(step).parameters) == STEPS[step]


def test_what_a_request_would_add() -> None:
    """A request adds headers in one step, and a type for its body where it is not told to skip that."""
    assert list(inspect.signature(aiohttp.ClientRequest.update_auto_headers).parameters) == [
        "self",
        "skip_auto_headers",
    ]
    assert aiohttp.ClientRequest._skip_auto_headers is None


async def test_how_long_connections_are_kept() -> None:
    """Half as long as a server says it keeps them, and never longer than it was before."""
    async with aiohttp.TCPConnector(keepalive_timeout=7) as connector:
        rests = []
        for told in ("timeout=600", "timeout=4", "timeout=10"):
            assert _heed_keep_alive(connector, {"Keep-Alive": told})
            rests.append(connector._keepalive_timeout)
        assert rests == [7, 2, 2]


def test_what_an_answer_may_be_like() -> None:
    """A connection is told, before a request goes out on it, how its answer is to be read."""
    told = {"skip_payload", "read_until_eof", "auto_decompress", "read_bufsize"}
    bounds = {"max_line_size", "max_field_size", "max_headers"}
    assert told | bounds <= inspect.signature(ResponseHandler.set_response_params).parameters.keys()


def test_where_a_connection_tells_how_it_ends() -> None:
    """Connections and their streams can be asked for what the transport asks them for."""
    assert "DELETE" not in aiohttp.ClientRequest.GET_METHODS
    for owner, name in ((ResponseHandler, "closed"), (Connection, "protocol"), (Connection, "transport")):
        assert isinstance(vars(owner)[name], property)
    assert {"is_eof", "exception", "set_exception", "readany"} <= set(dir(aiohttp.StreamReader))
