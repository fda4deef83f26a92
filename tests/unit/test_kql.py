"""What stands in for Log Analytics in the tests of alerts: plain queries, plain answers, and nothing else taken."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.kql.query import run
from tests.kql.values import NotKnown, Row

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
LINES = (
    '{"event": "sweep", "seconds": 3700}',
    '{"event": "sweep", "seconds": 3600, "reason": "stopped"}',
    '{"event": "blob", "verdict": "stored", "complete": true}',
    '{"event": "Blob", "verdict": 7, "reason": ""}',
    "Executed",
)
PARSED = (
    'AppTraces | where Message startswith "{" | extend line = parse_json(Message) | extend event = tostring(line.event)'
)


def traces(messages: Sequence[str] = LINES, minutes_apart: int = 1) -> list[Row]:
    """Return lines, the last one of just now."""
    times = [NOW - timedelta(minutes=minutes_apart * number) for number in range(len(messages))]
    return [{"TimeGenerated": time, "Message": text} for time, text in zip(times[::-1], messages, strict=True)]


def requests(*codes: str) -> list[Row]:
    return [{"TimeGenerated": NOW, "Name": f"Call {code}", "ResultCode": code} for code in codes]


def rows_of(query: str, **tables: Sequence[Row]) -> list[dict[str, Any]]:
    """Return what a query comes to over the lines above, and some requests."""
    given: Mapping[str, Sequence[Row]] = {"AppTraces": traces(), "AppRequests": requests("200", "503", "0"), **tables}
    return [dict(row) for row in run(query, given, NOW)]


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ('event == "sweep"', 2),
        ('event == "blob"', 1),
        ('event != "sweep"', 2),
        ('event in ("sweep", "blob")', 3),
        ('event !in ("sweep", "blob")', 1),
        ('event startswith "BL"', 2),
        ('event !startswith "bl"', 2),
        ('event contains "LO"', 2),
        ('event !contains "lo"', 2),
        ('event contains "loo"', 0),
        ('line.verdict == "stored"', 1),
        ('line.verdict == "7"', 0),
        ('tostring(line.verdict) == "7"', 1),
        ('tostring(line.verdict) in ("stored", "7")', 2),
        ('tostring(line.complete) == "true"', 1),
        ("tobool(line.complete)", 1),
        ("not(tobool(line.complete))", 0),
        ('not(event == "blob" and tobool(line.complete))', 3),
        ("isnotempty(tostring(line.verdict))", 2),
        ("isnotempty(tostring(line.reason))", 1),
        ('tostring(line.reason) == ""', 3),
        ('tostring(line.reason) !in ("stopped")', 3),
        ("isnotempty(tostring(line.event.name))", 0),
        ("toint(line.seconds) > 3600", 1),
        ("toint(line.seconds) >= 3600", 2),
        ("toint(line.seconds) < 3700", 1),
        ("toint(line.seconds) <= 3700", 2),
        ("toint(line.seconds) == 3600", 1),
        ("toint(line.seconds) * 2 > 7300", 1),
        ("not(toint(line.seconds) > 3600)", 1),
        ('toint(line.seconds) > 3600 or event == "blob"', 2),
        ('event == "blob" or event == "sweep" and toint(line.seconds) > 3600', 2),
        ('(event == "blob" or event == "sweep") and toint(line.seconds) > 3600', 1),
        ("TimeGenerated < ago(2m)", 2),
        ("true", 4),
        ("false", 0),
    ],
)
def test_conditions(condition: str, found: int) -> None:
    """Of text and numbers; what a line lacks is null, fulfils no comparison, and is empty as a text."""
    assert len(rows_of(f"{PARSED} | where {condition}")) == found


@pytest.mark.parametrize(("operator", "found"), [("and", 0), ("or", 2)])
def test_null_could_be_either(operator: str, found: int) -> None:
    """It decides nothing that is decided without it, and `not` leaves it null."""
    null = "toint(line.nothing) > 1"
    assert len(rows_of(f'{PARSED} | where event == "sweep" {operator} {null}')) == found
    assert len(rows_of(f'{PARSED} | where not(event == "sweep" {operator} {null})')) == (2 if operator == "and" else 0)


def test_a_line_that_is_no_json_has_nothing() -> None:
    """It is a text, and no error."""
    assert rows_of(
        "AppTraces | extend line = parse_json(Message) | where isnotempty(tostring(line.event)) | count"
    ) == [{"Count": 4}]


def test_numbers_in_text() -> None:
    """What is no number is null."""
    query = "AppRequests | where toint(ResultCode) >= 100 | count"
    assert rows_of(query, AppRequests=requests("200", "99", "-1", "", "none")) == [{"Count": 1}]


def test_columns_are_added_beside_those_that_there_are() -> None:
    """Several at once, none of which knows the others."""
    [row] = rows_of(
        'AppRequests | where ResultCode == "503" | extend code = toint(ResultCode), isLate = Name == ResultCode'
    )
    assert row == {**requests("503")[0], "code": 503, "isLate": False}
    with pytest.raises(NotKnown, match="code"):
        rows_of("AppRequests | extend code = toint(ResultCode), isBad = code > 500")


@pytest.mark.parametrize(("messages", "lines", "sweeps"), [(LINES[:4], 4, 2), ((), 0, 0)])
def test_one_sum_of_all_even_of_nothing(messages: Sequence[str], lines: int, sweeps: int) -> None:
    """Where nothing tells rows apart, there is one row always: by this an alert sees that nothing came."""
    query = f'{PARSED} | summarize lines = count(), sweeps = countif(event == "sweep")'
    assert rows_of(query, AppTraces=traces(messages)) == [{"lines": lines, "sweeps": sweeps}]


def test_sums_of_groups() -> None:
    """By a column, as it is or rounded down to the clock's fives, not to the first row's; of nothing there are none."""
    assert rows_of("AppRequests | summarize asked = count() by Name") == [
        {"Name": f"Call {code}", "asked": 1} for code in ("200", "503", "0")
    ]
    query = "AppTraces | summarize lines = count() by bin(TimeGenerated, 5m)"
    five_to, noon = NOW - timedelta(minutes=5), NOW
    assert rows_of(query) == [{"TimeGenerated": five_to, "lines": 4}, {"TimeGenerated": noon, "lines": 1}]
    assert rows_of(query, AppTraces=[]) == []
    spans = "AppTraces | summarize by bin(TimeGenerated, 15m) | count"
    assert rows_of(spans, AppTraces=traces(minutes_apart=10)) == [{"Count": 4}]


def test_sums_are_numbers() -> None:
    """They are compared and multiplied as such."""
    sums = "AppRequests | summarize failed = countif(toint(ResultCode) >= 500), asked = count()"
    assert len(rows_of(f"{sums} | where failed * 4 > asked")) == 1
    assert rows_of(f"{sums} | where failed * 3 > asked") == []


def test_the_top_are_the_latest() -> None:
    """Or the largest, first; where there are fewer, all, and none of nothing."""
    latest = f'{PARSED} | where event != "" | top 2 by TimeGenerated'
    assert [row["Message"] for row in rows_of(latest)] == [LINES[3], LINES[2]]
    assert rows_of(f'{latest} | where event == "sweep"') == []
    assert rows_of(latest, AppTraces=[]) == []
    sums = "AppRequests | summarize asked = count() by Name"
    twice = requests("200", "503", "503")
    assert [row["asked"] for row in rows_of(f"{sums} | top 9 by asked", AppRequests=twice)] == [2, 1]


def test_how_many_different_ones_there_are() -> None:
    """Of values, in all or in each group; null is none."""
    query = "AppTraces | summarize quarters = dcount(bin(TimeGenerated, 15m))"
    assert rows_of(query, AppTraces=traces(minutes_apart=10)) == [{"quarters": 4}]
    assert rows_of(query, AppTraces=[]) == [{"quarters": 0}]
    numbers = f"{PARSED} | summarize numbers = dcount(toint(line.seconds)) by event"
    assert {row["event"]: row["numbers"] for row in rows_of(numbers)} == {"sweep": 2, "blob": 0, "Blob": 0}


def test_what_came_since() -> None:
    """From the latest row on, so many that fulfil a condition were met."""
    query = (
        f'{PARSED} | order by TimeGenerated desc | extend met = row_cumsum(iff(event == "blob", 1, 0)) | where met == 0'
    )
    assert [row["Message"] for row in rows_of(query)] == [LINES[3]]
    assert rows_of(query, AppTraces=[]) == []
    null = f"{PARSED} | extend one = iff(toint(line.nothing) > 1, 1, 0) | where one == 0"
    assert len(rows_of(null)) == 4


@pytest.mark.parametrize(
    "query",
    [
        "Heartbeat | count",
        "AppTraces | top 2",
        "AppTraces | top 2 by Message",
        "AppTraces | top 2 by Nothing",
        "AppTraces | top 2 by ago(5m)",
        "AppTraces | top 2 by TimeGenerated asc",
        "AppTraces | top by TimeGenerated",
        "AppTraces | take 5",
        "AppTraces | order by TimeGenerated",
        "AppTraces | order by TimeGenerated asc",
        "AppTraces | order by Message desc",
        "AppTraces | extend met = row_cumsum(1)",
        "AppTraces | order by TimeGenerated desc | extend met = row_cumsum(Message)",
        "AppTraces | order by TimeGenerated desc | extend met = row_cumsum(1) * 2",
        "AppTraces | order by TimeGenerated desc | where row_cumsum(1) == 1",
        "AppTraces | order by TimeGenerated desc | summarize by TimeGenerated | extend met = row_cumsum(1)",
        "AppTraces | extend one = iff(true, 1, Message)",
        "AppTraces | extend one = iff(Message, 1, 0)",
        "AppTraces | summarize names = dcount(Nothing)",
        "AppTraces | count | count by Name",
        'AppTraces | where Nothing == "x"',
        "AppTraces | where Message",
        'AppTraces | where Message > "x"',
        "AppTraces | where Message == 5",
        "AppTraces | where TimeGenerated > 5",
        'AppTraces | where Message has "x"',
        'AppTraces | where Message.event == "x"',
        "AppTraces | where Message == 'x'",
        'AppTraces | where Message == "a\\"b"',
        "AppTraces | where toint(Message) in (5)",
        'AppTraces | where Message == "x" and toint(Message)',
        'AppTraces | where toupper(Message) == "x"',
        'AppTraces | where tostring(Message) == "x"',
        "AppTraces | where isnotempty(Message, Message)",
        "AppTraces | extend Message = parse_json(Message)",
        "AppTraces | extend parse_json(Message)",
        "AppTraces | summarize count()",
        "AppTraces | summarize latest = max(TimeGenerated)",
        "AppTraces | summarize by 5",
        "AppTraces | summarize by bin",
        "AppTraces | summarize by bin(TimeGenerated, 5)",
        "AppTraces | where true true",
        "AppTraces | where (true",
        "AppTraces | where",
        "AppTraces |",
        "",
        f"{PARSED} | where line.seconds > 3600",
        f'{PARSED} | where line.verdict in ("stored")',
        f'{PARSED} | where line.verdict != "stored"',
        f"{PARSED} | where line.complete == true",
        f'{PARSED} | where tostring(line) == "x"',
        f"{PARSED} | where tobool(line.seconds)",
        f"{PARSED} | where tobool(event)",
    ],
)
def test_anything_else_is_refused(query: str) -> None:
    """What is not known here, and what there is an error, also where it would meet no row."""
    for messages in (LINES, ()) if not re.search(r"tostring\(line\)|tobool\(line", query) else (LINES,):
        with pytest.raises(NotKnown):
            rows_of(query, AppTraces=traces(messages))


def test_rows_have_the_form_of_their_table() -> None:
    """So that no test leaves out, or spells otherwise, what the platform has."""
    for row in (
        {"TimeGenerated": NOW},
        {"TimeGenerated": NOW, "message": "x"},
        {"TimeGenerated": "now", "Message": "x"},
    ):
        with pytest.raises(NotKnown):
            rows_of("AppTraces | count", AppTraces=[row])
