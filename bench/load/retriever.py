"""Retrieves over plain connections and drops what comes: a side of a measurement that adds as little as can be."""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from statistics import median
from typing import Self
from urllib.parse import urlsplit

from bench.programs import take_turns

_BUFFER_BYTES = 1024 * 1024


class _Connection:
    """One connection, over which the same is asked for again and again; a context manager, left with it closed."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        parts = urlsplit(url)
        self._http = http.client.HTTPConnection(parts.netloc)
        self._path = parts.path
        self._headers = dict(headers)
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        self.first_byte_seconds: list[float] = []

    def __enter__(self) -> Self:
        self._http.connect()
        return self

    def __exit__(self, *exception: object) -> None:
        self._http.close()

    def retrieve(self, at_least_bytes: int) -> int:
        """Retrieve once, and return how many bytes came.

        Raises:
            RuntimeError: it was refused, or less came.
        """
        started = time.perf_counter()
        self._http.request("GET", self._path, headers=self._headers)
        response = self._http.getresponse()
        received = response.readinto(self._buffer[:1])
        self.first_byte_seconds.append(time.perf_counter() - started)
        while count := response.readinto(self._buffer):
            received += count
        if response.status != 200 or received < at_least_bytes:
            raise RuntimeError(f"{response.status}, {received} bytes in place of {at_least_bytes}")
        return received


async def main(url: str, headers: Mapping[str, str], size_bytes: int) -> None:
    """Retrieve in rounds, each over connections of its own: servers close those that rest."""

    async def measure(at_once: int, times: int) -> dict[str, float]:
        """Return the bytes a second, and the median of the seconds to the first byte."""

        def again_and_again(connection: _Connection) -> int:
            return sum(connection.retrieve(size_bytes) for _ in range(times))

        with ExitStack() as open_ones, ThreadPoolExecutor(at_once) as threads:
            connections = [open_ones.enter_context(_Connection(url, headers)) for _ in range(at_once)]
            started = time.perf_counter()
            received = sum(threads.map(again_and_again, connections))
            seconds = time.perf_counter() - started
        firsts = [first for connection in connections for first in connection.first_byte_seconds]
        return {"rate": received / seconds, "first_byte_seconds": median(firsts)}

    await take_turns(measure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True, help="of what is retrieved")
    parser.add_argument("--headers", type=json.loads, required=True, help="of each request, in JSON")
    parser.add_argument("--size-bytes", type=int, required=True, help="what comes at least")
    options = parser.parse_args()
    asyncio.run(main(options.url, options.headers, options.size_bytes))
