"""How many requests of each kind came, how much of their bodies, and as part of which traces: a test can show that
nothing was sent short, and where a request came from.
"""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from local.dicom_service.web.kinds import KINDS, Kind, kind_of

_MOST_TRACES = 1000


@dataclass
class Count:
    """Requests, bodies that came to their end, and bytes of all bodies."""

    requests: int = 0
    bodies: int = 0
    bytes: int = 0


class Counts:
    """A count for each kind of request."""

    def __init__(self) -> None:
        self._counts: dict[Kind, Count] = {}
        self._traces: deque[tuple[Kind, str]] = deque(maxlen=_MOST_TRACES)
        self.clear()

    def __getitem__(self, kind: Kind) -> Count:
        return self._counts[kind]

    def clear(self) -> None:
        """Begin anew."""
        self._counts = {kind: Count() for kind in KINDS}
        self._traces.clear()

    def to_dict(self) -> dict[str, dict[str, int]]:
        """Return all of them as JSON has them."""
        return {kind: asdict(count) for kind, count in self._counts.items()}

    def note_trace(self, kind: Kind, scope: Scope) -> None:
        """Keep what a request says of its trace (W3C Trace Context), if it says anything."""
        told = dict(scope["headers"]).get(b"traceparent")
        if told is not None:
            self._traces.append((kind, told.decode("latin-1")))

    def traces(self) -> list[tuple[Kind, str]]:
        """Return the latest of what was said."""
        return list(self._traces)


class CountRequests:
    """ASGI middleware that counts; bodies that are read only to be thrown away count too."""

    def __init__(self, app: ASGIApp, counts: Counts) -> None:
        self._app = app
        self._counts = counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request (ASGI)."""
        kind = kind_of(scope["method"], scope["path"]) if scope["type"] == "http" else None
        if kind is None:
            await self._app(scope, receive, send)
            return
        count = self._counts[kind]
        count.requests += 1
        self._counts.note_trace(kind, scope)
        received = 0

        async def counting_receive() -> Message:
            nonlocal received
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                count.bytes += len(message.get("body", b""))
                # Every request has an end, also those that have no body.
                count.bodies += bool(received) and not message.get("more_body", False)
            return message

        await self._app(scope, counting_receive, send)
