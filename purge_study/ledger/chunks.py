"""A stream, some of it at a time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeVar

T = TypeVar("T")


async def in_chunks(items: AsyncIterator[T], size: int) -> AsyncGenerator[list[T]]:
    """Yield so many at a time, and at last those that are left."""
    chunk: list[T] = []
    async for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
