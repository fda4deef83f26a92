"""A thousand transfers that are cancelled leave nothing behind."""

from __future__ import annotations

import asyncio

import pytest

from tests.component.dicomweb.transport_plays import LARGE_UPLOAD, MIB, Ask, get, upload, wait_for_ever
from tests.component.dicomweb.transports_under_test import SUBJECTS, outcome
from tests.component.scripted_server import End, Read, Script, answer, head, script, serve

AT_ONCE = 25
ROUNDS = 10

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
    ours = SUBJECTS[0]
    async with (
        serve(given) as server,
        serve(answer(204)) as other,
        ours.client(connections=AT_ONCE, times={"pool": 5}) as client,
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
