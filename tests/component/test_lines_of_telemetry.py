"""The log's lines, for which alerts wait: sent again while they are not taken, and at the end of a process as well."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from shared.events import event
from shared.settings import TelemetrySettings
from shared.telemetry.pipeline import Pipeline
from shared.telemetry.recording import Fact, switch_off, switch_on
from tests.component.functions_host.running import wait_for
from tests.kit.collector import Collector, Refusal

ROOT = Path(__file__).parents[2]
Where = Literal["collector", "insights"]
BOTH: tuple[Where, ...] = ("collector", "insights")
AN_HOUR = {"Retry-After": "3600"}


def environment(collector: Collector, where: Where) -> dict[str, str]:
    """Return the settings by which lines go there."""
    if where == "collector":
        # Less than the exporter's own first pause: it does not try again by itself.
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT": "0.7"}
    key = "00000000-0000-0000-0000-000000000001"
    return {
        "APPLICATIONINSIGHTS_CONNECTION_STRING": f"InstrumentationKey={key};IngestionEndpoint={collector.url}/",
        # As the app sets it; here so that it is unset again.
        **{f"APPLICATIONINSIGHTS_{name}_DISABLED": "true" for name in ("CONTROLPLANE", "SDKSTATS")},
        "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",
    }


class Sender:
    """What sends lines, each told by its reason, to a collector that is asked for nothing else."""

    def __init__(self, collector: Collector, where: Where, monkeypatch: pytest.MonkeyPatch) -> None:
        given = environment(collector, where)
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        endpoint, connection = (
            given.get(name) for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "APPLICATIONINSIGHTS_CONNECTION_STRING")
        )
        self.pipeline = Pipeline(TelemetrySettings(True, endpoint, connection, 1.0, "tests"))

    def take(self, *reasons: str) -> None:
        """Pass lines on."""
        facts: list[Fact] = []
        switch_on(facts.append, 1.0)
        for reason in reasons:
            event("outage_begins", reason=reason)
        switch_off()
        for fact in facts:
            self.pipeline.take(fact)

    def send(self, *reasons: str) -> None:
        """Pass lines on, and see them through."""
        self.take(*reasons)
        self.pipeline._lines.force_flush()


def sent(collector: Collector) -> list[list[str]]:
    """Return the reasons of the lines in each request."""
    return [[json.loads(line)["reason"] for line in _lines(path, body)] for path, body in list(collector.bodies)]


def _lines(path: str, body: bytes) -> Iterator[str]:
    if path.endswith("/track"):
        yield from (item["data"]["baseData"]["message"] for item in json.loads(body))
        return
    for resource in ExportLogsServiceRequest.FromString(body).resource_logs:
        yield from (record.body.string_value for scope in resource.scope_logs for record in scope.log_records)


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """One for which nobody waits between two tries, of which there are four."""
    monkeypatch.setattr("shared.telemetry.repeating._PAUSES_SECONDS", (0, 0, 0))
    with Collector() as running:
        yield running


@pytest.mark.parametrize(
    ("where", "status"),
    [("collector", status) for status in (429, 502, 503, 504)]
    + [("insights", status) for status in (401, 403, 408, 429, 500, 502, 503, 504)],
)
def test_what_may_pass_is_waited_out(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, where: Where, status: int
) -> None:
    """The same lines are sent until they are taken, and then no more; what is said later goes after them."""
    sender = Sender(collector, where, monkeypatch)
    collector.refusals.extend([Refusal(status), Refusal(status)])
    sender.send("one", "two")
    sender.send("three")
    sender.pipeline.close()
    assert sent(collector) == [*[["one", "two"]] * 3, ["three"]]


@pytest.mark.parametrize("where", BOTH)
def test_a_broken_connection_is_waited_out(collector: Collector, monkeypatch: pytest.MonkeyPatch, where: Where) -> None:
    """Whether it broke before the lines were taken nobody can tell: better twice than never."""
    sender = Sender(collector, where, monkeypatch)
    collector.refusals.extend([Refusal(), Refusal()])  # a collector's exporter tries one again at once by itself
    sender.send("one")
    sender.pipeline.close()
    assert sent(collector) == [["one"]] * 3


@pytest.mark.parametrize("where", BOTH)
def test_who_does_not_listen_is_waited_for(collector: Collector, monkeypatch: pytest.MonkeyPatch, where: Where) -> None:
    """As long as it lasts."""
    sender = Sender(collector, where, monkeypatch)
    monkeypatch.setattr("shared.telemetry.repeating._PAUSES_SECONDS", Coming(collector))
    collector.go_down()
    sender.send("one")
    sender.pipeline.close()
    assert sent(collector) == [["one"]]


class Coming(tuple[int, ...]):
    """Pauses, in the second of which the collector comes up."""

    def __new__(cls, _: Collector) -> Coming:
        """Return two."""
        return super().__new__(cls, (0, 0))

    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def __iter__(self) -> Iterator[int]:
        """Yield them, as they are gone through."""
        yield 0
        self._collector.come_up()
        yield 0


@pytest.mark.parametrize(
    ("where", "status"),
    [("collector", 400), ("collector", 500), *(("insights", status) for status in (400, 402, 404, 413, 439))],
)
def test_what_will_not_pass_is_not_sent_again(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, where: Where, status: int
) -> None:
    """By what each of the two says of its statuses: 402 and 439 are the day's quota."""
    sender = Sender(collector, where, monkeypatch)
    collector.refusals.append(Refusal(status, AN_HOUR))
    sender.send("one")
    sender.send("two")
    sender.pipeline.close()
    assert sent(collector) == [["one"], ["two"]]


def test_what_was_taken_is_never_sent_again(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Application Insights takes a part (206), the rest goes again, but for what it will never take."""
    sender = Sender(collector, "insights", monkeypatch)
    collector.refusals.extend([Refusal(206, errors={1: 429, 2: 400, 3: 500}), Refusal(206, errors={1: 503})])
    sender.send("one", "two", "three", "four")
    collector.refusals.append(Refusal(206, errors={0: 429}, message="Telemetry sampled out."))
    sender.send("five")
    sender.pipeline.close()
    assert sent(collector) == [["one", "two", "three", "four"], ["two", "four"], ["four"], ["five"]]


@pytest.mark.parametrize("where", BOTH)
def test_what_never_passes_ends(collector: Collector, monkeypatch: pytest.MonkeyPatch, where: Where) -> None:
    """So that one batch does not hold up all that come after it."""
    sender = Sender(collector, where, monkeypatch)
    collector.refusals.extend([Refusal(503)] * 4)
    sender.send("one")
    sender.send("two")
    sender.pipeline.close()
    assert sent(collector) == [*[["one"]] * 4, ["two"]]


@pytest.mark.parametrize("where", BOTH)
def test_no_time_that_is_asked_for_is_longer_than_ours(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, where: Where
) -> None:
    """Whatever `Retry-After` says: there is a last try when the time is over."""
    monkeypatch.setattr("shared.telemetry.repeating._PATIENCE_SECONDS", 0.1)
    sender = Sender(collector, where, monkeypatch)
    collector.refusals.extend([Refusal(503, AN_HOUR)] * 3)
    sender.send("one")
    assert sent(collector) == [["one"]] * 2
    sender.pipeline.close()


@pytest.mark.parametrize("where", BOTH)
def test_at_the_end_nobody_waits(collector: Collector, monkeypatch: pytest.MonkeyPatch, where: Where) -> None:
    """What is being waited for is tried once more, at once; what has not been tried, once."""
    monkeypatch.setenv("OTEL_BLRP_SCHEDULE_DELAY", "1")
    sender = Sender(collector, where, monkeypatch)
    collector.refusals.extend([Refusal(429, AN_HOUR), Refusal(429, AN_HOUR), Refusal(429, AN_HOUR)])
    sender.take("one")
    wait_for(lambda: collector.bodies)
    sender.take("two")
    sender.pipeline.close()
    assert sent(collector) == [["one"], ["one"], ["two"]]


SAID = """
import atexit, threading
from shared.events import event
from shared.settings import telemetry_settings
from shared.telemetry.outbox import send_telemetry

send_telemetry(telemetry_settings())
say = lambda: event("outage_begins", reason="one")
no_more_threads = lambda: threading.stack_size(1 << 47)  # more than there are addresses
"""


def ended(collector: Collector, where: Where, how: str) -> str:
    """Run a process of its own to its end, and return what it has complained of."""
    given = environment(collector, where) | {"PYTHON_ENABLE_OPENTELEMETRY": "true", "OTEL_EXPORTER_OTLP_TIMEOUT": "10"}
    given.pop("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", None)
    done = subprocess.run(
        [sys.executable, "-c", SAID + how],
        cwd=ROOT,
        env={**os.environ, **given},
        capture_output=True,
        text=True,
        timeout=25,  # a slow collector takes 30
        check=True,
    )
    return done.stderr


def sent_by_lines(collector: Collector) -> list[list[str]]:
    """Return the reasons of the lines, whatever else came."""
    bodies = [(path, body) for path, body in collector.bodies if path != "/v1/metrics"]
    return [[json.loads(line)["reason"] for line in _lines(path, body)] for path, body in bodies]


@pytest.mark.parametrize("where", BOTH)
def test_a_process_ends_whoever_does_not_answer(collector: Collector, where: Where) -> None:
    """Nobody waits for long, also where sending has not begun."""
    collector.mood = "slow"
    errors = ended(collector, where, "say()")
    assert "telemetry_failed" not in errors
    assert "Traceback" not in errors


def test_telemetry_begins_once_a_thread_can_be_had(collector: Collector) -> None:
    """It is no loss for good that there was none for a moment."""
    how = """
no_more_threads()
event("outage_begins", reason="one")
threading.stack_size(0)
event("outage_begins", reason="two")
while len(threading.enumerate()) < 3:  # the SDK has begun
    threading.Event().wait(0.05)
"""
    ended(collector, "collector", how)
    assert sent_by_lines(collector) == [["one", "two"]]
