"""The probe on the whole stack: through the real doors, hidden from every lookup, and gone by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from local.stack import Stack, without_trigger
from local.tokens import Bearer
from query_api.lookup import Route
from query_api.routes import ROUTES
from store_on_upload.probing.dropped import NAME
from store_on_upload.probing.instance import SERIES_INSTANCE_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID
from tests.kit.drop_box import DropBox, make_instance, wait_for
from tests.kit.stack_service import Service

NEVER = "0 0 0 1 1 *"  # but for who fires it
PROBE = {
    "study": STUDY_INSTANCE_UID,
    "series": SERIES_INSTANCE_UID,
    "instance": SOP_INSTANCE_UID,
    "frames": "1",
}
PLACES = ("dicom-inbox", "dicom-archive", "dicom-quarantine", "dicom-quarantine-reasons")
AN_HOUR = 3600.0


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DropBox]:
    folder = tmp_path_factory.mktemp("probe")
    settings = {"PROBE_SCHEDULE": NEVER, "AFTER_STORE": "archive"}
    with Stack(folder, auth=True, poll_seconds=0.25, settings=settings) as stack:
        yield DropBox(stack)


def probed(box: DropBox) -> dict[str, Any]:
    """Have a probe, and return what was said of it."""
    before = len(box.events("probe"))
    box.stack.fire("probe_route")
    return wait_for(lambda: box.events("probe")[before:] or None, "nothing was said of the probe")[0]


def left(box: DropBox) -> list[str]:
    """Return what there is of probes in storage, but for their receipt."""
    containers = map(box.storage.get_container_client, PLACES)
    return [name for container in containers for name in container.list_blob_names(name_starts_with=NAME)]


def has_probe(box: DropBox) -> bool:
    """Say whether the DICOM service itself has one."""
    url = f"{box.stack.dicom_url}/studies/{STUDY_INSTANCE_UID}/metadata"
    headers = {"Accept": "application/dicom+json"}
    return httpx.get(url, headers=headers, auth=Bearer(box.stack.token()), trust_env=False).status_code == 200


def path_of(route: Route) -> str:
    return "/" + route.path.format(**PROBE)


def test_it_gets_in_is_hidden_and_goes(box: DropBox) -> None:
    """Its receipt comes; nobody finds it beside what is real, by whatever lookup; then the service has it no more."""
    real = make_instance()
    assert box.settle("real.dcm", real.content)["verdict"] == "stored"
    said = probed(box)
    box.stack.set_service_clock(-AN_HOUR)  # it stays for as long as this takes
    assert said["complete"] is True
    assert "reason" not in said
    assert [event["verdict"] for event in box.events("blob_decided")] == ["stored", "stored"]
    wait_for(lambda: True if not left(box) else None, "something is left of the probe")
    assert has_probe(box)
    for route in ROUTES:
        if route.transaction in ("search", "retrieve") and "{partition}" not in route.path:
            answer = box.get(path_of(route))
            if route.transaction == "retrieve":
                assert (answer.status_code, answer.json()["code"]) == (404, "not-found"), route.name
            else:
                found = [] if "{study}" in route.path else [real.study]
                rows = answer.json()
                assert [row["0020000D"]["Value"][0] for row in rows] == found, route.name
    assert box.get(f"/studies?StudyInstanceUID={STUDY_INSTANCE_UID}").json() == []
    assert [row["0020000D"]["Value"] for row in box.get("/studies?limit=1").json()] == [[real.study]]
    changed = box.get("/changes").json()["changes"]
    assert {change["study_instance_uid"] for change in changed} == {real.study}
    box.stack.set_service_clock(AN_HOUR)
    wait_for(lambda: None if has_probe(box) else True, "the probe has not expired")
    assert box.get(real.path, headers={"Accept": "application/dicom"}).content == real.content
    assert len(box.get("/changes").json()["changes"]) == 1
    box.stack.set_service_clock(0)
    assert box.adds_up().verdicts == {"stored": 2}


def test_while_the_service_is_down(box: DropBox) -> None:
    """It is said why the probe waits, and no second one is dropped."""
    service = Service(box.stack)
    service.inject(fault="status", kind="store", status=503, requests=None)
    box.stack.fire("probe_route")  # it waits for five minutes
    [name] = wait_for(lambda: left(box) or None, "no probe")
    box.waiting(name)
    box.stack.restart_app()  # which has killed the timer
    said = probed(box)
    assert (said["complete"], said["reason"] in ("service_busy", "outage")) == (False, True)
    assert set(left(box)) == {name}
    service.mend()
    wait_for(lambda: None if box.blob("dicom-inbox", name) else True, "it did not get in")
    assert probed(box)["complete"] is True
    wait_for(lambda: True if not left(box) else None, "something is left of the probe")


def test_where_no_event_comes(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nobody looks at the file, and that is said."""
    folder = tmp_path_factory.mktemp("no-events")
    settings = {**without_trigger(folder, ""), "PROBE_SCHEDULE": NEVER}
    with Stack(folder, auth=True, poll_seconds=0.25, settings=settings) as stack:
        box = DropBox(stack)
        stack.fire("probe_route")
        wait_for(lambda: left(box) or None, "none was dropped")
        stack.restart_app()
        said = probed(box)
        assert (said["complete"], said["reason"]) == (False, "no_receipt")
        assert len(left(box)) == 1
