"""Makes the requests of storage and service that ingest makes for a blob, with aiohttp and nothing between.

For each blob: a message, received with others, as many as storage gives at a time; the blob, read; the store; the
receipt, if there is none; the message, deleted. So many blobs at once that storage and service are both busy: this is
what they allow.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import time
from urllib.parse import quote

import aiohttp

from bench.programs import take_turns

AT_ONCE = 64
_RECEIVED = 32
_MESSAGE = re.compile(r"<MessageId>(.*?)</.*?<PopReceipt>(.*?)</.*?<MessageText>(.*?)</", re.DOTALL)
_RECEIPT = b" " * 1500  # as long as one of the app's
_RECEIPT_HEADERS = {"x-ms-blob-type": "BlockBlob", "If-None-Match": "*"}


class FlatOut:
    """One client.

    Args:
        http: its connections.
        options: of the program.
    """

    def __init__(self, http: aiohttp.ClientSession, options: argparse.Namespace) -> None:
        self._http = http
        self._options = options
        self._messages = f"{options.queues}/{options.queue}/messages"

    async def create_queue(self) -> None:
        """Create its own queue; the app takes messages from the other."""
        await self._ask("PUT", f"{self._options.queues}/{self._options.queue}?", 201)

    async def _ask(self, method: str, url: str, status: int, **options: object) -> bytes:
        async with self._http.request(method, f"{url}{self._options.sas}", **options) as response:  # type: ignore[arg-type]  # theirs
            assert response.status == status, (method, response.status)
            return await response.read()

    async def measure(self, names: list[str], receipts: str) -> float:
        """Send a message for each blob, and deal with them; return the seconds that it takes.

        Args:
            names: of the blobs.
            receipts: what the names of the receipts begin with.
        """
        started = time.perf_counter()
        await asyncio.gather(self._send(names), self._deal_with(len(names), receipts))
        return time.perf_counter() - started

    async def _send(self, names: list[str]) -> None:
        places = asyncio.Semaphore(AT_ONCE)

        async def send(name: str) -> None:
            message = f"<QueueMessage><MessageText>{name}</MessageText></QueueMessage>"
            async with places:
                await self._ask("POST", f"{self._messages}?messagettl=-1&", 201, data=message)

        await asyncio.gather(*map(send, names))

    async def _deal_with(self, left: int, receipts: str) -> None:
        running: set[asyncio.Task[None]] = set()
        while left:
            found = (await self._ask("GET", f"{self._messages}?numofmessages={_RECEIVED}&", 200)).decode()
            for message, pop_receipt, name in _MESSAGE.findall(found):
                running.add(asyncio.create_task(self._deal_with_one(message, pop_receipt, name, receipts)))
                left -= 1
            while len(running) > AT_ONCE - _RECEIVED or (running and not left):
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()

    async def _deal_with_one(self, message: str, pop_receipt: str, name: str, receipts: str) -> None:
        options = self._options
        content = await self._ask("GET", f"{options.blobs}/dicom-inbox/{name}?", 200)
        headers = {"Content-Type": "application/dicom"}
        async with self._http.post(f"{options.service}/studies", data=content, headers=headers) as response:
            assert response.status == 200, response.status
            await response.read()
        receipt = f"{options.blobs}/dicom-receipts/{receipts}/{name}?"
        await self._ask("PUT", receipt, 201, data=_RECEIPT, headers=_RECEIPT_HEADERS)
        await self._ask("DELETE", f"{self._messages}/{message}?popreceipt={quote(pop_receipt, safe='')}&", 204)


async def main(options: argparse.Namespace) -> None:
    """Deal with blobs in rounds."""
    # Both servers close what is idle for five seconds, as between two rounds.
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=2)
    async with aiohttp.ClientSession(connector=connector) as http:
        client = FlatOut(http, options)
        await client.create_queue()
        await take_turns(client.measure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("blobs", "queues", "sas", "service", "queue"):
        parser.add_argument(f"--{name}", required=True)
    asyncio.run(main(parser.parse_args()))
