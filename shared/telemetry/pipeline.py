"""OpenTelemetry's SDK, fed with what was written down. To import this module takes longer than a small lookup.

The providers are this module's own, and not the global ones. Libraries write to those as they like: with one in place
FastAPI would have a span of each request with its path, and a log record of each exception with its text, and the
Azure libraries one of each request to storage with its address.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from typing import Final

from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from shared.settings import TelemetrySettings

from .exporters import open_destinations
from .measuring import METRICS, NAMESPACE, Metric, measured
from .recording import Event, Fact, Span
from .trace_context import TraceContext

_KINDS: Final = {"internal": SpanKind.INTERNAL, "client": SpanKind.CLIENT}
# Of seconds. A sweep, or a file that waits for its turn, takes minutes.
_BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
# What the code says of its work looks like this: no UID, path, date or name with capitals does. The last guard, since
# what is set is none of these anyway.
_WORDS: Final = re.compile(r"[a-z][a-z0-9]*([ _-][a-z0-9]+){0,7}", re.ASCII)
_MOST_CHARACTERS: Final = 64
_OTHER: Final = "other"
# While they cannot be sent; 1.3 KiB each. The SDK would keep a tenth.
_MOST_LINES_WAITING: Final = 20_000

Told = str | int | float | bool


class Pipeline:
    """Providers of spans, metrics and log records, each with a thread of the SDK's that sends in batches.

    Args:
        settings: where to send to.

    Raises:
        Exception: whatever the SDK or an exporter finds wrong with its settings.
    """

    def __init__(self, settings: TelemetrySettings) -> None:
        self._destinations = open_destinations(settings)
        resource = Resource.create({"service.name": settings.service_name})
        self._ids = _GivenIds()
        self._spans = TracerProvider(ALWAYS_ON, resource, shutdown_on_exit=False, id_generator=self._ids)
        self._lines = LoggerProvider(resource, shutdown_on_exit=False)
        readers = []
        for destination in self._destinations:
            lines = BatchLogRecordProcessor(destination.lines, max_queue_size=_MOST_LINES_WAITING)
            self._lines.add_log_record_processor(lines)
            self._spans.add_span_processor(BatchSpanProcessor(destination.spans))
            readers.append(PeriodicExportingMetricReader(destination.metrics))
        self._measures = MeterProvider(readers, resource, shutdown_on_exit=False)
        self._tracer = self._spans.get_tracer(NAMESPACE)
        self._logger = self._lines.get_logger(NAMESPACE)
        self._instruments = {metric: self._instrument(metric) for metric in METRICS}

    def take(self, fact: Fact) -> None:
        """Pass a span or an event on, and what is measured of it."""
        for metric, value, dimensions in measured(fact):
            self._instruments[metric](value, _words(dimensions))
        if isinstance(fact, Event):
            self._log(fact)
        elif fact.context.is_sampled:
            self._trace(fact)

    def close(self) -> None:
        """Send what is left: lines first, which alerts go by, should the time not last for all."""
        for destination in self._destinations:
            destination.lines.hurry()
        for provider in (self._lines, self._spans, self._measures):
            provider.shutdown()

    def _trace(self, span: Span) -> None:
        self._ids.give(span.context)
        name = span.name if _is_of_words(span.name) else _OTHER
        sent = self._tracer.start_span(
            name,
            _within(span.parent),
            _KINDS[span.kind],
            _words(span.attributes),
            [Link(_span_context(span.link))] if span.link else [],
            span.began,
        )
        if span.error is not None:
            sent.set_attribute("error.type", span.error.__name__)
            sent.set_status(Status(StatusCode.ERROR))
        # What tells our spans from others where Application Insights keeps them all: infra/ blanks the others' names.
        sent.set_attribute(f"{NAMESPACE}.span", name)
        sent.end(span.ended)

    def _log(self, event: Event) -> None:
        self._logger.emit(
            LogRecord(
                timestamp=event.at,
                context=_within(event.context),
                severity_number=_severity(event.level),
                severity_text=logging.getLevelName(event.level),
                body=event.line,
                event_name=event.name,
            )
        )

    def _instrument(self, metric: Metric) -> Callable[[int | float, dict[str, Told]], None]:
        """Return what takes a metric's values."""
        meter = self._measures.get_meter(NAMESPACE)
        what = (f"{NAMESPACE}.{metric.name}", metric.unit, metric.description)
        match metric.kind:
            case "counter":
                return meter.create_counter(*what).add
            case "gauge":
                return meter.create_gauge(*what).set
            case "histogram":
                return meter.create_histogram(*what, explicit_bucket_boundaries_advisory=_BOUNDS).record


class _GivenIds(IdGenerator):
    """Has the SDK take the ids that a span got when it began: the service was told of them."""

    def give(self, context: TraceContext) -> None:
        self._given = context

    def generate_span_id(self) -> int:
        return self._given.span_id

    def generate_trace_id(self) -> int:
        return self._given.trace_id


def _within(context: TraceContext | None) -> Context:
    """Return what the SDK takes for a span's surroundings; never the thread's own, which are none of the span's."""
    if context is None:
        return Context()
    return trace.set_span_in_context(trace.NonRecordingSpan(_span_context(context)), Context())


def _span_context(context: TraceContext) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED if context.is_sampled else TraceFlags.DEFAULT)
    return SpanContext(context.trace_id, context.span_id, is_remote=True, trace_flags=flags)


def _words(said: Mapping[str, object]) -> dict[str, Told]:
    """Return attributes of numbers and words of the code; of anything else only that there was something."""
    told: dict[str, Told] = {}
    for field, value in said.items():
        name = f"{NAMESPACE}.{field}"
        if isinstance(value, str):
            told[name] = str(value) if _is_of_words(value) else _OTHER
        elif isinstance(value, int | float):
            told[name] = value
    return told


def _is_of_words(text: str) -> bool:
    return len(text) <= _MOST_CHARACTERS and _WORDS.fullmatch(text) is not None


def _severity(level: int) -> SeverityNumber:
    if level >= logging.ERROR:
        return SeverityNumber.ERROR
    return SeverityNumber.WARN if level >= logging.WARNING else SeverityNumber.INFO
