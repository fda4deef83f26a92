"""The alerts: over which lines of the log each one fires, and that it asks for what the code writes."""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise
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

from .alerts import ALERTS, FILE, LINES, RULE, asked, compares_dynamic, comparisons, fires, minutes, window
from .apps import MAIN, OWN_SETTINGS, ROOT, app_settings
from .bicep import INFRA, Expression, evaluate, read
from .kql import TABLES, Row
from .written import words_of, written

NOW = datetime(2026, 3, 2, 12, 16, tzinfo=UTC)
FILES_PER_DAY = 5  # an installation's own limit
HOUR, DAY = 60, 24 * 60
Rows = list[tuple[str, Row]]


def row(table: str, ago: float, **columns: Any) -> tuple[str, Row]:
    return table, {"TimeGenerated": NOW - timedelta(minutes=ago, seconds=1), **columns}


def said(name: str, *ago: float, **fields: Any) -> Rows:
    """Return the app's lines with one event, so many minutes ago."""
    return [row("AppTraces", minute, Message=json.dumps({"event": name, **fields})) for minute in ago or (1,)]


def called(times: int, status: int, name: str = "search_studies") -> Rows:
    """Return requests as the host counts them."""
    return [row("AppRequests", 1, Name=name, ResultCode=str(status))] * times


def asked_if_ready(times: int, success: bool, app: str = "ready-ingest") -> Rows:
    """Return what the platform's question for readiness came to, every quarter of an hour."""
    return [row("AppAvailabilityResults", 15 * number, Name=app, Success=success) for number in range(times)]


def waits(*ago: float, reason: str = "service_busy") -> Rows:
    return said("blob_deferred", *ago, reason=reason)


def decided(verdict: str, *ago: float) -> Rows:
    return said("blob_decided", *ago, verdict=verdict)


def night(*ago: float, **fields: Any) -> Rows:
    return said("retention_night", *ago, **fields)


def refused(reason: str, *ago: float) -> Rows:
    return said("retention_refused", *ago, reason=reason)


def halted(reason: str) -> Rows:
    return said("retention_halted", reason=reason)


def swept(*ago: float, **fields: Any) -> Rows:
    return said("sweep", *ago, **fields)


def probed(*ago: float, complete: bool, **fields: Any) -> Rows:
    return said("probe", *ago, complete=complete, **fields)


def aside(messages: int, dead_letters: int) -> Rows:
    return said("set_aside", messages=messages, dead_letters=dead_letters)


def failing(reason: str, attempts: int = 2) -> Rows:
    return said("purge_failed", reason=reason, attempts=attempts)


OUTAGE_ENDS = "outage_ends"
# What is in a log while all is well, for two days.
USUAL = [
    *swept(*range(0, 3 * HOUR, 5), *range(3 * HOUR, 2 * DAY, HOUR), oldest_pending_seconds=0, queued=0),
    *aside(0, 0),
    *probed(*range(0, 3 * HOUR, 10), complete=True),
    *decided("stored", *range(2, 2 * DAY, HOUR)),
    *night(9 * HOUR, 33 * HOUR, plan="a plan", deleted=1, awaiting_approval=0),
    *said("study_purged", 9 * HOUR),
    *called(20, 200),
    *asked_if_ready(4, True),
    row("AppTraces", 1, Message="Executing 'Functions.sweep_inbox'"),
]
PLAN = {"plan": "a plan"}
FIRES: list[tuple[str, str, Rows]] = [
    ("ingest-failing", "five spans of five minutes", said("sweep_failed", 1, 6, 11, 16, 21)),
    ("ingest-failing", "sweeps and files", said("sweep_failed", 1, 6, 11, 16) + said("ingest_failed", 21)),
    ("no-sweep", "none at all", []),
    ("no-sweep", "the latest is half an hour old", swept(31)),
    ("probe-failed", "two cannot be dropped", said("probe_failed", 1, 11)),
    ("probe-failed", "two do not arrive", probed(1, 11, complete=False)),
    ("no-probe", "none at all", []),
    ("no-probe", "the latest is three quarters of an hour old", probed(46, complete=True)),
    ("outage", "half an hour", waits(*range(32))),
    ("outage", "half an hour, of one file", waits(70, 48, 25, 3)),
    ("outage", "half an hour without access", waits(*range(32), reason="access_denied")),
    ("outage", "the second of two is long", waits(*range(50, 90), *range(40)) + said(OUTAGE_ENDS, 49)),
    ("outage", "files are ignored meanwhile", waits(65, 40, 10) + decided("ignored", 5)),
    ("files-waiting", "more than an hour", swept(oldest_pending_seconds=3601)),
    ("ingest-stopped", "twelve sweeps", swept(*range(0, 60, 5), reason="stopped")),
    ("message-set-aside", "it cannot be dealt with", said("poison_failed")),
    ("message-set-aside", "it cannot be read", said("arrival_parked")),
    ("message-set-aside", "it is another app's", said("foreign_poison_moved")),
    ("message-set-aside", "queues cannot be counted", said("set_aside_unknown")),
    ("message-set-aside", "a file ends the app", waits(1, reason="poisoned")),
    ("message-set-aside", "one still lies there", aside(1, 0)),
    ("events-dead-lettered", "an event could not be delivered", aside(0, 1)),
    ("file-given-up", "a file is given up", decided("gave_up")),
    ("file-given-up", "the service reads other UIDs", said("other_uids")),
    ("files-refused", "one more than usual", decided("conflict", 1, 2, 3) + decided("rejected", 4, 5, 23 * HOUR)),
    ("files-ignored", "one more than usual", decided("ignored", 1, 2, 3, 4, 5, 23 * HOUR)),
    ("not-ready", "an app, for three quarters of an hour", asked_if_ready(3, False)),
    ("lookups-failing", "more than a tenth", called(6, 503) + called(53, 200)),
    ("access-not-recorded", "once", said("access_not_recorded")),
    ("no-plan", "none since the night before last", night(31 * HOUR, **PLAN) + swept(1)),
    ("no-plan", "nights without one", night(31 * HOUR, **PLAN) + night(7 * HOUR, reason="stopped")),
    ("plan-to-approve", "a study waits", night(awaiting_approval=1)),
    ("brake-tripped", "more due than the share", refused("over_max_share")),
    ("brake-tripped", "far more due than usual", refused("over_max_times_usual")),
    ("retention-refused", "a policy cannot be read", refused("policy_invalid")),
    ("retention-refused", "an approval cannot be read", said("approval_ignored", reason="invalid")),
    ("retention-stopped", "two nights", refused("stopped", 1, DAY)),
    ("retention-halted", "a night failed", said("retention_failed")),
    ("retention-halted", "a night is halted", halted("storage_failed")),
    ("study-failing", "in three nights", failing("service_failed", 3)),
    ("study-failing", "a deletion stays open", failing("intent_open")),
    ("instance-purged-late", "an instance comes too late", said("purged_late_instance")),
    ("purged-too-soon", "a patient returns too late", said("purged_too_soon")),
]
SILENT: list[tuple[str, str, Rows]] = [
    ("ingest-failing", "four spans", said("sweep_failed", 1, 6, 11, 16)),
    ("ingest-failing", "one message's five attempts", said("ingest_failed", 1, 1, 2, 2, 3)),
    ("no-sweep", "one within half an hour", swept(29)),
    ("probe-failed", "one", said("probe_failed", 1)),
    ("probe-failed", "one arrived since", said("probe_failed", 11, 21) + probed(1, complete=True)),
    ("probe-failed", "a stop keeps them out", probed(1, 11, complete=False, reason="stopped")),
    ("no-probe", "one failed", said("probe_failed", 44)),
    ("outage", "twenty minutes, of three quarters of the clock", waits(*range(21))),
    ("outage", "each file fails alone", waits(*range(32), reason="service_failed")),
    ("outage", "it is over", waits(*range(5, 65)) + said(OUTAGE_ENDS, 4)),
    ("outage", "it is over, told by two processes", waits(*range(5, 65)) + said(OUTAGE_ENDS, 4, 31)),
    ("outage", "two, not long together", waits(*range(50, 90), *range(21)) + said(OUTAGE_ENDS, 49)),
    ("outage", "two short ones whose ends were not told", waits(52, 51, 10, 9)),
    ("outage", "silent since, for the app was started anew", waits(*range(31, 90))),
    ("outage", "files are stored meanwhile", waits(65, 40, 10) + decided("stored", 5)),
    ("files-waiting", "an hour", swept(oldest_pending_seconds=3600)),
    ("ingest-stopped", "eleven sweeps", swept(*range(0, 55, 5), reason="stopped") + swept(56, 61)),
    ("message-set-aside", "a file waits for another reason", waits(1, reason="service_failed")),
    ("message-set-aside", "a dead letter is no message", aside(0, 1)),
    ("events-dead-lettered", "a message is no dead letter", aside(1, 0)),
    ("file-given-up", "a file is rejected", decided("rejected")),
    ("files-refused", "as many as usual", decided("rejected", 1, 2, 3, 4, 5) + decided("ignored")),
    ("files-ignored", "as many as usual", decided("ignored", 1, 2, 3, 4, 5) + decided("rejected")),
    ("not-ready", "two apps, twice each", asked_if_ready(2, False) + asked_if_ready(2, False, app="ready-lookups")),
    ("lookups-failing", "a tenth", called(6, 503) + called(54, 200)),
    ("lookups-failing", "five requests", called(5, 503)),
    ("lookups-failing", "requests are refused", called(60, 404)),
    ("lookups-failing", "health, by its function", called(60, 503, "health_ready")),
    ("lookups-failing", "health, by its route", called(60, 503, "GET api/health/ready")),
    ("no-plan", "one in the latest night", night(29 * HOUR, **PLAN) + swept(40 * HOUR)),
    ("no-plan", "there is no policy", night(29 * HOUR, reason="no_policy") + swept(40 * HOUR)),
    ("no-plan", "an app of yesterday", swept(29 * HOUR)),
    ("plan-to-approve", "nothing waits", night(awaiting_approval=0)),
    ("brake-tripped", "a fault of the policy", refused("policy_invalid")),
    *(
        ("retention-refused", reason, refused(reason))
        for reason in ("over_max_share", "over_max_times_usual", "no_policy", "ledger_unfinished", "stopped")
    ),
    ("retention-stopped", "one night", refused("stopped", 1) + refused("policy_invalid", DAY)),
    *(("retention-halted", reason, halted(reason)) for reason in ("rules_changed", "plan_withdrawn", "out_of_time")),
    ("study-failing", "in two nights", failing("service_failed")),
    ("purged-too-soon", "an instance", said("purged_late_instance")),
    ("instance-purged-late", "a patient", said("purged_too_soon")),
]


def is_fired(alert: str, rows: Rows) -> bool:
    tables = {table: [row for of, row in rows if of == table] for table in TABLES}
    return fires(alert, tables, NOW, strayFilesPerDay=FILES_PER_DAY)


@pytest.mark.parametrize(
    ("alert", "rows", "expected"),
    [
        pytest.param(a, rows, fires, id=f"{a}: {why}")
        for t, fires in ((FIRES, True), (SILENT, False))
        for a, why, rows in t
    ],
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
    assert alert in {row[0] for row in FIRES}
    assert not is_fired(alert, USUAL)
    assert is_fired(alert, []) is (alert in ("no-sweep", "no-probe"))


OF_THE_APP = {name: alert["query"] for name, alert in ALERTS.items() if alert["from"] == LINES}
WRITTEN = written()
# Errors without an alert: lookups-failing asks the host for the first two, and the study is read again the next night.
NOT_ASKED_FOR = {"lookup", "request", "study_unreadable"}


@pytest.mark.parametrize("query", OF_THE_APP.values(), ids=OF_THE_APP)
def test_a_query_asks_for_what_the_code_writes(query: str) -> None:
    """Events, fields, verdicts and reasons, also one that is left out: it would be left out no more."""
    events: list[str] = []
    quoted = 0
    assert not compares_dynamic(query)
    for field, values in comparisons(query):
        quoted += len(values)
        if field == "event":
            events = values
            assert set(events) <= set(WRITTEN)
            continue
        reports = [WRITTEN[one].always for one in events]
        assert all(field in FIELDS & WRITTEN[one].fields for one in events), field
        assert all(field in always for always in reports if always is not None), field
        if field == "verdict":
            assert set(values) <= set(Verdict)
        elif events == ["blob_deferred"]:
            assert set(values) <= set(REASONS)
        elif values:
            for one in events:
                [folder] = WRITTEN[one].folders
                assert set(values) <= words_of(folder)
    assert events
    assert quoted == query.count('"') / 2, "something else is quoted than events, verdicts and reasons"


def test_every_error_has_an_alert() -> None:
    errors = {name for name, one in WRITTEN.items() if one.is_error}
    assert errors - {event for query in OF_THE_APP.values() for event in asked(query)} == NOT_ASKED_FOR


def test_a_line_is_what_the_queries_take_for_one(caplog: pytest.LogCaptureFixture) -> None:
    """It begins as they say, has its event's name where they look, and neither workspace nor host drops it."""
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
    assert all(" " in within for within in re.findall(r'Message contains "([^"]+)"', blanking))  # no word of ours
    host = json.loads((ROOT / "host.json").read_text())["logging"]
    assert {"Trace", "Request"} <= set(host["applicationInsights"]["samplingSettings"]["excludedTypes"].split(";"))
    levels = host["logLevel"].items()
    assert {level for name, level in levels if name == "default" or name.endswith(".User")} == {"Information"}


def test_the_rule_compares_a_count_and_mails_whoever_is_on_call() -> None:
    """As `fires` takes it: of rows, in the window, once; it is over once the count is no longer above."""
    [criterion] = RULE["criteria"]["allOf"]
    assert criterion.pop("query").text.endswith("| count'")
    assert criterion == {
        "metricMeasureColumn": "Count",
        "timeAggregation": "Total",
        "operator": "GreaterThan",
        "threshold": Expression("item.above"),
        "failingPeriods": {"numberOfEvaluationPeriods": 1, "minFailingPeriodsToAlert": 1},
    }
    assert (RULE["windowSize"], RULE["autoMitigate"]) == (Expression("item.over"), True)
    assert RULE["scopes"] == [Expression("workspaceId")]
    assert RULE["actions"] == {"actionGroups": [Expression("actionGroupId")]}
    # Those about probes are off where nothing is probed, and by default there are probes.
    assert RULE["enabled"] == Expression("isProbed || !contains(aboutProbes, item.name)")
    about_probes = {name for name, query in OF_THE_APP.items() if asked(query) & {"probe", "probe_failed"}}
    assert set(FILE.variable("aboutProbes")) == about_probes
    assert re.findall(r"^    isProbed: (.+)$", MAIN.text, re.MULTILINE) == ["!empty(settings.ingest.PROBE_SCHEDULE)"]
    assert app_settings("ingest")["PROBE_SCHEDULE"]


@pytest.mark.parametrize(
    ("url", "page"),
    [
        ("", "read the runbook docs/runbooks/{name}.md in the repository of the project dicom-dropbox, from which this "
         "app was deployed."),
        ("https://example.org/docs/runbooks", "https://example.org/docs/runbooks/{name}.md"),
        ("https://example.org/docs/runbooks/", "https://example.org/docs/runbooks/{name}.md"),
    ],
    ids=["none", "without slash", "with slash"],
)  # fmt: skip
def test_an_alert_names_its_runbook(url: str, page: str) -> None:
    folder = evaluate(FILE.variable("runbooks"), {"runbooksUrl": url})
    for name, alert in ALERTS.items():
        known = {"runbooksUrl": url, "runbooks": folder, "item": alert}
        assert evaluate(RULE["description"], known) == f"{alert['says']} What to do: {page.format(name=name)}"
        assert (ROOT / f"docs/runbooks/{name}.md").exists()


def test_azure_takes_the_times_and_limits() -> None:
    """Nothing falls between two looks, and what wakes people up is looked for most often."""
    taken = (5, 10, 15, 30, 45, 60, 120, 180, 240, 300, 360, 1440)
    for alert in ALERTS.values():
        every, over = minutes(alert["every"]), minutes(alert["over"])
        assert every in taken
        assert over in (*taken, 2880)
        assert over >= 2 * every
        assert every <= {1: 15, 2: 60, 3: 60}[alert["severity"]]
    counting = {name for name, alert in ALERTS.items() if isinstance(alert["above"], Expression)}
    assert counting == {"files-refused", "files-ignored"}
    assert MAIN.variable("strayFilesPerDay") > 0


def in_force(app: str, field: str) -> Any:
    """Return a setting as an app has it: an installation's own, that of infra/, or the default."""
    given = OWN_SETTINGS[app].get(field.upper(), app_settings(app).get(field.upper()))
    default = Settings.model_fields[field].default
    return default if given is None else given if default is None else type(default)(given)


def interval(schedule: str) -> float:
    """Return the longest time between two runs of a schedule over a month, in minutes."""
    moments = [datetime(2026, 1, 1, tzinfo=UTC)]
    while moments[-1] < moments[0] + timedelta(days=31):
        following = next_occurrence(parse(schedule), moments[-1])
        assert following is not None
        moments.append(following)
    return max((b - a).total_seconds() / 60 for a, b in pairwise(moments))


def numbers(alert: str, pattern: str) -> list[int]:
    return [int(found) for found in re.findall(pattern, ALERTS[alert]["query"])]


def over(alert: str) -> int:
    return minutes(ALERTS[alert]["over"])


def test_the_alerts_about_sweeps_and_probes_fit_their_schedules() -> None:
    """One that is missing is no alarm, three are; an hour of stopped ones is; so is half an hour of failed ones."""
    sweeps = interval(in_force("ingest", "sweep_schedule"))
    assert over("no-sweep") >= 3 * sweeps + 4  # minutes, which a sweep takes at most
    assert (ALERTS["ingest-stopped"]["above"] + 1) * sweeps == 60 < over("ingest-stopped")
    assert numbers("ingest-failing", r"bin\(TimeGenerated, (\d+)m\)") == [sweeps]
    spans = over("ingest-failing") / sweeps
    assert spans / 2 < ALERTS["ingest-failing"]["above"] + 1 < spans
    assert over("files-waiting") >= 2 * sweeps
    # The sweep itself comes to a missed file that late: the alert asks for several times that.
    assert numbers("files-waiting", r"> (\d+)")[0] >= 4 * in_force("ingest", "sweep_min_age_seconds")
    # Alerts of an installation without probes are off, and fit the schedule of infra/.
    probes = interval(in_force("ingest", "probe_schedule") or app_settings("ingest")["PROBE_SCHEDULE"])
    assert probes > EXPECTED_SECONDS / 60
    assert over("no-probe") >= 3 * probes + EXPECTED_SECONDS / 60
    assert over("probe-failed") >= 2 * probes + EXPECTED_SECONDS / 60
    assert numbers("probe-failed", r"top (\d+) by TimeGenerated") == [ALERTS["probe-failed"]["above"] + 1]


def test_the_alerts_about_nights_fit_their_schedule() -> None:
    """A night may take all of its time, and the second one that is missing is seen; others are over before the next."""
    nightly = interval(in_force("retention", "purge_schedule"))
    budget = (in_force("retention", "purge_budget_seconds") + LONGEST_RUN_SECONDS) / 60
    [hours] = numbers("no-plan", r"ago\((\d+)h\)")
    assert nightly + budget < hours * 60 < min(2 * nightly, over("no-plan"))
    assert over("retention-stopped") >= 2 * nightly
    retention = {
        name for name, query in OF_THE_APP.items() if any(WRITTEN[e].folders == {"purge_study"} for e in asked(query))
    }
    assert retention > {"no-plan", "retention-stopped"}
    assert all(over(name) < nightly / 2 for name in retention - {"no-plan", "retention-stopped"})


def test_an_outage_is_what_the_code_takes_for_one() -> None:
    """All that defers files and is the service's fault beyond doubt; a file that waits is seen twice at least."""
    sources = "".join(path.read_text() for path in (ROOT / "store_on_upload").rglob("*.py"))
    faults = set(re.findall(r'Setback\("(\w+)", is_outage=True', sources))
    reasons = {one for field, values in comparisons(ALERTS["outage"]["query"]) if field == "reason" for one in values}
    # The stop and the storage are not the service; and what may also be a single file's is left to files-waiting.
    assert reasons == faults - {"stopped", "storage_failed", "service_failed"}
    longest = delay_seconds(99, Setback("service_busy", is_outage=True), jitter=lambda: 1.0) / 60
    assert numbers("outage", r"ago\((\d+)m\)") == [30, 30]  # the half hour that it speaks of
    assert longest < 30
    assert over("outage") >= 30 + 4 * longest  # where one is over the edge, three are seen


def test_health_is_asked_for_as_its_alerts_think() -> None:
    """At the route that is there, in every app, and its requests count for no lookups."""
    question = read(INFRA / "modules/readiness.bicep").body("question")["properties"]
    an_hour = over("not-ready") * 60 / question["Frequency"]
    assert an_hour / 2 <= numbers("not-ready", r"failures > (\d+)")[0] < an_hour
    assert (question["Enabled"], question["Request"]["HttpVerb"]) == (True, "HEAD")
    route = question["Request"]["RequestUrl"].text.partition("}/api/")[2].rstrip("'")
    blueprint = (ROOT / "shared/health/blueprint.py").read_text()
    assert re.search(rf'route\("{route}", methods=\["GET", "HEAD"\][^@]*async def health_ready\(', blueprint)
    [word] = re.findall(r'Name !contains "(\w+)"', ALERTS["lookups-failing"]["query"])
    names = re.findall(r"async def (\w+)\(", blueprint) + re.findall(r'route\("([^"]+)"', blueprint)
    assert names
    assert all(word in name for name in names)
    assert not any(word in name for route in ROUTES for name in (route.name, route.path))
