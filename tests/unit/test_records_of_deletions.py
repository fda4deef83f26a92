"""What is recorded of a deletion, what a study's metadata must be like for one, and that the documents say both."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from purge_study.executing.contents import Contents, Place, Survey
from purge_study.executing.looking import Seen
from purge_study.executing.reasons import FailedByItself
from purge_study.executing.record import Ending, intent_of, tombstone_of, with_sent_at
from purge_study.executing.vault import Vaulted
from purge_study.executing.warrant import Warrant
from purge_study.ledger.row import Row, StudyKey
from purge_study.planning.plan import Item
from purge_study.policy.model import Policy
from purge_study.records.writing import new_id
from purge_study.rulebook.rulebook import Rulebook
from shared.settings import load
from tests.kit.documents import rows, table_in

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 3, 6, 3, tzinfo=UTC)
KEY = StudyKey("site-a", "1.2")


def tombstone(**settings: str) -> dict[str, Any]:
    """Return one of a study of one instance."""
    contents = Contents((Place("1.2.3", "1.2.3.4"),), "7-1", "", frozenset({"CANARY"}), {})
    item = Item(KEY, "all", {"study_date": date(2015, 1, 1)}, date(2020, 1, 1), 1, NOW, "7-1")
    policy = Policy.model_validate({"policy": {"time_zone": "UTC"}, "rule": [{"name": "all", "keep_years": 5}]})
    warrant = Warrant(Rulebook(policy, {"policy.toml": "ab"}, {}), "a plan", "cd", "somebody")
    given = load(
        {"DICOM_SERVICE_URL": "http://127.0.0.1/v2", "DICOM_STORAGE": "UseDevelopmentStorage=true", **settings}
    )
    vaulted = Vaulted("site-a/1.2/an id/", "ef", 5, {})
    intent = intent_of("an id", item, warrant, given, Seen(NOW, Row(KEY), contents), vaulted, NOW)
    return tombstone_of(with_sent_at(intent, NOW), Ending.DELETED, NOW)


def test_every_field_of_a_tombstone_is_documented() -> None:
    """In the order in which they stand in one; and each ending."""
    text = (ROOT / "docs/retention.md").read_text().partition("### What a tombstone says\n")[2]
    table = table_in(text)
    assert list(table) == list(tombstone())
    assert set(re.findall(r"`(\w+)`(?=[;:])", table["ending"][0])) == {ending.value for ending in Ending}
    assert set(re.findall(r"`(\w+)`", table["vault"][0])) == set(tombstone()["vault"])


def test_every_reason_is_documented() -> None:
    """Of what is halted, failed and dropped: in the operators' table, and in that of the events."""
    code = "".join(file.read_text() for file in (ROOT / "purge_study/executing").glob("*.py"))
    raised = {kind: set(re.findall(rf'{kind}\("(\w+)"\)', code)) for kind in ("Halt", "FailedByItself", "Changed")}
    in_code = re.search(r"def _halt_code.*?\n\n\n", code, re.DOTALL)
    assert in_code
    expected = {
        "retention_halted": raised["Halt"] | set(re.findall(r'"(\w+_\w+)"', in_code[0])),
        "purge_failed": raised["FailedByItself"] | {"service_failed"},
        "purge_dropped": raised["Changed"] | {"already_gone", "intent_open"},
    }
    lines = re.findall(r"^\| `(\w+)` \| `(\w+)` \|", (ROOT / "docs/retention.md").read_text(), re.MULTILINE)
    events = rows("docs/logging.md", "")
    for event, reasons in expected.items():
        assert {reason for name, reason in lines if name == event} - {"out_of_time"} == reasons
        assert reasons <= set(re.findall(r"`(\w+)`", events[event][0]))


def test_a_tombstone_without_a_patient() -> None:
    """What is known of the patient while a study is deleted does not get into its record."""
    assert "CANARY" not in repr(tombstone())


def test_the_vault_is_kept_for_as_long_as_the_setting_says() -> None:
    """From the look at the study on, which comes before the first copy."""
    assert tombstone(VAULT_DAYS="1")["restorable_until"] == "2026-03-07T03:00:00+00:00"


def test_ids_differ() -> None:
    """Also those of the same second, which they tell in UTC."""
    assert new_id(NOW) != new_id(NOW)
    assert new_id(NOW.astimezone(timezone(timedelta(hours=14)))).startswith("20260306T030000Z-")


def instance(
    more: dict[str, Any] | None = None, *, study: str = "1.2", series: str = "1.2.3", sop: str = "1.2.3.4"
) -> dict[str, Any]:
    """Return an instance's metadata."""
    uids = {"0020000D": study, "0020000E": series, "00080018": sop}
    return {tag: {"vr": "UI", "Value": [uid]} for tag, uid in uids.items()} | (more or {})


def surveyed(*instances: dict[str, Any]) -> Contents:
    """Return what a study holds."""
    survey = Survey("1.2", ["AccessionNumber"])
    for one in instances:
        survey.add(one)
    return survey.contents("1-1")


def test_what_a_study_holds() -> None:
    """Each instance by its series, the patient's ids, and what a tombstone is to keep, whatever their order."""
    accession = {"00080050": {"vr": "SH", "Value": ["A 1 "]}, "00100020": {"vr": "LO", "Value": [" P "]}}
    instances = [instance(accession), instance(series="1.2.4"), instance(sop="1.2.3.5")]
    contents = surveyed(*instances)
    assert contents.series == {"1.2.3": ["1.2.3.4", "1.2.3.5"], "1.2.4": ["1.2.3.4"]}
    assert contents.patient_ids == {"P"}
    assert contents.attributes == {"AccessionNumber": ["A 1"]}
    assert surveyed(*reversed(instances)) == contents


def test_a_changed_attribute_changes_the_fingerprint() -> None:
    """Any of any instance: where there is no ETag, it is what a change is seen by."""
    changed = instance({"00204000": {"vr": "LT", "Value": ["other"]}})
    assert surveyed(instance()).fingerprint != surveyed(changed).fingerprint


@pytest.mark.parametrize(
    "instances",
    [
        [],
        [instance(), instance()],
        [instance(study="1.3")],
        [instance(series="")],
        [instance(sop="../1")],
        [{}],
        [instance({"00080018": {"vr": "UI", "Value": ["1.2", "1.3"]}})],
    ],
)
def test_metadata_that_cannot_be_relied_on(instances: list[dict[str, Any]]) -> None:
    """None, twice the same, another study's, or without a name that a file could have."""
    with pytest.raises(FailedByItself, match="metadata_unusable"):
        surveyed(*instances)


@pytest.mark.parametrize("study", ["1.2.A", "1.2-3", "1.2."])
def test_a_study_that_no_list_can_name(study: str) -> None:
    """A study that a legal hold could not name is not deleted."""
    survey = Survey(study, [])
    survey.add(instance(study=study))
    with pytest.raises(FailedByItself, match="metadata_unusable"):
        survey.contents(None)
