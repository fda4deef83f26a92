"""How often a queue is looked at."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient

from local.functions_host.queue_pump import PumpSettings, QueuePump

AN_HOUR = 3600.0


class Queue:
    """Messages in memory."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    async def receive_messages(self, **options: Any) -> AsyncIterator[QueueMessage]:
        while self.texts:
            yield QueueMessage(content=self.texts.pop())

    async def delete_message(self, message: QueueMessage) -> None:
        pass


async def test_a_queue_that_had_a_message_is_looked_at_again_soon() -> None:
    """As in Azure: where one came there may be more; only an idle queue is left for as long as the option says."""
    queue, handled = Queue(), asyncio.Queue[str]()

    async def handle(message: QueueMessage) -> bool:
        await handled.put(message.content)
        return True

    pump = QueuePump(cast(QueueClient, queue), PumpSettings(16, 16, 5, 1.0, 60.0, AN_HOUR), handle, None)
    queue.texts.append("first")
    await pump.step()
    assert await handled.get() == "first"
    async with asyncio.timeout(AN_HOUR / 60):
        for text in ("second", "third"):
            queue.texts.append(text)
            await pump.rest()
            await pump.step()
            assert await handled.get() == text
    await pump.finish()
