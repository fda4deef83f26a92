"""Where telemetry goes: a collector, by OTLP over HTTP, and Application Insights. Each only if it is set."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry.sdk.metrics.export import MetricExporter
from opentelemetry.sdk.trace.export import SpanExporter

from shared.settings import TelemetrySettings, keep_azure_monitor_to_one_address

from .repeating import RepeatingExporter

# After which the same may be taken a moment later: those of OTLP over HTTP, and those of Azure Monitor's library, for
# which a role that has just been assigned is among them.
_OF_COLLECTORS: Final = frozenset({429, 502, 503, 504})
_OF_INSIGHTS: Final = frozenset({401, 403, 408, 429, 500, 502, 503, 504})
# Azure's libraries wait five minutes for an answer by themselves.
_ANSWER_WITHIN_SECONDS: Final = 30


@dataclass(frozen=True)
class Destination:
    """What sends spans, metrics and log records to one place."""

    spans: SpanExporter
    metrics: MetricExporter
    lines: RepeatingExporter


def open_destinations(settings: TelemetrySettings) -> list[Destination]:
    """Return all that are set; nothing is sent yet.

    Raises:
        Exception: whatever an exporter finds wrong with its settings.
    """
    # They log what they are answered, address and all, and a line for each batch that a collector does not take.
    for name in ("opentelemetry", "azure.monitor"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    destinations = []
    if settings.otlp_endpoint:
        destinations.append(_collector())
    if settings.insights_connection:
        destinations.append(_application_insights(settings.insights_connection))
    return destinations


def _collector() -> Destination:
    """Return one by OpenTelemetry's own settings, which the exporters read themselves: headers, time-outs and so on."""
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    lines = RepeatingExporter(lambda session: OTLPLogExporter(session=session), _OF_COLLECTORS)
    return Destination(OTLPSpanExporter(), OTLPMetricExporter(), lines)


def _application_insights(connection: str) -> Destination:
    """Return one that uses the app's identity, as APPLICATIONINSIGHTS_AUTHENTICATION_STRING says, and no disk."""
    keep_azure_monitor_to_one_address()
    from azure.monitor.opentelemetry.exporter import (
        AzureMonitorLogExporter,
        AzureMonitorMetricExporter,
        AzureMonitorTraceExporter,
    )

    options: dict[str, Any] = {"connection_string": connection, "disable_offline_storage": True}
    # Once only: its own repetitions leave out what was not connected to, and wait for as long as `Retry-After` likes.
    of_lines = {**options, "retry_total": 0, "read_timeout": _ANSWER_WITHIN_SECONDS}
    lines = RepeatingExporter(lambda session: AzureMonitorLogExporter(session=session, **of_lines), _OF_INSIGHTS)
    return Destination(AzureMonitorTraceExporter(**options), AzureMonitorMetricExporter(**options), lines)
