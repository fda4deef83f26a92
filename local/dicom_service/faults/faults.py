"""Faults that are put into answers on request, as a network or a busy service would: for tests and for training.

`admin.py` takes them; the README says how to ask for each.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections import deque
from collections.abc import MutableSequence
from typing import Annotated, Literal, get_args

import anyio
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    PrivateAttr,
    TypeAdapter,
    field_validator,
)
from pydantic_core import PydanticCustomError
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from local.dicom_service.web import connection
from local.dicom_service.web.kinds import Kind, kind_of
from shared.dicomweb.multipart import boundary_of, closing_delimiter

_CHUNK_BYTES = 256 * 1024
_IN_MEMORY_BYTES = 1024 * 1024
_WITHOUT_BODY = (204, 304)
_A_SECOND = 1.0
_LEAVES_UNFINISHED = "local.leaves_unfinished"

clock = time.monotonic  # in seconds
log = logging.getLogger(__name__)


class _Fault(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    kind: Literal[Kind, "any"] = "any"
    requests: PositiveInt | None = 1

    def claim(self, kind: Kind | None) -> bool:
        """Take a request of this kind that comes now if the fault is for it; return whether it is."""
        return self.kind in ("any", kind)

    async def answer(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request (ASGI), with the fault."""
        raise NotImplementedError


class Status(_Fault):
    """The request is not carried out, but answered with a status."""

    fault: Literal["status"]
    status: int = Field(503, ge=200, le=599)
    retry_after: Annotated[str, Field(pattern=r"^[\x20-\x7e]*$")] | None = None

    async def answer(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; what is left of a body is read by `DrainUnreadBody` first."""
        headers = {} if self.retry_after is None else {"Retry-After": self.retry_after}
        await _refusal(self.status, headers)(scope, receive, send)


class Delay(_Fault):
    """The answer comes late."""

    fault: Literal["delay"]
    seconds: float = Field(gt=0, le=3600)

    async def answer(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Carry the request out, wait, and answer."""

        async def late_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                await anyio.sleep(self.seconds)
            await send(message)

        await app(scope, receive, late_send)


class Cut(_Fault):
    """The connection is reset in the middle of the answer's body."""

    fault: Literal["cut"]
    bytes: NonNegativeInt

    async def answer(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the head and so many bytes, then reset the connection."""
        left = self.bytes
        with anyio.CancelScope() as rest:

            async def cut_send(message: Message) -> None:
                nonlocal left
                if message["type"] == "http.response.start":
                    await send(message)
                    return
                data = message.get("body", b"")[:left]
                left -= len(data)
                await send({**message, "body": data, "more_body": True})
                if left == 0 or not message.get("more_body", False):
                    await connection.reset(scope)
                    rest.cancel()

            await app(scope, receive, cut_send)


class Truncate(_Fault):
    """The answer is short and does not say so: it ends as a whole one does."""

    fault: Literal["truncate"]

    async def answer(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Send a multipart answer without its closing delimiter, and half of any other."""
        head: Message = {}
        with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES) as body:

            async def keeping_send(message: Message) -> None:
                if message["type"] == "http.response.start":
                    head.update(message)
                else:
                    body.write(message.get("body", b""))

            await app(scope, receive, keeping_send)
            left = _shortened(head, body.tell())
            body.seek(0)
            await send(head)
            while data := body.read(min(_CHUNK_BYTES, left)):
                left -= len(data)
                await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body"})


class DropAfterCommit(_Fault):
    """The request is carried out, and its answer is lost."""

    fault: Literal["drop_after_commit"]

    async def answer(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Carry the request out and close the connection."""
        await _unanswered(app, scope, receive)


class StuckCreation(_Fault):
    """The service seems to die in the middle of a store; `unfinished.py` has what it leaves."""

    fault: Literal["stuck_creation"]

    @field_validator("kind")
    @classmethod
    def _is_for_stores(cls, kind: str) -> str:
        if kind not in ("any", "store"):
            raise PydanticCustomError("kind", "only a store leaves an instance unfinished")
        return kind

    def claim(self, kind: Kind | None) -> bool:
        """Take the request if it is a store."""
        return kind == "store"

    async def answer(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the store leave its instances unfinished, and close the connection."""
        scope[_LEAVES_UNFINISHED] = True
        await _unanswered(app, scope, receive)


class Throttle(_Fault):
    """What comes too fast is refused; `requests` counts the refusals."""

    fault: Literal["throttle"]
    per_second: PositiveInt
    _let_through: deque[float] = PrivateAttr(default_factory=deque)

    def claim(self, kind: Kind | None) -> bool:
        """Take the request if so many were let through within the last second; else let it through."""
        if not super().claim(kind):
            return False
        now = clock()
        while self._let_through and self._let_through[0] <= now - _A_SECOND:
            self._let_through.popleft()
        if len(self._let_through) >= self.per_second:
            return True
        self._let_through.append(now)
        return False

    async def answer(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request."""
        await _refusal(429, {"Retry-After": "1"})(scope, receive, send)


Fault = Status | Delay | Cut | Truncate | DropAfterCommit | StuckCreation | Throttle
FAULT_NAMES = tuple(get_args(each.model_fields["fault"].annotation)[0] for each in get_args(Fault))
FAULT: TypeAdapter[Fault] = TypeAdapter(Annotated[Fault, Field(discriminator="fault")])


class Faults:
    """The faults that stand."""

    def __init__(self) -> None:
        self.standing: MutableSequence[Fault] = []

    def take(self, kind: Kind | None) -> Fault | None:
        """Return the first fault that is for this request, and count it."""
        fault = next((fault for fault in self.standing if fault.claim(kind)), None)
        if fault is not None and fault.requests is not None:
            fault.requests -= 1
            if fault.requests == 0:
                self.standing.remove(fault)
        return fault


class InjectFaults:
    """ASGI middleware that handles a request with the fault that is for it, if any."""

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        self._app = app
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request (ASGI)."""
        fault = self._faults.take(kind_of(scope["method"], scope["path"]))
        if fault is None:
            await self._app(scope, receive, send)
            return
        log.info("fault: %s", fault.fault)
        await fault.answer(self._app, scope, receive, send)


def leaves_unfinished(request: Request) -> bool:
    """Tell whether the store has to break off before its instances are there."""
    return _LEAVES_UNFINISHED in request.scope


async def _unanswered(app: ASGIApp, scope: Scope, receive: Receive) -> None:
    async def no_send(message: Message) -> None:
        pass

    await app(scope, receive, no_send)
    await connection.close(scope)


def _refusal(status: int, headers: dict[str, str]) -> Response:
    if status in _WITHOUT_BODY:
        return Response(status_code=status, headers=headers)
    return PlainTextResponse("The service was told to answer so.", status, headers=headers)


def _shortened(head: Message, size: int) -> int:
    """Return how much of the body to send, and let the head say so where it names a length."""
    headers = MutableHeaders(scope=head)
    content_type = headers.get("content-type", "")
    multipart = content_type.startswith("multipart/")
    kept = size - len(closing_delimiter(boundary_of(content_type))) if multipart else size // 2
    if "content-length" in headers:
        headers["content-length"] = str(kept)
    return kept
