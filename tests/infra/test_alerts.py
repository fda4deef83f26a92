"""The alerts ask for what the code writes, at times that fit its schedules."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.functions_host.ncrontab import next_occurrence, parse
from purge_study.planning import decision
from query_api.routes import ROUTES
from shared.events import FIELDS, event
from shared.settings import LONGEST_RUN_SECONDS, Settings
from store_on_upload.probing import probe
from store_on_upload.sweeping import sweep
from store_on_upload.verdict import REASONS, Verdict
from store_on_upload.waiting import deferral
from tests.e2e import test_alerts as test_ingest_alerts
from tests.e2e import test_retention_alerts
from tests.kql.query import TABLES
from tests.kql.values import Row

from .alerts import ALERTS, CRITERIA, FILE, LINES, fires, minutes
from .apps import MAIN, ROOT, app_settings, own_settings
from .bicep import INFRA, Expression, read
from .written import words_of, written

OF_THE_APP = {name: alert["query"] for name, alert in ALERTS.items() if alert["from"] == LINES}
WRITTEN = written()
# Errors without an alert, each with what else tells of it.
NOT_ASKED_FOR = {
    "lookup": "lookups-failing asks the host, to which the app's own line may not come",
    "request": "the same",
    "study_unreadable": "it is read again the next night, and keeps no other",
}
# Where the reasons of an event stand: in its folder, or in the module, where other events have the same.
REASONS_IN = {"sweep": "store_on_upload/sweeping/sweep.py", "probe": "store_on_upload/probing/probe.py"}
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
                [place] = [REASONS_IN[one]] if one in REASONS_IN else WRITTEN[one].folders
                assert set(values) <= words_of(place)
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


def test_each_alert_is_provoked() -> None:
    """On the local stack, where it is seen to fire and to be over; a deployment has no other."""
    assert {alert for alert, _ in (*test_ingest_alerts.CASES, *test_retention_alerts.CASES)} == set(ALERTS)
    assert [one.name for one in FILE.of_kind("resource")] == ["alert"]


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


@pytest.mark.parametrize("name", ALERTS)
def test_of_an_empty_log_two_alerts_tell(name: str) -> None:
    """Whoever waits for a sweep or a probe; for a plan, one has to know first that there was an app for a day."""
    nothing: dict[str, list[Row]] = {table: [] for table in TABLES}
    now = datetime(2026, 3, 2, 12, tzinfo=UTC)
    assert fires(name, nothing, now, strayFilesPerDay=0) is (name in ("no-sweep", "no-probe"))


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
    assert window >= 3 * interval + sweep._BUDGET_SECONDS / 60
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
    lasts = probe.EXPECTED_SECONDS / 60
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
    source = (ROOT / "store_on_upload/setback.py").read_text()
    faults = set(re.findall(r'Setback\("(\w+)", is_outage=True', source))
    reasons = {one for field, values in comparisons(ALERTS["outage"]["query"]) if field == "reason" for one in values}
    # The stop and the storage are not the service; and what may also be a single file's is left to files-waiting.
    assert reasons == faults - {"stopped", "storage_failed", "service_failed"}
    longest = deferral._LONGEST_DELAY_IN_OUTAGE_SECONDS * 1.5 / 60
    recent = re.findall(r"ago\((\d+)m\)", ALERTS["outage"]["query"])
    assert recent == ["30", "30"]  # the half hour that it speaks of
    assert longest < 30
    assert minutes(ALERTS["outage"]["over"]) >= 30 + 4 * longest  # where one is over the edge, three are seen


NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("put_off", "ended", "is_alarm"),
    [
        pytest.param(range(21), (), False, id="twenty minutes, of three quarters of the clock"),
        pytest.param(range(32), (), True, id="half an hour"),
        pytest.param((70, 48, 25, 3), (), True, id="half an hour, of one file"),
        pytest.param(range(5, 65), (4,), False, id="an hour that is over"),
        pytest.param(range(5, 65), (4, 31), False, id="the same, told by two processes"),
        pytest.param((*range(50, 90), *range(21)), (49,), False, id="two that are not long together"),
        pytest.param((*range(50, 90), *range(40)), (49,), True, id="the second one is long"),
        pytest.param((52, 51, 10, 9), (), False, id="two short ones whose ends were not told"),
        pytest.param(range(31, 90), (), False, id="it is silent since, for the app was started anew"),
    ],
)
def test_an_outage_of_half_an_hour(put_off: Iterable[int], ended: Iterable[int], is_alarm: bool) -> None:
    """From the first file that is put off to the latest, as long as none goes through."""
    assert tells_of_outage(put_off, ((ago, {"event": "outage_ends"}) for ago in ended)) is is_alarm


@pytest.mark.parametrize(("verdict", "is_alarm"), [("stored", False), ("ignored", True)])
def test_files_that_go_through_are_no_outage(verdict: str, is_alarm: bool) -> None:
    """Though three instances have put files off for a moment, of whose outages no end was told."""
    decided = {"event": "blob_decided", "verdict": verdict}
    assert tells_of_outage((65, 40, 10), [(5, decided)]) is is_alarm


def tells_of_outage(put_off: Iterable[int], others: Iterable[tuple[int, dict[str, str]]]) -> bool:
    """Say whether the alert fires, where files were put off so many minutes ago, and other lines came then."""
    now = NOON + timedelta(minutes=16)
    waits = {"event": "blob_deferred", "reason": "service_busy"}
    rows: list[Row] = [
        {"TimeGenerated": now - timedelta(minutes=ago, seconds=1), "Message": json.dumps(line)}
        for ago, line in [*((ago, waits) for ago in put_off), *others]
    ]
    return fires("outage", {"AppTraces": rows}, now)


def test_a_study_that_fails_does_so_as_often_as_the_plan_says() -> None:
    """From then on it comes after all others, and is listed as failing."""
    [attempts] = re.findall(r">= (\d+)", ALERTS["study-failing"]["query"])
    assert int(attempts) == decision._OVER_AND_OVER


@pytest.mark.parametrize(
    ("line", "is_alarm"),
    [
        ({"reason": "service_failed", "attempts": 2}, False),
        ({"reason": "service_failed", "attempts": 3}, True),
        # The start of a night resolves what is open, and counts no attempts.
        ({"reason": "intent_open"}, True),
    ],
)
def test_a_study_that_fails_is_told_of(line: dict[str, Any], is_alarm: bool) -> None:
    """One that fails once more may go the next night; one whose deletion stays open does not."""
    now = NOON + timedelta(minutes=1)
    rows: list[Row] = [{"TimeGenerated": NOON, "Message": json.dumps({"event": "purge_failed"} | line)}]
    assert fires("study-failing", {"AppTraces": rows}, now) is is_alarm


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
