"""What Application Insights is sent, in its own form, by Azure Monitor's library."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from shared.events import event
from shared.settings import TelemetrySettings
from shared.telemetry.pipeline import Pipeline
from shared.telemetry.recording import Fact, span, switch_off, switch_on
from tests.kit.collector import Collector

KEY = "00000000-0000-0000-0000-000000000001"
# By which the library is kept from telling its makers how it fares, and from asking them how to go on.
QUIET = ("STATSBEAT_DISABLED_ALL", "CONTROLPLANE_DISABLED", "SDKSTATS_DISABLED")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, list[dict[str, Any]]]]:
    """What arrives of a file's run, by the form's types."""
    for name in QUIET:
        monkeypatch.setenv(f"APPLICATIONINSIGHTS_{name}", "false")
    facts: list[Fact] = []
    switch_on(facts.append, 1.0)
    with span("ingest file", door="blob"):
        with span("store instance", "client", transaction="store instance", attempts=1, status=200):
            pass
        event("blob_decided", verdict="stored", bytes=7, seconds=1.5)
    switch_off()
    with Collector() as collector:
        connection = f"InstrumentationKey={KEY};IngestionEndpoint={collector.url}/"
        pipeline = Pipeline(TelemetrySettings(True, None, connection, 1.0, "func-ingest"))
        for fact in facts:
            pipeline.take(fact)
        pipeline.close()
        found: dict[str, list[dict[str, Any]]] = {}
        for envelope in collector.envelopes():
            found.setdefault(envelope["data"]["baseType"], []).append(envelope)
        yield found


def test_a_trace_is_dependencies(sent: dict[str, list[dict[str, Any]]]) -> None:
    """No request: the host has that, and alerts count them. infra/ knows them by a property, and keeps their names."""
    assert "RequestData" not in sent
    request, file = sent["RemoteDependencyData"]
    assert request["tags"]["ai.operation.id"] == file["tags"]["ai.operation.id"]
    assert request["tags"]["ai.operation.parentId"] == file["data"]["baseData"]["id"]
    assert file["tags"]["ai.cloud.role"] == "func-ingest"
    assert file["data"]["baseData"]["properties"] == {
        "dicom_dropbox.span": "ingest file",
        "dicom_dropbox.door": "blob",
        "dicom_dropbox.verdict": "stored",
        "dicom_dropbox.bytes": "7",
    }
    assert request["data"]["baseData"]["properties"]["dicom_dropbox.status"] == "200"


def test_a_line_is_a_trace_as_the_alerts_ask_for_it(sent: dict[str, list[dict[str, Any]]]) -> None:
    """Its message is the line of the log, and nothing else."""
    [line] = sent["MessageData"]
    assert json.loads(line["data"]["baseData"]["message"])["event"] == "blob_decided"
    assert line["tags"]["ai.operation.id"] == sent["RemoteDependencyData"][0]["tags"]["ai.operation.id"]


def test_metrics_have_their_dimensions(sent: dict[str, list[dict[str, Any]]]) -> None:
    """As properties."""
    values = {item["data"]["baseData"]["metrics"][0]["name"]: item["data"]["baseData"] for item in sent["MetricData"]}
    assert values["dicom_dropbox.ingest.bytes"]["metrics"][0]["value"] == 7
    assert values["dicom_dropbox.ingest.bytes"]["properties"] == {"dicom_dropbox.verdict": "stored"}


def test_the_library_keeps_to_itself(sent: dict[str, list[dict[str, Any]]]) -> None:
    """Nothing but that is sent, whatever it was told before."""
    assert set(sent) == {"RemoteDependencyData", "MessageData", "MetricData"}
    assert all(os.environ[f"APPLICATIONINSIGHTS_{name}"] == "true" for name in QUIET)
    assert {envelope["iKey"] for some in sent.values() for envelope in some} == {KEY}
