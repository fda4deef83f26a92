"""What is done, written down as it is done: spans, and the events of the log.

Without OpenTelemetry's SDK, which takes more than a tenth of a cold start to import: what is done before it is there
would have no span. A thread hands on to it what was written down (`outbox`). While telemetry is off, nothing is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Final, Literal, Self, TypeAlias, TypedDict, Unpack

from opentelemetry import trace

from .trace_context import TraceContext

# `internal` where the host has a span of the request or the message itself: another would count each twice.
Kind = Literal["internal", "client"]
FETCH_TOKEN: Final = "fetch token"  # noqa: S105  # the name of a span, by which tokens are counted


class Attributes(TypedDict, total=False):
    """All that may be said of a span, in the words of the log: see `shared.events.FIELDS`."""

    attempts: int
    bytes: int
    complete: bool
    datasets: int
    door: str
    reason: str | None
    resource: str
    service_code: int | None
    source: str | None
    status: int
    transaction: str
    verdict: str | None


class Span:
    """A piece of work: from when it is made to `end`. As a context it is the parent of what is begun inside.

    Args:
        name: what is done, in words of ours alone.
        kind: `client` for a request to the DICOM service.
        context: its own ids.
        parent: what it is a part of; None for the first one of a trace.
        attributes: what is known of it.
        link: another span that it came of.
    """

    __slots__ = ("_outer", "attributes", "began", "context", "ended", "error", "kind", "link", "name", "parent")

    def __init__(
        self,
        name: str,
        kind: Kind,
        context: TraceContext,
        parent: TraceContext | None,
        attributes: Attributes,
        link: TraceContext | None = None,
    ) -> None:
        self.name = name
        self.kind: Kind = kind
        self.context = context
        self.parent = parent
        self.attributes = attributes
        self.link = link
        self.error: type[BaseException] | None = None
        self.began = time.time_ns()
        self.ended = 0
        self._outer: Span | None = None

    def set(self, **attributes: Unpack[Attributes]) -> None:
        """Say more of it."""
        self.attributes.update(attributes)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Make it the parent of what is begun inside, without ending it."""
        outer = _current.get()
        _current.set(self)
        try:
            yield
        finally:
            _current.set(outer)

    def __enter__(self) -> Self:
        self._outer = _current.get()
        _current.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Not by a token: one cannot be used where a generator is closed in another context.
        _current.set(self._outer)
        self.end(kind)

    def end(self, error: type[BaseException] | None = None) -> None:
        """End it.

        Args:
            error: the class of what went wrong; of an error's text nothing is told.
        """
        self.error = self.error or error
        if not self.ended:
            self.ended = time.time_ns()
            _write_down(self)


class Event:
    """A line of the log, and the span that it was written in: ours, or else the platform's.

    Args:
        name: of the event.
        level: of `logging`.
        line: as it stands in the log.
        fields: what is in it.
    """

    __slots__ = ("at", "context", "fields", "level", "line", "name")

    def __init__(self, name: str, level: int, line: str, fields: dict[str, object]) -> None:
        current = _current.get()
        self.name = name
        self.level = level
        self.line = line
        self.fields = fields
        self.at = time.time_ns()
        self.context = current.context if current else _of_platform()


Fact: TypeAlias = Span | Event


class _NoSpan(Span):
    """Stands for every span while telemetry is off."""

    def __init__(self) -> None:
        super().__init__("", "internal", TraceContext(0, 0, False), None, {})

    def set(self, **attributes: Unpack[Attributes]) -> None: ...

    @contextmanager
    def active(self) -> Iterator[None]:
        yield

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def end(self, error: type[BaseException] | None = None) -> None: ...


_current: ContextVar[Span | None] = ContextVar("span", default=None)
_NO_SPAN: Final = _NoSpan()
_ratio = 1.0
_keep: Callable[[Fact], None] | None = None


def switch_on(keep: Callable[[Fact], None], ratio: float) -> None:
    """Write down from now on.

    Args:
        keep: takes each span as it ends, and each event; it must neither fail nor wait.
        ratio: how many of all traces are sampled.
    """
    global _keep, _ratio
    _keep, _ratio = keep, ratio


def switch_off() -> None:
    """Write nothing down any more."""
    global _keep
    _keep = None


def is_on() -> bool:
    """Say whether anything is written down."""
    return _keep is not None


def span(name: str, kind: Kind = "internal", *, parent: str | None = None, **attributes: Unpack[Attributes]) -> Span:
    """Begin a span: a part of the one that is active; else of the trace that a header tells; else the platform's.

    Args:
        name: what is done; words of ours alone, never a name or number that came from outside.
        kind: `client` for a request to the DICOM service. Outside of any trace such a one is counted, and not sent.
        parent: `traceparent` of whoever asked for it, where nothing is active.
        attributes: what is known of it already.
    """
    if _keep is None:
        return _NO_SPAN
    active = _current.get()
    if active is not None:
        return Span(name, kind, active.context.child(_ratio), active.context, attributes)
    told, platform = TraceContext.parse(parent), _of_platform()
    above = told or platform
    if above is None:
        return Span(name, kind, TraceContext.new(0.0 if kind == "client" else _ratio), None, attributes)
    return Span(name, kind, above.child(_ratio), above, attributes, link=platform if told else None)


def traceparent() -> str | None:
    """Return the header by which others can continue the trace; None where there is none."""
    active = _current.get()
    return None if active is None or _keep is None else active.context.header()


def write_event(name: str, level: int, line: str, fields: dict[str, object]) -> None:
    """Write down an event of the log; the active span is told what it says."""
    if _keep is None:
        return
    _write_down(Event(name, level, line, fields))
    if (active := _current.get()) is not None:
        active.attributes.update({key: value for key, value in fields.items() if key in _OF_SPANS})  # type: ignore[typeddict-item]  # by their names they are


_OF_SPANS: Final = frozenset(Attributes.__annotations__)


def _write_down(fact: Fact) -> None:
    if _keep is not None:
        _keep(fact)


def _of_platform() -> TraceContext | None:
    """Return what the worker has taken from the invocation, where PYTHON_ENABLE_OPENTELEMETRY has it do so."""
    found = trace.get_current_span().get_span_context()
    return TraceContext(found.trace_id, found.span_id, found.trace_flags.sampled) if found.is_valid else None
