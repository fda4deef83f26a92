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


MAY_PASS: dict[Where, list[int]] = {
    "collector": [429, 502, 503, 504],
    "insights": [401, 403, 408, 429, 500, 502, 503, 504],
}
WILL_NOT_PASS: dict[Where, list[int]] = {"collector": [400, 500], "insights": [400, 402, 404, 413, 439]}
# (where, what the collector answers first, lines that are sent one call after another, lines of each request)
SENT: dict[str, tuple[Where, list[Refusal], list[str], list[str]]] = {
    **{
        f"{where} {status} may pass: sent again until taken": (
            where,
            [Refusal(status)] * 2,
            ["one two", "three"],
            ["one two", "one two", "one two", "three"],
        )
        for where in BOTH
        for status in MAY_PASS[where]
    },
    **{
        f"{where} {status} will not pass (402 and 439 are the day's quota): not sent again": (
            where,
            [Refusal(status, AN_HOUR)],
            ["one", "two"],
            ["one", "two"],
        )
        for where in BOTH
        for status in WILL_NOT_PASS[where]
    },
    **{
        # A collector's exporter tries one again at once by itself.
        f"{where}: a broken connection, better twice than never": (where, [Refusal()] * 2, ["one"], ["one"] * 3)
        for where in BOTH
    },
    **{
        f"{where}: what never passes does not hold up the next": (
            where,
            [Refusal(503)] * 4,
            ["one", "two"],
            [*["one"] * 4, "two"],
        )
        for where in BOTH
    },
    "insights takes a part (206): the rest is sent again, but for what it will never take": (
        "insights",
        [Refusal(206, errors={1: 429, 2: 400, 3: 500}), Refusal(206, errors={1: 503})],
        ["one two three four"],
        ["one two three four", "two four", "four"],
    ),
    "insights has sampled a line out: not sent again": (
        "insights",
        [Refusal(206, errors={0: 429}, message="Telemetry sampled out.")],
        ["five"],
        ["five"],
    ),
}


@pytest.mark.parametrize(("where", "refusals", "calls", "expected"), SENT.values(), ids=SENT)
def test_lines_are_sent_until_they_are_taken(
    collector: Collector,
    monkeypatch: pytest.MonkeyPatch,
    where: Where,
    refusals: list[Refusal],
    calls: list[str],
    expected: list[str],
) -> None:
    """And then no more; what is said later is sent after them."""
    sender = Sender(collector, where, monkeypatch)
    collector.refusals.extend(refusals)
    for reasons in calls:
        sender.send(*reasons.split())
    sender.pipeline.close()
    assert [" ".join(reasons) for reasons in sent(collector)] == expected


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
