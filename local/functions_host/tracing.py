"""The trace that the host has begun or continued, as it tells the worker: its own span stands above the function's."""

from __future__ import annotations

import os
import re
import secrets

HEADER = "traceparent"

_TRACE_ID = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)


def continued(header: str | None) -> str:
    """Return the host's own span of a trace that a caller has begun, or of a new one.

    It never says that it is sampled: a host whose telemetry is Application Insights' leaves that open.
    """
    told = _TRACE_ID.fullmatch(header or "")
    return f"00-{told[1] if told else secrets.token_hex(16)}-{secrets.token_hex(8)}-00"


def attach(traceparent: str) -> None:
    """Make a trace the current one of the running task where the setting asks for it, as Azure's worker does."""
    if os.environ.get("PYTHON_ENABLE_OPENTELEMETRY", "").lower() not in ("1", "true"):
        return
    from opentelemetry import context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    context.attach(TraceContextTextMapPropagator().extract({HEADER: traceparent}))
