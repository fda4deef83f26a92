"""Transfers that are cancelled by the dozen leave nothing behind, and pools end with their loops."""

from __future__ import annotations

import asyncio

import aiohttp
import httpx
import pytest

from shared.dicomweb.transport import AiohttpTransport
from shared.dicomweb.transport.exchange import _heed_keep_alive
from tests.component.dicomweb.client_under_test import client_of
from tests.component.dicomweb.transport_plays import (
    LARGE_UPLOAD,
    MIB,
    Ask,
    client_over,
    get,
    outcome,
    upload,
    wait_for_ever,
)
from tests.kit.scripted_server import End, Read, Script, answer, head, script, serve

AT_ONCE = 25
ROUNDS = 3

PHASES: dict[str, tuple[Ask, Script]] = {
    "upload that nobody reads": (LARGE_UPLOAD, script(End.DEAF).after(Read.HEAD)),
    "upload whose source waits": (upload(MIB, MIB, length=3 * len(MIB), then=wait_for_ever), script(End.STALL)),
    "answer that does not come": (get, script(End.STALL)),
    "answer that rests": (get, script(head(200, {"Content-Length": "9"}) + b"01", End.STALL)),
}


@pytest.mark.parametrize("phase", PHASES, ids=lambda phase: phase.replace(" ", "_"))
async def test_cancelled_transfers_leave_nothing_open(phase: str) -> None:
    """Each connection is closed, as the server sees it, and each slot of the pool is free again."""
    ask, given = PHASES[phase]
    async with (
        serve(given) as server,
        serve(answer(204)) as other,
        client_over(connections=AT_ONCE, times={"pool": 5}) as client,
    ):
        for number in range(1, ROUNDS + 1):
            transfers = [asyncio.ensure_future(ask(client, server.url)) for _ in range(AT_ONCE)]
            await server.arrival(number * AT_ONCE)
            for transfer in transfers:
                transfer.cancel()
            ended = await asyncio.gather(*transfers, return_exceptions=True)
            assert {type(end) for end in ended} == {asyncio.CancelledError}
        server.hear()
        async with asyncio.timeout(30):
            for request in server.requests:
                await request.gone.wait()
        assert server.connections == len(server.requests) == ROUNDS * AT_ONCE
        after = await asyncio.gather(*[outcome(client.get(other.url)) for _ in range(AT_ONCE)])
    assert set(after) == {"204"}


async def test_cancelled_inside_a_refusal() -> None:
    """Who gives up while the rest of a refusal is awaited leaves neither a connection nor a slot behind."""
    stalls = script(head(404, {"Content-Length": "9"}), b"<", End.STALL)
    async with (
        serve(stalls, stalls, answer(204)) as server,
        client_of(server.url, transport=AiohttpTransport(max_connections=2)) as client,
    ):
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.search_for_studies(), 0.1)
        async with asyncio.timeout(5):
            await asyncio.gather(*(request.gone.wait() for request in server.requests))
        assert await client.search_for_studies() == []


def test_one_pool_for_the_first_requests_of_a_loop() -> None:
    """Requests that come first in a second event loop, all at once, share one pool, which is closed in the end."""

    transport = AiohttpTransport()

    async def search(count: int) -> None:
        async with serve(answer(204)) as server:
            requests = [httpx.Request("GET", server.url) for _ in range(count)]
            answers = await asyncio.gather(*map(transport.handle_async_request, requests))
            assert len(transport._pools) == 1
            for response in answers:
                await response.aclose()
            await transport.aclose()
        assert transport._pools == {}

    asyncio.run(search(1))
    asyncio.run(search(5))


async def test_how_long_connections_are_kept() -> None:
    """Half as long as a server says it keeps them, and never longer than it was before."""
    async with aiohttp.TCPConnector(keepalive_timeout=7) as connector:
        rests = []
        for told in ("timeout=600", "timeout=4", "timeout=10"):
            assert _heed_keep_alive(connector, {"Keep-Alive": told})
            rests.append(connector._keepalive_timeout)
        assert rests == [7, 2, 2]
