"""How an answer ended, as it is told, where the caller goes at its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from starlette.responses import StreamingResponse
from starlette.types import Message

from shared.delivery import Delivery, Outcome


@pytest.mark.parametrize(
    ("headers", "word"),
    [
        ({"content-length": "4"}, "complete"),
        ({"content-length": "5"}, "hung_up"),
        ({}, "hung_up"),  # without a length, the end is our last word, which did not arrive
    ],
)
async def test_whoever_has_all_that_was_announced_may_go(headers: dict[str, str], word: str) -> None:
    """A caller that closes its connection on the last byte did not hang up midway."""
    has_four_bytes = asyncio.Event()
    outcomes: list[Outcome] = []

    async def body() -> AsyncIterator[bytes]:
        yield b"DICM"

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            has_four_bytes.set()
            if not message["body"]:
                await asyncio.Event().wait()

    async def receive() -> Message:
        await has_four_bytes.wait()
        return {"type": "http.disconnect"}

    async def end(outcome: Outcome) -> None:
        outcomes.append(outcome)

    await Delivery(StreamingResponse(body(), 200, headers), 10, end)({"type": "http", "method": "GET"}, receive, send)
    [outcome] = outcomes
    assert (outcome.word, outcome.bytes) == (word, 4)
