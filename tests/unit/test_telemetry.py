"""Telemetry: what is written down, and what becomes of it before it is sent."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from opentelemetry import trace

from shared.dicomweb.errors import status_error
from shared.events import FIELDS, event
from shared.settings import TelemetrySettings
from shared.telemetry import recording
from shared.telemetry.measuring import METRICS, measured
from shared.telemetry.outbox import Outbox
from shared.telemetry.pipeline import Pipeline, _words
from shared.telemetry.recording import Attributes, Event, Fact, Span, span, switch_off, switch_on, traceparent
from shared.telemetry.service_calls import ServiceCalls
from shared.telemetry.trace_context import TraceContext, is_kept
from tests.kit.collector import Collector

ROOT = Path(__file__).parents[2]
TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HEADER = f"00-{TRACE_ID}-{SPAN_ID}-01"


@pytest.fixture
def written() -> Iterator[list[Fact]]:
    """What is written down meanwhile."""
    facts: list[Fact] = []
    switch_on(facts.append, 1.0)
    yield facts
    switch_off()


def spans(facts: list[Fact]) -> list[Span]:
    return [fact for fact in facts if isinstance(fact, Span)]


@pytest.mark.parametrize(
    ("header", "is_one"),
    [
        (HEADER, True),
        (HEADER.replace("00-", "01-", 1) + "-what-may-come", True),
        (HEADER.replace("00-", "ff-", 1), False),
        (f"{HEADER}-more", False),
        (HEADER.upper(), False),
        (HEADER.replace(TRACE_ID, "0" * 32), False),
        (HEADER.replace(SPAN_ID, "0" * 16), False),
        (f" {HEADER}", False),
        (f"{HEADER}\n", False),
        ("CANARY", False),
        ("", False),
        (None, False),
    ],
)
def test_a_header_of_a_trace(header: str | None, is_one: bool) -> None:
    """W3C Trace Context §3.2: what is none counts for nothing, and later versions may say more."""
    found = TraceContext.parse(header)
    assert (found is not None) is is_one
    if found is not None:
        assert found.header() == HEADER
        assert found.child(1.0).trace_id == found.trace_id


def test_the_share_of_traces() -> None:
    """It goes by the trace's id alone, so that every app keeps the same ones; the flag that came does not matter."""
    ids = [TraceContext.new(1.0).trace_id for _ in range(4000)]
    assert all(is_kept(one, 1.0) for one in ids)
    assert not any(is_kept(one, 0.0) for one in ids)
    assert 800 < sum(is_kept(one, 0.25) for one in ids) < 1200
    assert TraceContext(2**56 - 1, 1, is_sampled=True).child(0.5).is_sampled is False
    assert TraceContext(1, 1, is_sampled=False).child(0.5).is_sampled is True


def test_parts_of_a_span(written: list[Fact]) -> None:
    """Tasks that are begun inside are parts as well; what goes wrong is told by its class; each ends once."""

    async def work() -> None:
        with span("ingest file", parent=HEADER):
            await asyncio.gather(part(), part(), return_exceptions=True)
        assert traceparent() is None

    async def part() -> None:
        with span("read file"):
            assert traceparent() is not None
            raise ValueError("CANARY")

    asyncio.run(work())
    one, other, whole = spans(written)
    assert whole.parent == TraceContext.parse(HEADER)
    assert one.parent == other.parent == whole.context
    assert one.error is ValueError
    assert whole.error is None
    assert one.context.span_id != other.context.span_id
    whole.end()
    assert len(written) == 3


def test_the_platforms_own_trace(written: list[Fact]) -> None:
    """It is continued where nothing else is told; where a message told one, it is linked to."""
    platform = trace.SpanContext(int(TRACE_ID, 16), 7, is_remote=True)
    with trace.use_span(trace.NonRecordingSpan(platform)):
        with span("ingest file"):
            pass
        with span("ingest file", parent=f"00-{'1' * 32}-{'2' * 16}-01"):
            pass
        event("sweep")
    continued, told = spans(written)
    [line] = [fact for fact in written if isinstance(fact, Event)]
    assert line.context == continued.parent
    assert continued.parent == TraceContext(int(TRACE_ID, 16), 7, is_sampled=False)
    assert continued.link is None
    assert told.context.trace_id == int("1" * 32, 16)
    assert told.link == continued.parent


def test_requests_outside_of_a_trace_are_counted_and_not_sent(written: list[Fact]) -> None:
    """Each would be a trace of its own: of a command, or of the question whether all is well."""
    calls = ServiceCalls()
    with calls.attempt("change feed", 1):
        pass
    with span("search studies"), calls.attempt("search studies", 2) as call:
        assert TraceContext.parse(call.headers["traceparent"])
        call.answered(200)
    with pytest.raises(Exception, match="503"), calls.attempt("store instance", 1):
        raise status_error("store instance", 503, None)
    outside, inside, _, refused = spans(written)
    assert (outside.context.is_sampled, inside.context.is_sampled) == (False, True)
    assert refused.attributes["status"] == 503
    names = [[metric.name for metric, _, _ in measured(fact)] for fact in (outside, inside)]
    assert names == [["service.duration"], ["service.duration", "service.retries"]]


def test_once_it_is_off_the_service_is_told_of_no_trace(written: list[Fact]) -> None:
    """Also by clients that were made while it was on; a header of nothing but zeros would be none."""
    calls = ServiceCalls()
    switch_off()
    with span("search studies"), calls.attempt("search studies", 1) as call:
        assert call.headers == {}
    assert written == []


def test_an_event_is_told_to_the_span_that_it_is_written_in(written: list[Fact]) -> None:
    """As far as it is what may be said of one; and it knows its trace."""
    with span("ingest file") as file:
        event("blob_decided", verdict="stored", bytes=7, seconds=1.5, attributes=["00100010"])
    [said] = [fact for fact in written if isinstance(fact, Event)]
    assert file.attributes == {"verdict": "stored", "bytes": 7}
    assert said.context == file.context
    assert {metric.name: value for metric, value, _ in measured(said)} == {
        "ingest.verdicts": 1,
        "ingest.bytes": 7,
        "ingest.duration": 1.5,
    }


def test_what_may_be_said_is_the_logs_own() -> None:
    """Of spans and as dimensions: nothing that could not stand in the log."""
    assert set(Attributes.__annotations__) <= FIELDS
    assert {name for metric in METRICS for name in metric.dimensions} <= FIELDS | {"outcome"}


@pytest.mark.parametrize(
    "value",
    ["1.2.840.10008.1", "CANARY", "Doe^Jane", "ward 7/a.dcm", "a.dcm", "https://host", "é", "x" * 65, "a  b", ""],
)
def test_what_looks_like_something_else_is_not_sent(value: str) -> None:
    """The last guard, whatever a mistake has put there."""
    assert _words({"reason": value}) == {"dicom_dropbox.reason": "other"}


def test_words_and_numbers_are_sent() -> None:
    """What the code says, under names of ours; what is nothing is left out."""
    said = _words({"reason": "kept_failing", "source": "site-a", "status": 200, "complete": True, "verdict": None})
    assert said == {
        "dicom_dropbox.reason": "kept_failing",
        "dicom_dropbox.source": "site-a",
        "dicom_dropbox.status": 200,
        "dicom_dropbox.complete": True,
    }


def test_nothing_is_written_down_while_it_is_off(caplog: pytest.LogCaptureFixture) -> None:
    """One object stands for every span, and the log goes on."""
    caplog.set_level(logging.INFO, "dicom_dropbox")
    with span("ingest file", door="blob") as one, span("read file") as other:
        one.set(verdict="stored")
        assert traceparent() is None
        event("blob_gone")
    assert one is other
    assert not one.attributes
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("switch", ["true", "false"])
def test_the_app_imports_no_sdk(switch: str) -> None:
    """Neither while it is off nor, on, before there is anything to send."""
    program = "import sys, function_app; print([name for name in sys.modules if name.startswith('opentelemetry.sdk')])"
    telemetry = {"PYTHON_ENABLE_OPENTELEMETRY": switch, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=telemetry, capture_output=True, check=True)
    assert done.stdout.strip() == b"[]"


def settings(collector: str | None = None) -> TelemetrySettings:
    return TelemetrySettings(
        is_on=True, otlp_endpoint=collector, insights_connection=None, ratio=1.0, service_name="tests"
    )


class Failing:
    """A pipeline that fails as it is made, or with the first that it takes."""

    def __init__(self, _: TelemetrySettings, *, is_late: bool = False) -> None:
        if not is_late:
            raise ValueError("CANARY")

    def take(self, _: Fact) -> None:
        raise ValueError("CANARY")


@pytest.mark.parametrize("is_late", [False, True])
def test_what_cannot_be_sent_is_dropped(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, is_late: bool
) -> None:
    """An exporter that does not want to be set up, or the SDK, ends telemetry and nothing else; of its words none is
    told.
    """
    caplog.set_level(logging.INFO, "dicom_dropbox")
    monkeypatch.setattr("shared.telemetry.pipeline.Pipeline", partial(Failing, is_late=is_late))
    outbox = Outbox(settings())
    switch_on(outbox.put, 1.0)
    event("blob_gone")
    outbox.close()
    assert recording.is_on() is False
    assert any('"telemetry_failed"' in message and '"ValueError"' in message for message in caplog.messages)
    assert "CANARY" not in caplog.text


def test_the_service_is_called_as_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a span has the ids that it began with, whatever is current where it is sent."""
    with Collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        pipeline = Pipeline(settings(collector.url))
        context = TraceContext(int(TRACE_ID, 16), int(SPAN_ID, 16), is_sampled=True)
        sent = Span("read file", "internal", context, None, {"reason": "CANARY"})
        sent.ended = sent.began + 1
        with trace.use_span(trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=True))):
            pipeline.take(sent)
        pipeline.close()
        [received] = collector.spans()
        assert (received.trace_id, received.span_id, received.parent_id) == (TRACE_ID, SPAN_ID, "")
        assert received.attributes["dicom_dropbox.reason"] == "other"
        assert b"tests" in collector.everything()
        assert b"CANARY" not in collector.everything()


def test_at_the_end_lines_go_first(monkeypatch: pytest.MonkeyPatch, written: list[Fact]) -> None:
    """Alerts go by them, and there are seconds for all."""
    with span("ingest file"):
        event("blob_gone")
    with Collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        pipeline = Pipeline(settings(collector.url))
        for fact in written:
            pipeline.take(fact)
        pipeline.close()
        assert [path for path, _ in collector.bodies][:2] == ["/v1/logs", "/v1/traces"]
