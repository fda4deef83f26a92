"""Traces, metrics and lines of the log, as a collector gets them from the whole local stack; nothing of a patient's."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from local.process import stop
from local.samples import with_other_pixels
from local.stack import Stack
from shared.telemetry.trace_context import TraceContext
from tests.conftest import APPROVAL_KEY, REPLAY_KEY
from tests.kit.collector import Collector, Point, Received
from tests.kit.drop_box import DropBox, make_instance, wait_for
from tests.kit.stack_service import Service

CANARY = "CANARY"
# Digits only, as a UID must be; no other number in the logs looks like it.
CANARY_UID = "1.2.826.0.1.3680043.8.498.86753098675309"
TWO_YEARS_SECONDS = 2 * 366 * 24 * 3600
POLICY = f"""
[policy]
time_zone = "Europe/Paris"

[[rule]]
name = "{CANARY}"
keep_years = 1
from = ["study_date", "received"]

[[hold]]
name = "{CANARY}"
list = "{CANARY}.csv"
"""

# Callers say in these what they like.
HEADERS = {"X-Canary": CANARY, "tracestate": f"a={CANARY}", "baggage": f"name={CANARY}", "traceparent": CANARY}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[DropBox]:
    """A stack that tells the collector of all that it does. Who sends lines gives up soon, and the app tries again."""
    folder = tmp_path_factory.mktemp("telemetry")
    keys = {"APPROVAL_KEY": APPROVAL_KEY, "REPLAY_KEY": REPLAY_KEY, "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT": "0.7"}
    settings = {**collector.settings, **keys}
    with Stack(folder, auth=True, poll_seconds=0.25, settings=settings, in_memory=True) as stack:
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

    the_same_lines(box, collector)
    decided = [line.trace_id for line in collector.lines() if line.event == "blob_decided"]
    assert len(set(decided)) == len(decided)

    def files() -> bool | None:  # their spans end after the lines
        return set(decided) <= {span.trace_id for span in collector.spans() if span.name == "ingest file"} or None

    wait_for(files, "a line is in no file's trace")


def the_same_lines(box: DropBox, collector: Collector) -> None:
    def lines() -> bool | None:
        logged = sorted(json.dumps(event) for event in box.events("blob_decided"))
        return sorted(line.body for line in collector.lines() if line.event == "blob_decided") == logged or None

    wait_for(lines, "the lines are not those of the log")


def test_a_collector_that_goes_down_changes_nothing(box: DropBox, collector: Collector) -> None:
    """The app works on, and what it logs meanwhile goes out once somebody listens again."""
    collector.go_down()
    works(box, "down 1")
    wait_for(lambda: collector.hung_up or None, "nobody has noticed")
    works(box, "down 2")
    collector.come_up()
    the_same_lines(box, collector)


def works(box: DropBox, name: str) -> None:
    """See that the app does its work, and says nothing of what it cannot send."""
    assert box.settle(f"{name}.dcm", make_instance().content)["verdict"] == "stored"
    assert [box.get(path).status_code for path in ("/studies", "/health/ready")] == [200, 200]
    assert not box.events("telemetry_failed")
    assert "Traceback" not in box.log()
    assert "export" not in box.log()  # as the exporters speak of what they could not send


def drive_ingest(box: DropBox) -> None:
    """Bring canaries to every verdict."""
    named = {"PatientName": f"{CANARY}^Jane", "PatientID": f"{CANARY}1", "AccessionNumber": f"{CANARY}2"}
    instance = make_instance(StudyInstanceUID=f"{CANARY_UID}.1", **named)
    whole = instance.content
    box.settle(f"{CANARY}/stored.dcm", whole)
    box.settle(f"{CANARY}/duplicate.dcm", whole)
    box.settle(f"{CANARY}/conflict.dcm", with_other_pixels(whole))
    box.settle(f"{CANARY}/cut.dcm", whole[:-1])
    box.settle(f"{CANARY}/text.dcm", b"CANARY")
    box.settle(f"{CANARY}/ignored.txt", b"CANARY")
    invalid = make_instance(StudyInstanceUID=f"{CANARY_UID}.2", **named)
    box.settle(f"{CANARY}/warned.dcm", invalid.content.replace(b"20200102", b"CANARY99"))


def drive_lookups(box: DropBox) -> None:
    """Send canaries in every part of a request, with answers of every kind."""
    statuses = set()
    for path in (
        f"/studies?PatientName={CANARY}&code={CANARY}",
        f"/studies?PatientID={CANARY}1",
        f"/studies?{CANARY}=1",
        f"/studies?PatientName={CANARY}*&includefield={CANARY}",
        f"/studies?PatientID=*{CANARY}*&limit=1",
        f"/studies?StudyInstanceUID={CANARY_UID}.1,{CANARY_UID}.2&format=plain",
        f"/studies?StudyInstanceUID={CANARY}&StudyDate={CANARY}",
        f"/studies/{CANARY}/series",
        f"/studies/{CANARY_UID}.1/metadata",
        f"/studies/{CANARY_UID}.9/metadata",
        f"/studies/{CANARY_UID}.1/series/1/instances/{CANARY_UID}/frames/{CANARY}",
        f"/{CANARY}?{CANARY}={CANARY}",
        f"/receipts?name={CANARY}/stored.dcm",
        f"/receipts?name={CANARY}/nothing.dcm",
        f"/receipts?name={CANARY}/nothing.dcm&{CANARY}={CANARY}",
        f"/retention/studies/{CANARY_UID}.9?partition={CANARY}",
        f"/retention/studies/{CANARY}?{CANARY}={CANARY}",
        f"/retention/plans/{CANARY}",
        f"/retention/plans?before={CANARY}",
    ):
        statuses.add(box.get(path, headers={"Accept": "application/dicom+json", **HEADERS}).status_code)
    statuses.add(box.get(f"/studies?PatientName={CANARY}", key=CANARY).status_code)
    assert statuses == {200, 400, 401, 404}
    assert box.events("lookup")


def drive_replays(box: DropBox) -> None:
    """Replay a canary, and ask in ways that are refused."""
    for approval, body, status in (
        (REPLAY_KEY, {"name": f"{CANARY}/conflict.dcm", "dry_run": False}, 200),
        (REPLAY_KEY, {"name": f"{CANARY}/nothing.dcm"}, 404),
        (REPLAY_KEY, {CANARY: CANARY}, 400),
        (CANARY, {"name": CANARY}, 403),
    ):
        assert box.replay(body, replay_key=approval).status_code == status
    wait_for(lambda: [e for e in box.events("blob_decided") if e["door"] == "replay"] or None, "no replay")


def drive_retention(box: DropBox) -> None:
    """Plan the canary's deletion, by a rule and a list of that name; then let the policy, and the list, be wrong."""
    rules = box.storage.get_container_client("retention-policy")
    rules.upload_blob("policy.toml", POLICY)
    rules.upload_blob(f"{CANARY}.csv", f"patient_id\n{CANARY}1\n{CANARY}9\n")
    box.stack.set_clock(TWO_YEARS_SECONDS)
    box.stack.fire("purge_study")
    night = wait_for(lambda: box.events("retention_night") or None, "no night")[-1]
    plan = box.blob("retention-records", f"plans/{night['plan']}.jsonl") or b""
    assert CANARY_UID.encode() in plan
    for name, content in ((f"{CANARY}.csv", f"{CANARY}\n{CANARY}\n"), ("policy.toml", f'{CANARY} = "{CANARY}"')):
        seen = len(box.events("retention_refused"))
        rules.upload_blob(name, content, overwrite=True)
        box.stack.fire("purge_study")
        wait_for(lambda: box.events("retention_refused")[seen:] or None, "no fault")  # noqa: B023


def test_no_canary_is_in_any_log(box: DropBox, collector: Collector) -> None:
    """Of the app, its host, the DICOM service and the token endpoint, and what the app sends of traces and metrics:
    they are what a platform would collect.
    """
    drive_ingest(box)
    drive_lookups(box)
    drive_replays(box)
    drive_retention(box)
    logs: list[Path] = [log for log in box.stack.folder.glob("*.log") if "azurite" not in log.name]
    assert len(logs) >= 3
    for log in logs:
        text = log.read_text()
        assert CANARY not in text, log.name
        assert CANARY_UID not in text, log.name
        assert box.stack.function_key not in text, log.name
        assert not any(key in text for key in (APPROVAL_KEY, REPLAY_KEY)), log.name
    wait_for(lambda: "retention_refused" in {line.event for line in collector.lines()} or None, "nothing is sent")
    wait_for(lambda: (collector.spans() and collector.metric_names()) or None, "neither spans nor metrics are sent")
    sent = collector.everything()
    for secret in (CANARY, CANARY_UID, box.stack.function_key, APPROVAL_KEY, REPLAY_KEY):
        assert secret.encode() not in sent


@pytest.mark.parametrize("mood", ["refusing", "garbage", "slow"])
def test_a_bad_collector_changes_nothing(
    box: DropBox, collector: Collector, mood: Literal["refusing", "garbage", "slow"]
) -> None:
    """Whoever answers late, answers nonsense or refuses: files are stored and lookups answered."""
    collector.mood, before = mood, len(collector.bodies)
    works(box, f"{mood} 1")
    wait_for(lambda: len(collector.bodies) > before or None, "the collector was never asked")
    works(box, f"{mood} 2")
    collector.mood = "well"


def test_what_is_left_is_sent_at_the_end(box: DropBox, collector: Collector) -> None:
    """An app that is stopped sends what it has, though its turn to send has not come."""
    delays = ("OTEL_BSP_SCHEDULE_DELAY", "OTEL_BLRP_SCHEDULE_DELAY", "OTEL_METRIC_EXPORT_INTERVAL")
    box.stack.restart_app(settings=dict.fromkeys(delays, "600000"))
    collector.bodies.clear()
    assert box.get("/studies").status_code == 200
    stop([box.stack.part("app")])
    assert "search studies" in names_of(collector.spans())
    assert "lookup" in {line.event for line in collector.lines()}
    assert "dicom_dropbox.lookups" in collector.metric_names()
