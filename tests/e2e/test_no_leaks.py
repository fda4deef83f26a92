"""No attribute's value, blob's name, UID or query string reaches a log or a collector of telemetry, on any path."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from local import samples
from local.stack import Stack
from tests.conftest import APPROVAL_KEY, REPLAY_KEY
from tests.kit.collector import Collector
from tests.kit.drop_box import DropBox, make_instance, wait_for

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
def box(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[DropBox]:
    """A stack that tells a collector of all that it does."""
    folder = tmp_path_factory.mktemp("leaks")
    settings = {"APPROVAL_KEY": APPROVAL_KEY, "REPLAY_KEY": REPLAY_KEY, **collector.settings}
    with Stack(folder, auth=True, poll_seconds=0.25, settings=settings, in_memory=True) as stack:
        yield DropBox(stack)


def drive_ingest(box: DropBox) -> None:
    """Bring canaries to every verdict."""
    named = {"PatientName": f"{CANARY}^Jane", "PatientID": f"{CANARY}1", "AccessionNumber": f"{CANARY}2"}
    instance = make_instance(StudyInstanceUID=f"{CANARY_UID}.1", **named)
    whole = instance.content
    box.settle(f"{CANARY}/stored.dcm", whole)
    box.settle(f"{CANARY}/duplicate.dcm", whole)
    box.settle(f"{CANARY}/conflict.dcm", samples.with_other_pixels(whole))
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
        headers = {"x-functions-key": box.stack.function_key, "x-replay-key": approval}
        url = f"{box.stack.app_url}/quarantine/replay"
        assert httpx.post(url, json=body, headers=headers, trust_env=False).status_code == status
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
    assert collector.spans()
    assert collector.metric_names()
    sent = collector.everything()
    for secret in (CANARY, CANARY_UID, box.stack.function_key, APPROVAL_KEY, REPLAY_KEY):
        assert secret.encode() not in sent
