"""Traces, metrics and the log's lines, as a collector gets them from the whole local stack."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from typing import Literal, get_args

import pytest

from local.process import stop
from local.stack import Stack
from shared.telemetry.trace_context import TraceContext
from tests.kit.collector import Collector, Point, Received
from tests.kit.drop_box import DropBox, make_instance, wait_for
from tests.kit.stack_service import Service

Mood = Literal["slow", "garbage", "refusing"]


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[DropBox]:
    """A stack that tells the collector of all that it does."""
    folder = tmp_path_factory.mktemp("telemetry")
    with Stack(folder, auth=True, poll_seconds=0.25, settings=collector.settings, in_memory=True) as stack:
        yield DropBox(stack)


def trace_with(collector: Collector, name: str, *, seen: int = 0, spans: int = 1) -> list[Received]:
    """Return the spans of the latest trace that has one of this name, once it has all its spans.

    Args:
        collector: that got them.
        name: of a span.
        seen: how many spans of this name were there before.
        spans: how many of this name there are to be.
    """

    def look() -> list[Received] | None:
        found = collector.spans()
        named = [span for span in found if span.name == name][seen:]
        if len(named) < spans:
            return None
        trace = [span for span in found if span.trace_id == named[-1].trace_id]
        ids = {span.span_id for span in trace}
        # One that is a part of what has not been sent yet, the platform's own apart, which is never sent.
        roots = {span.parent_id for span in trace if span.parent_id not in ids}
        return trace if len(roots) == 1 or spans > 1 else None

    return wait_for(look, f"no whole trace with {name}")


def named(trace: list[Received], name: str, kind: str = "") -> Received:
    return next(span for span in trace if span.name == name and kind in span.kind)


def ids(headers: list[str]) -> set[tuple[str, str]]:
    found = [TraceContext.parse(header) for header in headers]
    return {(f"{one.trace_id:032x}", f"{one.span_id:016x}") for one in found if one}


def points(collector: Collector, name: str) -> list[Point]:
    return wait_for(lambda: collector.points(f"dicom_dropbox.{name}") or None, f"no {name}")


def test_a_files_trace_goes_from_blob_to_store_to_receipt(box: DropBox, collector: Collector) -> None:
    """One trace, in which each piece of work is a part of the file's, and which the DICOM service was told of."""
    box.settle("traced.dcm", make_instance().content)
    trace = trace_with(collector, "dispose of file")
    file = named(trace, "ingest file")
    for name in ("read file", "examine file", "store file", "write receipt", "dispose of file"):
        assert named(trace, name).parent_id == file.span_id, name
    request = named(trace, "store instance")
    assert request.kind == "client"
    assert request.parent_id == named(trace, "store file").span_id
    assert request.attributes["dicom_dropbox.status"] == 200
    assert file.attributes["dicom_dropbox.verdict"] == "stored"
    assert file.attributes["dicom_dropbox.door"] == "blob"
    assert (request.trace_id, request.span_id) in ids(Service(box.stack).traces("store"))
    assert {span.trace_id for span in trace} == {file.trace_id}
    assert not any(span.is_error for span in trace)


def test_a_lookup_continues_its_callers_trace(box: DropBox, collector: Collector) -> None:
    """The service is a part of it as well; whether the caller's is sampled does not matter, for hosts leave it open."""
    for flags in ("00", "01"):
        trace_id = secrets.token_hex(16)
        seen = len([span for span in collector.spans() if span.name == "search studies"])
        header = {"traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-{flags}"}
        assert box.get("/studies?PatientID=P1", headers=header).status_code == 200
        trace = trace_with(collector, "search studies", seen=seen)
        lookup, request = named(trace, "search studies"), named(trace, "search studies", "client")
        assert lookup.trace_id == trace_id
        assert lookup.kind == "internal"  # the host has one of kind server
        assert lookup.attributes["dicom_dropbox.status"] == 200
        assert request.parent_id == lookup.span_id
        assert (trace_id, request.span_id) in ids(Service(box.stack).traces("search"))


def test_a_lookup_that_fails_says_so_by_classes(box: DropBox, collector: Collector) -> None:
    """No text of an error goes along."""
    assert box.get("/studies/1.2.3/metadata").status_code == 404
    trace = trace_with(collector, "retrieve study metadata")
    lookup = named(trace, "retrieve study metadata")
    assert lookup.is_error
    assert lookup.attributes["error.type"] == "NotFound"
    assert lookup.attributes["dicom_dropbox.status"] == 404


def test_a_file_that_waits_stays_in_its_trace(box: DropBox, collector: Collector) -> None:
    """What was put off, and the repetitions of its request before, and the run that stores it at last."""
    seen = len([span for span in collector.spans() if span.name == "ingest file"])
    Service(box.stack).inject(fault="status", kind="store", status=503, requests=3)
    box.settle("waits.dcm", make_instance().content)
    trace = wait_for(
        lambda: next(
            (t for t in [trace_with(collector, "ingest file", seen=seen, spans=2)] if "store instance" in names_of(t)),
            None,
        ),
        "no second run",
    )
    files = [span for span in trace if span.name == "ingest file"]
    assert [file.attributes["dicom_dropbox.door"] for file in files] == ["blob", "deferral"]
    assert files[0].attributes["dicom_dropbox.reason"] == "service_busy"
    assert files[1].attributes["dicom_dropbox.verdict"] == "stored"
    assert files[1].parent_id == files[0].span_id
    attempts = [span.attributes["dicom_dropbox.attempts"] for span in trace if span.name == "store instance"]
    assert attempts == [1, 2, 3, 1]
    assert points(collector, "service.retries")[0].value >= 2
    assert {point.dimensions["dicom_dropbox.reason"] for point in points(collector, "ingest.deferrals")}


def names_of(trace: list[Received]) -> set[str]:
    return {span.name for span in trace}


def test_what_is_measured(box: DropBox, collector: Collector) -> None:
    """Each metric has what the log says, by words of the log."""
    content = make_instance().content
    box.settle("counted.dcm", content)
    box.settle("counted.txt", b"none of ours")
    assert box.get("/studies").status_code == 200
    box.stack.fire("sweep_inbox")

    def verdicts() -> set[str] | None:
        found = {str(point.dimensions["dicom_dropbox.verdict"]) for point in points(collector, "ingest.verdicts")}
        return found if {"stored", "ignored"} <= found else None

    wait_for(verdicts, "a verdict is not counted")
    stored = sum(event["bytes"] for event in box.events("blob_decided") if event["verdict"] == "stored")

    def counted() -> bool | None:
        values = {p.dimensions["dicom_dropbox.verdict"]: p.value for p in points(collector, "ingest.bytes")}
        return values.get("stored") == stored or None

    wait_for(counted, "bytes are not counted")
    lookups = {tuple(point.dimensions.values()) for point in points(collector, "lookups")}
    assert ("search", "studies", 200) in lookups
    assert points(collector, "tokens")[0].dimensions == {"dicom_dropbox.outcome": "fetched"}
    [pending] = points(collector, "ingest.oldest_pending")
    assert (pending.unit, pending.value) == ("s", 0)
    for name in ("ingest.duration", "lookup.bytes", "lookup.duration", "service.duration"):
        assert points(collector, name)


def test_each_line_of_the_log_goes_along_once(box: DropBox, collector: Collector) -> None:
    """With the trace in which it was written, of however many are under way at once."""
    etags = {name: box.drop(name, make_instance().content) for name in (f"line-{n}.dcm" for n in range(8))}
    for name, etag in etags.items():
        box.receipt(name, etag)

    def lines() -> bool | None:
        logged = sorted(json.dumps(event) for event in box.events("blob_decided"))
        return sorted(line.body for line in collector.lines() if line.event == "blob_decided") == logged or None

    wait_for(lines, "the lines are not those of the log")
    decided = [line.trace_id for line in collector.lines() if line.event == "blob_decided"]
    assert len(set(decided)) == len(decided)

    def files() -> bool | None:  # their spans end after the lines
        return set(decided) <= {span.trace_id for span in collector.spans() if span.name == "ingest file"} or None

    wait_for(files, "a line is in no file's trace")


def test_what_is_left_is_sent_at_the_end(tmp_path_factory: pytest.TempPathFactory) -> None:
    """An app that is stopped sends what it has, though its turn to send has not come."""
    folder = tmp_path_factory.mktemp("ending")
    later = dict.fromkeys(
        ("OTEL_BSP_SCHEDULE_DELAY", "OTEL_BLRP_SCHEDULE_DELAY", "OTEL_METRIC_EXPORT_INTERVAL"), "600000"
    )
    with Collector() as collector, Stack(folder, settings=collector.settings | later, in_memory=True) as stack:
        assert DropBox(stack).get("/studies").status_code == 200
        stop([stack.part("app")])
        assert "search studies" in names_of(collector.spans())
        assert "lookup" in {line.event for line in collector.lines()}
        assert "dicom_dropbox.lookups" in collector.metric_names()


@pytest.mark.parametrize("mood", get_args(Mood))
def test_a_bad_collector_changes_nothing(tmp_path_factory: pytest.TempPathFactory, mood: Mood) -> None:
    """Whoever answers late, answers nonsense or refuses: files are stored and lookups answered."""
    folder = tmp_path_factory.mktemp(mood)
    with Collector() as collector:
        collector.mood = mood
        with Stack(folder, settings=collector.settings, in_memory=True, poll_seconds=0.25) as stack:
            box = DropBox(stack)
            works(box, 0, 1, 2)
            wait_for(lambda: collector.bodies or None, "the collector was never asked")
            says_nothing_of_it(box)


def test_a_collector_that_goes_down_changes_nothing(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The app works on, and what it logs meanwhile goes out once somebody listens again."""
    folder = tmp_path_factory.mktemp("down")
    at_once = {"OTEL_EXPORTER_OTLP_LOGS_TIMEOUT": "0.7"}  # gives up; it is the app that tries again
    with Collector() as collector:
        settings = collector.settings | at_once
        with Stack(folder, settings=settings, in_memory=True, poll_seconds=0.25) as stack:
            box = DropBox(stack)
            works(box, 0)
            wait_for(lambda: collector.lines() or None, "the collector was never asked")
            collector.go_down()
            works(box, 1, 2)
            wait_for(lambda: collector.hung_up or None, "nobody has noticed")
            works(box, 3)
            collector.come_up()

            def lines() -> bool | None:
                logged = sorted(json.dumps(event) for event in box.events("blob_decided"))
                return sorted(line.body for line in collector.lines() if line.event == "blob_decided") == logged or None

            wait_for(lines, "the lines are not those of the log")
            says_nothing_of_it(box)


def works(box: DropBox, *numbers: int) -> None:
    for number in numbers:
        assert box.settle(f"{number}.dcm", make_instance().content)["verdict"] == "stored"
        assert len(box.get("/studies").json()) == number + 1


def says_nothing_of_it(box: DropBox) -> None:
    assert box.get("/health/ready").status_code == 200
    log = box.log()
    assert not box.events("telemetry_failed")
    assert "Traceback" not in log
    assert "export" not in log  # as the exporters speak of what they could not send
