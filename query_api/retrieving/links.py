"""Links in what the service says of itself: they lead to the app, never to the service."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing


class LinkRewriter:
    """Replaces one address by another in JSON that goes by in chunks; keeps one address' length between two.

    Only a string that begins with the address is a link; a text that mentions it stays as it was stored. Whose link it
    is does not matter: by the address that the service has, a caller could do nothing, and shall not learn it.

    Args:
        old: what is replaced, also where its slashes are escaped (RFC 8259 §7), and in whatever case: hosts have none.
        new: what comes in its place, escaped alike.
    """

    def __init__(self, old: str, new: str) -> None:
        address = re.escape(old).replace("/", r"\\?/").encode("ascii")
        # A quotation mark that is escaped begins no string.
        self._pattern = re.compile(rb'"(?<!\\")' + address + rb'(?="|\\?/|\?)', re.IGNORECASE)
        self._new = new.encode("ascii")
        # With the quotation mark before it and what may stand behind it.
        self._most_held = len(_escaped(old.encode("ascii"))) + 3
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        """Return what is certain by now; what may be the beginning of an address waits for the rest."""
        data = self._held + chunk
        ready = []
        done = 0
        # What is held begins with a byte that was looked at, but for what comes before the first string.
        for match in self._pattern.finditer(data, 1):
            ready += [data[done : match.start()], b'"', _escaped(self._new) if b"\\/" in match[0] else self._new]
            done = match.end()
        held_from = max(done, len(data) - self._most_held)
        ready.append(data[done:held_from])
        self._held = data[held_from:]
        return b"".join(ready)

    def close(self) -> bytes:
        """Return what was held, since no more will come."""
        held, self._held = self._held, b""
        return held


async def with_own_links(chunks: AsyncGenerator[bytes], rewriter: LinkRewriter) -> AsyncGenerator[bytes]:
    """Yield JSON with its links rewritten."""
    async with aclosing(chunks):
        async for chunk in chunks:
            if ready := rewriter.feed(chunk):
                yield ready
    if held := rewriter.close():
        yield held


def _escaped(address: bytes) -> bytes:
    return address.replace(b"/", b"\\/")
