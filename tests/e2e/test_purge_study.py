"""The retention report of the whole local stack."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from local.stack import Stack
from tests.e2e.drop_box import DropBox, make_instance, wait_for


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DropBox]:
    settings = {"PURGE_AFTER_DAYS": "30"}
    with Stack(tmp_path_factory.mktemp("purge"), auth=True, poll_seconds=0.25, settings=settings) as stack:
        yield DropBox(stack)


def test_the_timer_reports_what_is_due_and_deletes_nothing(box: DropBox) -> None:
    """One line for each due study with the reason; the one of tomorrow and the undated one are not among them."""
    due, recent, undated = (make_instance(StudyDate=day) for day in ("20200102", "29990101", ""))
    for number, instance in enumerate((due, recent, undated)):
        box.settle(f"{number}.dcm", instance.content)
    box.stack.fire("purge_study")
    [event] = wait_for(lambda: box.events("retention_report") or None, "no report")
    assert (event["mode"], event["due"]) == ("report", 1)
    records = box.storage.get_container_client("retention-records")
    [name] = records.list_blob_names(name_starts_with="reports/")
    lines = [json.loads(line) for line in records.download_blob(name).readall().splitlines()]
    assert [line["study_instance_uid"] for line in lines] == [due.study]
    assert "2020-01-02" in lines[0]["why"]
    for instance in (due, recent, undated):
        assert box.get(instance.path).status_code == 200
