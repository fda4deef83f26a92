"""Which trace something belongs to, and how W3C Trace Context says so in a header (pure).

Of the two headers only `traceparent` is read: it is nothing but hexadecimal digits. `tracestate` and `baggage` are
whatever their senders like.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import Final, Self

HEADER: Final = "traceparent"

_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_SAMPLED = 1
_TRACE_BITS, _SPAN_BITS = 128, 64
# What samplers everywhere go by: these bits are random in ids of whatever origin.
_RANDOM_BITS = 56


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A span and its trace, by their ids; `is_sampled` says whether they are sent anywhere."""

    trace_id: int
    span_id: int
    is_sampled: bool

    @classmethod
    def parse(cls, header: str | None) -> Self | None:
        """Read a header; None if it is none (Trace Context §3.2)."""
        found = _FORM.fullmatch(header or "")
        if found is None or found[1] == "ff" or (found[1] == "00" and found[5]):
            return None
        trace_id, span_id = int(found[2], 16), int(found[3], 16)
        return cls(trace_id, span_id, bool(int(found[4], 16) & _SAMPLED)) if trace_id and span_id else None

    @classmethod
    def new(cls, ratio: float) -> Self:
        """Return the first span of a new trace.

        Args:
            ratio: how many of all traces are sampled.
        """
        trace_id = _random_id(_TRACE_BITS)
        return cls(trace_id, _random_id(_SPAN_BITS), is_kept(trace_id, ratio))

    def child(self, ratio: float) -> Self:
        """Return a new span of the same trace.

        The id decides whether it is sampled, as it does in every app that asks for the same ratio. The flag that came
        with it does not: the Functions host leaves it unset unless it traces by OpenTelemetry itself.
        """
        return type(self)(self.trace_id, _random_id(_SPAN_BITS), is_kept(self.trace_id, ratio))

    def header(self) -> str:
        """Return the header that says it."""
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-{int(self.is_sampled):02x}"


def is_kept(trace_id: int, ratio: float) -> bool:
    """Say whether a trace is among the share that is sampled."""
    return trace_id % (1 << _RANDOM_BITS) < ratio * (1 << _RANDOM_BITS)


def _random_id(bits: int) -> int:
    return random.getrandbits(bits) or 1  # it need not be secret, and 0 is no id
