"""A file that grows as bytes arrive, without holding up the event loop."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from anyio import to_thread

_FLUSH_BYTES = 1024 * 1024


class IncomingFile:
    """A file that grows as bytes arrive; they are written in a thread, a MiB at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pending = bytearray()
        self._file: BinaryIO = path.open("wb", buffering=0)

    async def write(self, data: bytes) -> None:
        """Add some bytes."""
        self._pending += data
        if len(self._pending) >= _FLUSH_BYTES:
            await self._flush()

    async def finish(self) -> None:
        """Write what is left and close the file."""
        await self._flush()
        self._file.close()

    async def _flush(self) -> None:
        pending, self._pending = self._pending, bytearray()
        await to_thread.run_sync(_write_all, self._file, pending)

    def discard(self) -> None:
        """Close and remove the file, if it is still there."""
        self._file.close()
        self.path.unlink(missing_ok=True)


def _write_all(file: BinaryIO, data: bytearray) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
