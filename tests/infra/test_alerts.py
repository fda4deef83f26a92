"""The alerts: over which lines of the log each one fires, and that it asks for what the code writes."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.functions_host.ncrontab import next_occurrence, parse
from query_api.routes import ROUTES
from shared.events import FIELDS, event
from shared.settings import LONGEST_RUN_SECONDS, Settings
from store_on_upload.probing.probe import EXPECTED_SECONDS
from store_on_upload.setback import Setback
from store_on_upload.verdict import REASONS, Verdict
from store_on_upload.waiting.deferral import delay_seconds
from tests.kql.query import TABLES
from tests.kql.values import Row

from .alerts import ALERTS, CRITERIA, FILE, LINES, fires, minutes, window
from .apps import MAIN, ROOT, app_settings, own_settings
from .bicep import INFRA, Expression, evaluate, read
from .written import words_of, written

NOW = datetime(2026, 3, 2, 12, 16, tzinfo=UTC)
FILES_PER_DAY = 5  # an installation's own limit
HOUR = 60
Rows = list[tuple[str, Row]]


def _row(table: str, ago: float, **columns: Any) -> tuple[str, Row]:
    return table, {"TimeGenerated": NOW - timedelta(minutes=ago, seconds=1), **columns}


def said(name: str, *ago: float, **fields: Any) -> Rows:
    """Return the app's lines with one event, so many minutes ago."""
    return [_row("AppTraces", minute, Message=json.dumps({"event": name, **fields})) for minute in ago or (1,)]


def called(times: int, status: int, name: str = "search_studies") -> Rows:
    """Return requests as the host counts them."""
    return [_row("AppRequests", 1, Name=name, ResultCode=str(status))] * times


def asked_if_ready(times: int, *, success: bool, app: str = "ready-ingest") -> Rows:
    """Return what the platform's question for readiness came to, every quarter of an hour."""
    return [_row("AppAvailabilityResults", 15 * number, Name=app, Success=success) for number in range(times)]


def waits(*ago: float, reason: str = "service_busy") -> Rows:
    return said("blob_deferred", *ago, reason=reason)


def decided(verdict: str, *ago: float) -> Rows:
    return said("blob_decided", *ago, verdict=verdict)


def night(*ago: float, **fields: Any) -> Rows:
    return said("retention_night", *ago, **fields)


def refused(reason: str, *ago: float) -> Rows:
    return said("retention_refused", *ago, reason=reason)


def stopped(*ago: float) -> Rows:
    return said("sweep", *ago, reason="stopped")


def failing_sweeps(number: int) -> Rows:
    return said("sweep_failed", *(1 + 5 * one for one in range(number)))


# What is in a log while all is well, for two days.
USUAL = [
    *said("sweep", *range(0, 3 * HOUR, 5), *range(3 * HOUR, 48 * HOUR, HOUR), oldest_pending_seconds=0, queued=0),
    *said("set_aside", 5, messages=0, dead_letters=0),
    *said("probe", *range(0, 3 * HOUR, 10), complete=True),
    *decided("stored", *range(2, 48 * HOUR, HOUR)),
    *night(9 * HOUR, 33 * HOUR, plan="a plan", deleted=1, awaiting_approval=0),
    *said("study_purged", 9 * HOUR),
    *called(20, 200),
    *asked_if_ready(4, success=True),
    _row("AppTraces", 1, Message="Executing 'Functions.sweep_inbox'"),
]

# (alert, rows of the log, whether it fires)
CASES: dict[str, tuple[str, Rows, bool]] = {
    "five spans of five minutes with failures": ("ingest-failing", failing_sweeps(5), True),
    "failures of files count as those of sweeps": (
        "ingest-failing",
        failing_sweeps(4) + said("ingest_failed", 21),
        True,
    ),
    "four spans with failures": ("ingest-failing", failing_sweeps(4), False),
    "one message's five attempts": ("ingest-failing", said("ingest_failed", 1, 1, 2, 2, 3), False),
    "no sweep at all": ("no-sweep", [], True),
    "the latest sweep is half an hour old": ("no-sweep", said("sweep", 31), True),
    "a sweep within half an hour": ("no-sweep", said("sweep", 29), False),
    "probes that cannot be dropped, twice": ("probe-failed", said("probe_failed", 1, 11), True),
    "probes that do not arrive, twice": ("probe-failed", said("probe", 1, 11, complete=False), True),
    "one probe that failed": ("probe-failed", said("probe_failed", 1), False),
    "a probe that failed before one that arrived": (
        "probe-failed",
        said("probe_failed", 11, 21) + said("probe", 1, complete=True),
        False,
    ),
    "a stop keeps probes out": ("probe-failed", said("probe", 1, 11, complete=False, reason="stopped"), False),
    "no probe at all": ("no-probe", [], True),
    "the latest probe is three quarters of an hour old": ("no-probe", said("probe", 46, complete=True), True),
    "a probe that failed is one": ("no-probe", said("probe_failed", 44), False),
    "twenty minutes, of three quarters of the clock": ("outage", waits(*range(21)), False),
    "half an hour": ("outage", waits(*range(32)), True),
    "half an hour, of one file": ("outage", waits(70, 48, 25, 3), True),
    "half an hour without access": ("outage", waits(*range(32), reason="access_denied"), True),
    "half an hour of files of which each fails alone": ("outage", waits(*range(32), reason="service_failed"), False),
    "an hour that is over": ("outage", waits(*range(5, 65)) + said("outage_ends", 4), False),
    "an hour that is over, told by two processes": (
        "outage",
        waits(*range(5, 65)) + said("outage_ends", 4, 31),
        False,
    ),
    "two outages that are not long together": (
        "outage",
        waits(*range(50, 90), *range(21)) + said("outage_ends", 49),
        False,
    ),
    "two outages, the second one long": ("outage", waits(*range(50, 90), *range(40)) + said("outage_ends", 49), True),
    "two short outages whose ends were not told": ("outage", waits(52, 51, 10, 9), False),
    "silent since, for the app was started anew": ("outage", waits(*range(31, 90)), False),
    "files are stored meanwhile": ("outage", waits(65, 40, 10) + decided("stored", 5), False),
    "files are ignored meanwhile": ("outage", waits(65, 40, 10) + decided("ignored", 5), True),
    "a file has waited for more than an hour": ("files-waiting", said("sweep", oldest_pending_seconds=3601), True),
    "a file has waited for an hour": ("files-waiting", said("sweep", oldest_pending_seconds=3600), False),
    "twelve stopped sweeps": ("ingest-stopped", stopped(*range(0, 60, 5)), True),
    "eleven stopped sweeps": ("ingest-stopped", stopped(*range(0, 55, 5)) + said("sweep", 56, 61), False),
    "what was set aside cannot be dealt with": ("message-set-aside", said("poison_failed"), True),
    "a message that cannot be read": ("message-set-aside", said("arrival_parked"), True),
    "a message of another app": ("message-set-aside", said("foreign_poison_moved"), True),
    "queues that cannot be counted": ("message-set-aside", said("set_aside_unknown"), True),
    "a file that ends the app": ("message-set-aside", waits(1, reason="poisoned"), True),
    "a file that waits for another reason": ("message-set-aside", waits(1, reason="service_failed"), False),
    "a message still lies there": ("message-set-aside", said("set_aside", messages=1, dead_letters=0), True),
    "a dead letter is no message": ("message-set-aside", said("set_aside", messages=0, dead_letters=1), False),
    "an event that could not be delivered": ("events-dead-lettered", said("set_aside", dead_letters=1), True),
    "messages are no dead letters": ("events-dead-lettered", said("set_aside", messages=1, dead_letters=0), False),
    "a file that is given up": ("file-given-up", decided("gave_up"), True),
    "the service reads other UIDs": ("file-given-up", said("other_uids"), True),
    "a rejected file is not given up": ("file-given-up", decided("rejected"), False),
    "one file in conflict or rejected more than usual": (
        "files-refused",
        decided("conflict", 1, 2, 3) + decided("rejected", 4, 5, 23 * HOUR),
        True,
    ),
    "as many files rejected as usual": (
        "files-refused",
        decided("rejected", 1, 2, 3, 4, 5) + decided("ignored"),
        False,
    ),
    "one file ignored more than usual": ("files-ignored", decided("ignored", 1, 2, 3, 4, 5, 23 * HOUR), True),
    "as many files ignored as usual": ("files-ignored", decided("ignored", 1, 2, 3, 4, 5) + decided("rejected"), False),
    "an app is not ready for three quarters of an hour": ("not-ready", asked_if_ready(3, success=False), True),
    "an app is not ready twice": ("not-ready", asked_if_ready(2, success=False), False),
    "two apps are not ready twice": (
        "not-ready",
        asked_if_ready(2, success=False) + asked_if_ready(2, success=False, app="ready-lookups"),
        False,
    ),
    "more than a tenth of the requests fail": ("lookups-failing", called(6, 503) + called(53, 200), True),
    "a tenth of the requests fails": ("lookups-failing", called(6, 503) + called(54, 200), False),
    "five requests fail": ("lookups-failing", called(5, 503), False),
    "requests that are refused": ("lookups-failing", called(60, 404), False),
    "requests about health fail": (
        "lookups-failing",
        called(60, 503, "health_ready") + called(60, 503, "GET api/health/ready"),
        False,
    ),
    "who saw what cannot be recorded": ("access-not-recorded", said("access_not_recorded"), True),
    "no plan since the night before last": ("no-plan", night(31 * HOUR, plan="a plan") + said("sweep", 1), True),
    "nights without a plan": ("no-plan", night(31 * HOUR, plan="a plan") + night(7 * HOUR, reason="stopped"), True),
    "a plan in the latest night": ("no-plan", night(29 * HOUR, plan="a plan") + said("sweep", 40 * HOUR), False),
    "no policy, so no plan": ("no-plan", night(29 * HOUR, reason="no_policy") + said("sweep", 40 * HOUR), False),
    "an app of yesterday": ("no-plan", said("sweep", 29 * HOUR), False),
    "a plan waits for approval": ("plan-to-approve", night(awaiting_approval=1), True),
    "nothing waits for approval": ("plan-to-approve", night(awaiting_approval=0), False),
    "more due than the share": ("brake-tripped", refused("over_max_share"), True),
    "far more due than usual": ("brake-tripped", refused("over_max_times_usual"), True),
    "a fault of the policy is no brake": ("brake-tripped", refused("policy_invalid"), False),
    "a policy that cannot be read": ("retention-refused", refused("policy_invalid"), True),
    "an approval that cannot be read": ("retention-refused", said("approval_ignored", reason="invalid"), True),
    **{
        f"refused because of {reason}": ("retention-refused", refused(reason), False)
        for reason in ("over_max_share", "over_max_times_usual", "no_policy", "ledger_unfinished", "stopped")
    },
    "two stopped nights": ("retention-stopped", refused("stopped", 1, 24 * HOUR), True),
    "one stopped night": ("retention-stopped", refused("stopped", 1) + refused("policy_invalid", 24 * HOUR), False),
    "a night that failed": ("retention-halted", said("retention_failed"), True),
    "a night that is halted": ("retention-halted", said("retention_halted", reason="storage_failed"), True),
    **{
        f"halted because of {reason}": ("retention-halted", said("retention_halted", reason=reason), False)
        for reason in ("rules_changed", "plan_withdrawn", "out_of_time")
    },
    "a study failed in three nights": (
        "study-failing",
        said("purge_failed", reason="service_failed", attempts=3),
        True,
    ),
    "a study failed in two nights": ("study-failing", said("purge_failed", reason="service_failed", attempts=2), False),
    "a deletion that stays open": ("study-failing", said("purge_failed", reason="intent_open"), True),
    "an instance that comes too late": ("instance-purged-late", said("purged_late_instance"), True),
    "a patient who returns too late": ("purged-too-soon", said("purged_too_soon"), True),
    "an instance is no patient": ("purged-too-soon", said("purged_late_instance"), False),
    "a patient is no instance": ("instance-purged-late", said("purged_too_soon"), False),
}


def tables(rows: Rows) -> dict[str, list[Row]]:
    return {table: [row for of, row in rows if of == table] for table in TABLES}


def is_fired(alert: str, rows: Rows) -> bool:
    return fires(alert, tables(rows), NOW, strayFilesPerDay=FILES_PER_DAY)


@pytest.mark.parametrize(
    ("alert", "rows", "expected"), CASES.values(), ids=[f"{of}: {k}" for k, (of, *_) in CASES.items()]
)
def test_an_alert_fires_over_these_lines(alert: str, rows: Rows, expected: bool) -> None:
    """And is over one window later, if all has been well since."""
    assert is_fired(alert, rows) is expected
    by = window(alert) + timedelta(minutes=1)
    shifted = [(table, {**row, "TimeGenerated": row["TimeGenerated"] - by}) for table, row in rows]
    assert not is_fired(alert, shifted + USUAL)


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_has_cases_and_is_silent_while_all_is_well(alert: str) -> None:
    """Of an empty log two tell: who waits for a sweep or a probe."""
    assert {expected for of, _, expected in CASES.values() if of == alert} >= {True}
    assert not is_fired(alert, USUAL)
    assert is_fired(alert, []) is (alert in ("no-sweep", "no-probe"))


OF_THE_APP = {name: alert["query"] for name, alert in ALERTS.items() if alert["from"] == LINES}
WRITTEN = written()
# Errors without an alert, each with what else tells of it.
NOT_ASKED_FOR = {
    "lookup": "lookups-failing asks the host, to which the app's own line may not come",
    "request": "the same",
    "study_unreadable": "it is read again the next night, and keeps no other",
}
SWEEP_MINUTES = 4  # which a sweep takes at most
# What Azure Monitor takes.
MINUTES = (5, 10, 15, 30, 45, 60, 120, 180, 240, 300, 360, 1440)
LONGEST_WINDOW_MINUTES = 2880
# What several nights have in common.
OF_NIGHTS = {"no-plan", "retention-stopped"}

in_each_query = pytest.mark.parametrize("name", OF_THE_APP)


def comparisons(query: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each of the line's fields that a query asks for, in its order, with what it is compared to."""
    for found in re.finditer(r'\b(event|reason|line\.\w+)\)?(?: !?in \(([^()]*)\)| [!=]= ("\w+"))?', query):
        yield found[1].removeprefix("line."), re.findall(r'"(\w+)"', found[2] or found[3] or "")


def asked(query: str) -> set[str]:
    """Return the events that a query asks for."""
    return {name for field, values in comparisons(query) if field == "event" for name in values}


@in_each_query
def test_the_events_and_fields_are_those_of_the_code(name: str) -> None:
    """Each event is one that the code writes, and each field one that it has."""
    events: list[str] = []
    for field, values in comparisons(OF_THE_APP[name]):
        if field == "event":
            events = values
            assert set(events) <= set(WRITTEN)
        else:
            assert field in FIELDS
            assert all(field in WRITTEN[one].fields for one in events), field
            reports = [WRITTEN[one].always for one in events]
            assert all(field in always for always in reports if always is not None), field
    assert events


@in_each_query
def test_the_values_are_those_of_the_code(name: str) -> None:
    """Verdicts and reasons; of a reason that is left out, too, for it would be left out no more."""
    events: list[str] = []
    quoted = 0
    for field, values in comparisons(OF_THE_APP[name]):
        quoted += len(values)
        if field == "event":
            events = values
        elif field == "verdict":
            assert set(values) <= set(Verdict)
        elif field == "reason" and events == ["blob_deferred"]:
            assert set(values) <= set(REASONS)
        elif values:
            assert field == "reason"
            for one in events:
                [folder] = WRITTEN[one].folders
                assert set(values) <= words_of(folder)
    assert quoted == OF_THE_APP[name].count('"') / 2, "something else is quoted than events, verdicts and reasons"


def test_every_error_has_an_alert() -> None:
    """Each event that the code writes as an error is asked for, or it is listed why not."""
    errors = {name for name, one in WRITTEN.items() if one.is_error}
    somewhere = {event for query in OF_THE_APP.values() for event in asked(query)}
    assert errors - somewhere == set(NOT_ASKED_FOR)


def test_a_line_is_what_the_queries_take_for_one(caplog: pytest.LogCaptureFixture) -> None:
    """It begins as they say, has its event's name where they look, and the workspace leaves it as it is."""
    caplog.set_level(logging.INFO, "dicom_dropbox")
    event("sweep", reason="stopped")
    [message] = caplog.messages
    assert 'where Message startswith "{"' in LINES
    assert re.findall(r"(\w+) = tostring\(line\.\1\)", LINES) == list(json.loads(message))
    transformations = read(INFRA / "modules/blanking.bicep").variable("transformations")
    [blanking] = [item["kql"].text for item in transformations if item["table"] == "AppTraces"]
    starts = re.findall(r'Message startswith "([^"]+)"', blanking)
    assert starts
    assert not any(start.startswith("{") for start in starts)
    [within] = re.findall(r'Message contains "([^"]+)"', blanking)
    assert " " in within  # no word of ours


def test_no_line_is_left_out() -> None:
    """The host may drop lines where there are many; one that comes once must not be among them."""
    logging_settings = json.loads((ROOT / "host.json").read_text())["logging"]
    sampling = logging_settings["applicationInsights"]["samplingSettings"]
    assert {"Trace", "Request"} <= set(sampling["excludedTypes"].split(";"))
    # Ours are written at information.
    levels = logging_settings["logLevel"].items()
    ours = {level for name, level in levels if name == "default" or name.endswith(".User")}
    assert ours == {"Information"}


def test_an_alert_compares_a_count() -> None:
    """As `fires` takes it: of rows, in the window, once; so that it is over once the count is no longer above."""
    [criterion] = CRITERIA
    assert criterion["metricMeasureColumn"] == "Count"
    assert (criterion["timeAggregation"], criterion["operator"]) == ("Total", "GreaterThan")
    assert set(criterion["failingPeriods"].values()) == {1}
    assert criterion["threshold"] == Expression("item.above")
    assert criterion["query"].text.endswith("| count'")
    properties = FILE.constant(FILE.object(FILE.declarations["alert"]))["properties"]
    assert properties["windowSize"] == Expression("item.over")
    assert properties["autoMitigate"] is True


def test_whoever_is_on_call_is_told() -> None:
    """By every alert."""
    rule = FILE.constant(FILE.object(FILE.declarations["alert"]))["properties"]
    assert rule["enabled"] == Expression("isProbed || !contains(aboutProbes, item.name)")
    assert rule["scopes"] == [Expression("workspaceId")]
    assert rule["actions"] == {"actionGroups": [Expression("actionGroupId")]}


def test_where_nothing_is_probed_nobody_is_told_of_probes() -> None:
    """Of all else they are; and by default there are probes."""
    about_probes = {name for name, query in OF_THE_APP.items() if asked(query) & {"probe", "probe_failed"}}
    assert set(FILE.variable("aboutProbes")) == about_probes
    [given] = re.findall(r"^    isProbed: (.+)$", MAIN.text, re.MULTILINE)
    assert given == "!empty(settings.ingest.PROBE_SCHEDULE)"
    assert app_settings("ingest")["PROBE_SCHEDULE"]


@pytest.mark.parametrize(
    ("runbooks_url", "page"),
    [
        (
            "",
            "read the runbook docs/runbooks/{name}.md in the repository of the project dicom-dropbox, from which this "
            "app was deployed.",
        ),
        ("https://example.org/docs/runbooks", "https://example.org/docs/runbooks/{name}.md"),
        ("https://example.org/docs/runbooks/", "https://example.org/docs/runbooks/{name}.md"),
    ],
    ids=["none", "without slash", "with slash"],
)
def test_an_alert_names_its_page(runbooks_url: str, page: str) -> None:
    """The description, which the mail has, ends with the page's address, or says in which repository the file is."""
    parameters = {"runbooksUrl": runbooks_url}
    folder = evaluate(FILE.variable("runbooks"), parameters)
    description = FILE.constant(FILE.object(FILE.declarations["alert"]))["properties"]["description"]
    for name, alert in ALERTS.items():
        said = evaluate(description, {**parameters, "runbooks": folder, "item": alert})
        assert said == f"{alert['says']} What to do: {page.format(name=name)}"


def test_azure_takes_the_times() -> None:
    """Windows and intervals are among those that there are, and nothing falls between two looks."""
    for alert in ALERTS.values():
        every, over = minutes(alert["every"]), minutes(alert["over"])
        assert every in MINUTES
        assert over in (*MINUTES, LONGEST_WINDOW_MINUTES)
        assert over >= 2 * every


def test_who_is_woken_up_is_told_soon() -> None:
    """Severities are those that the file explains, and the first one is looked for most often."""
    for alert in ALERTS.values():
        assert alert["severity"] in (1, 2, 3)
        assert minutes(alert["every"]) <= {1: 15, 2: 60, 3: 60}[alert["severity"]]


def test_what_a_day_may_have_is_a_parameter() -> None:
    """For those alerts that count files."""
    counting = {name for name, alert in ALERTS.items() if isinstance(alert["above"], Expression)}
    assert counting == {"files-refused", "files-ignored"}
    assert MAIN.constant(MAIN.declarations["strayFilesPerDay"].value) > 0


def in_force(app: str, field: str) -> Any:
    """Return a setting as an app has it: an installation's own, that of infra/, or the default."""
    given = own_settings()[app].get(field.upper(), app_settings(app).get(field.upper()))
    default = Settings.model_fields[field].default
    if given is None or default is None:
        return default if given is None else given
    return type(default)(given)


def longest_interval(schedule: str) -> timedelta:
    """Return the longest time between two runs of a schedule, over a month."""
    parsed = parse(schedule)
    first = moment = datetime(2026, 1, 1, tzinfo=UTC)
    longest = timedelta()
    while moment < first + timedelta(days=31):
        following = next_occurrence(parsed, moment)
        assert following is not None
        longest, moment = max(longest, following - moment), following
    return longest


def test_the_alerts_about_sweeps_fit_their_schedule() -> None:
    """One that is missing is no alarm, three are; an hour of stopped ones is; so is half an hour of failed ones."""
    interval = longest_interval(in_force("ingest", "sweep_schedule")).total_seconds() / 60
    window = minutes(ALERTS["no-sweep"]["over"])
    assert window >= 3 * interval + SWEEP_MINUTES
    assert (ALERTS["ingest-stopped"]["above"] + 1) * interval == 60
    assert minutes(ALERTS["ingest-stopped"]["over"]) > 60
    [span] = re.findall(r"bin\(TimeGenerated, (\d+)m\)", ALERTS["ingest-failing"]["query"])
    assert int(span) == interval
    spans = minutes(ALERTS["ingest-failing"]["over"]) / int(span)
    assert spans / 2 < ALERTS["ingest-failing"]["above"] + 1 < spans
    assert minutes(ALERTS["files-waiting"]["over"]) >= 2 * interval


def test_the_alerts_about_probes_fit_their_schedule() -> None:
    """One that is missing is no alarm, three are; of the two that failed, the second is within the window."""
    # Those of an installation without probes are off, and fit the schedule of infra/.
    schedule = in_force("ingest", "probe_schedule") or app_settings("ingest")["PROBE_SCHEDULE"]
    interval = longest_interval(schedule).total_seconds() / 60
    lasts = EXPECTED_SECONDS / 60
    assert lasts < interval
    assert minutes(ALERTS["no-probe"]["over"]) >= 3 * interval + lasts
    assert minutes(ALERTS["probe-failed"]["over"]) >= 2 * interval + lasts
    [latest] = re.findall(r"top (\d+) by TimeGenerated", ALERTS["probe-failed"]["query"])
    assert int(latest) == ALERTS["probe-failed"]["above"] + 1


def test_a_file_may_wait_for_longer_than_the_sweep() -> None:
    """The sweep itself comes to a missed file that late: the alert asks for several times that."""
    [limit] = re.findall(r"> (\d+)", ALERTS["files-waiting"]["query"])
    assert int(limit) >= 4 * in_force("ingest", "sweep_min_age_seconds")


def test_the_alert_about_plans_fits_the_nights() -> None:
    """A night may take all of its time, and the next one may do so no less; the second one that is missing is seen."""
    nightly = longest_interval(in_force("retention", "purge_schedule"))
    budget = timedelta(seconds=in_force("retention", "purge_budget_seconds") + LONGEST_RUN_SECONDS)
    [hours] = re.findall(r"ago\((\d+)h\)", ALERTS["no-plan"]["query"])
    assert nightly + budget < timedelta(hours=int(hours)) < 2 * nightly
    assert timedelta(hours=int(hours)) < timedelta(minutes=minutes(ALERTS["no-plan"]["over"]))


def test_the_alerts_about_a_night_are_over_before_the_next() -> None:
    """So that the next one can raise them anew; but for those about nights, which two of them have to raise."""
    nightly = longest_interval(in_force("retention", "purge_schedule"))
    of_a_night = {
        name
        for name, query in OF_THE_APP.items()
        if name not in OF_NIGHTS and any(WRITTEN[one].folders == {"purge_study"} for one in asked(query))
    }
    assert of_a_night
    for name in of_a_night:
        assert timedelta(minutes=minutes(ALERTS[name]["over"])) < nightly / 2, name
    assert timedelta(minutes=minutes(ALERTS["retention-stopped"]["over"])) >= 2 * nightly


def test_an_outage_is_what_the_code_takes_for_one() -> None:
    """All that puts files off and is the service's fault beyond doubt; a file that waits is seen twice at least."""
    sources = "".join(path.read_text() for path in (ROOT / "store_on_upload").rglob("*.py"))
    faults = set(re.findall(r'Setback\("(\w+)", is_outage=True', sources))
    reasons = {one for field, values in comparisons(ALERTS["outage"]["query"]) if field == "reason" for one in values}
    # The stop and the storage are not the service; and what may also be a single file's is left to files-waiting.
    assert reasons == faults - {"stopped", "storage_failed", "service_failed"}
    longest = delay_seconds(99, Setback("service_busy", is_outage=True), jitter=lambda: 1.0) / 60
    recent = re.findall(r"ago\((\d+)m\)", ALERTS["outage"]["query"])
    assert recent == ["30", "30"]  # the half hour that it speaks of
    assert longest < 30
    assert minutes(ALERTS["outage"]["over"]) >= 30 + 4 * longest  # where one is over the edge, three are seen


def test_readiness_is_asked_for_as_often_as_its_alert_thinks() -> None:
    """At the route that is there, in every app."""
    file = read(INFRA / "modules/readiness.bicep")
    body = file.constant(file.object(file.declarations["question"]))["properties"]
    an_hour = minutes(ALERTS["not-ready"]["over"]) * 60 / body["Frequency"]
    [failures] = re.findall(r"failures > (\d+)", ALERTS["not-ready"]["query"])
    assert an_hour / 2 <= int(failures) < an_hour
    route = body["Request"]["RequestUrl"].text.partition("}/api/")[2].rstrip("'")
    blueprint = (ROOT / "shared/health/blueprint.py").read_text()
    assert re.search(rf'route\("{route}", methods=\["GET", "HEAD"\][^@]*async def health_ready\(', blueprint)
    assert body["Enabled"] is True
    assert body["Request"]["HttpVerb"] == "HEAD"


def test_requests_about_health_count_for_no_lookups() -> None:
    """They are left out by how their functions and their routes are called, and no lookup is called so."""
    [word] = re.findall(r'Name !contains "(\w+)"', ALERTS["lookups-failing"]["query"])
    blueprint = (ROOT / "shared/health/blueprint.py").read_text()
    called = re.findall(r"async def (\w+)\(", blueprint) + re.findall(r'route\("([^"]+)"', blueprint)
    assert called
    assert all(word in name for name in called)
    assert not any(word in name for route in ROUTES for name in (route.name, route.path))
