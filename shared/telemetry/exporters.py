"""Where telemetry goes: a collector, by OTLP over HTTP, and Application Insights. Each only if it is set."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from opentelemetry.sdk._logs.export import LogRecordExporter
from opentelemetry.sdk.metrics.export import MetricExporter
from opentelemetry.sdk.trace.export import SpanExporter

from shared.settings import TelemetrySettings, keep_azure_monitor_to_one_address


@dataclass(frozen=True)
class Destination:
    """What sends spans, metrics and log records to one place."""

    spans: SpanExporter
    metrics: MetricExporter
    lines: LogRecordExporter


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

    return Destination(OTLPSpanExporter(), OTLPMetricExporter(), OTLPLogExporter())


def _application_insights(connection: str) -> Destination:
    """Return one that uses the app's identity, as APPLICATIONINSIGHTS_AUTHENTICATION_STRING says, and no disk."""
    keep_azure_monitor_to_one_address()
    from azure.monitor.opentelemetry.exporter import (
        AzureMonitorLogExporter,
        AzureMonitorMetricExporter,
        AzureMonitorTraceExporter,
    )

    options = {"connection_string": connection, "disable_offline_storage": True}
    return Destination(
        AzureMonitorTraceExporter(**options),
        AzureMonitorMetricExporter(**options),
        AzureMonitorLogExporter(**options),
    )
