"""The settings of telemetry: checked with all others, and read before them, for it begins first."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import Field

from . import rules
from .kinds import Address, SomeSettings


class TelemetryFields(SomeSettings):
    """Where traces, metrics and the log's lines go to."""

    python_enable_opentelemetry: bool = Field(
        default=False,
        description="Whether traces, metrics and the log's lines are sent by OpenTelemetry. The platform goes by it as "
        "well: its worker hands the trace on, and a host that traces by OpenTelemetry leaves the lines to the app.",
    )
    otel_exporter_otlp_endpoint: Address | None = Field(
        default=None,
        description="Address of a collector that takes OTLP over HTTP. OpenTelemetry's other settings hold besides, "
        "such as `OTEL_EXPORTER_OTLP_HEADERS` and `OTEL_SERVICE_NAME`.",
    )
    applicationinsights_connection_string: str | None = Field(
        default=None,
        repr=False,
        description="Application Insights, where telemetry goes as well; the host goes by it, too.",
    )
    otel_traces_sampler_arg: float = Field(
        default=1,
        ge=0,
        le=1,
        description="How many of all traces are sent, from `0` to `1`. Metrics count all in any case.",
    )


@dataclass(frozen=True)
class TelemetrySettings:
    """Whether telemetry is sent, and where to.

    Args:
        is_on: whether there is anywhere to send it to, and it is to be sent.
        otlp_endpoint: of a collector.
        insights_connection: of Application Insights.
        ratio: how many of all traces are sent.
        service_name: what the app is called there.
    """

    is_on: bool
    otlp_endpoint: str | None
    insights_connection: str | None
    ratio: float
    service_name: str


def telemetry_settings(environment: Mapping[str, str] | None = None) -> TelemetrySettings:
    """Read the settings of telemetry alone, for it begins before all others are read. Never fails: wrong means off."""
    environment = os.environ if environment is None else environment

    def read(name: str) -> str:
        return environment.get(name, "").strip()

    is_wanted, endpoint = read("PYTHON_ENABLE_OPENTELEMETRY"), read("OTEL_EXPORTER_OTLP_ENDPOINT")
    connection = read("APPLICATIONINSIGHTS_CONNECTION_STRING") or None
    try:
        ratio = float(read("OTEL_TRACES_SAMPLER_ARG") or 1)
        collector = rules.address(endpoint) if endpoint else None
    except ValueError:
        ratio, collector, is_wanted = 0.0, None, ""
    return TelemetrySettings(
        is_on=is_wanted.lower() in ("1", "true", "yes", "on") and bool(collector or connection),
        otlp_endpoint=collector,
        insights_connection=connection,
        ratio=min(max(ratio, 0.0), 1.0),
        service_name=environment.get("OTEL_SERVICE_NAME") or environment.get("WEBSITE_SITE_NAME") or "dicom-dropbox",
    )


def keep_azure_monitor_to_one_address() -> None:
    """Have Azure Monitor's library write to the address of the installation alone, before it is imported.

    By itself it tells its makers how it fares, and asks them how to go on. There is no other way to say so.
    """
    for name in ("STATSBEAT_DISABLED_ALL", "CONTROLPLANE_DISABLED", "SDKSTATS_DISABLED"):
        os.environ[f"APPLICATIONINSIGHTS_{name}"] = "true"
