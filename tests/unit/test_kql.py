"""What stands in for Log Analytics in the tests of alerts: plain queries, plain answers, and nothing else taken."""

from __future__ import annotations

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
        ('event !in ("sweep", "blob")', 1),
        ('event !startswith "bl"', 2),
        ('event contains "LO"', 2),
        ('line.verdict == "7"', 0),
        ('tostring(line.verdict) == "7"', 1),
        ("tobool(line.complete)", 1),
        ('not(event == "blob" and tobool(line.complete))', 3),
        ("isnotempty(tostring(line.verdict))", 2),
        ('tostring(line.reason) == ""', 3),
        ("toint(line.seconds) > 3600", 1),
        ("toint(line.seconds) >= 3600", 2),
        ('event == "blob" or event == "sweep" and toint(line.seconds) > 3600', 2),
        ('(event == "blob" or event == "sweep") and toint(line.seconds) > 3600', 1),
        ("TimeGenerated < ago(2m)", 2),
    ],
)
def test_conditions(condition: str, found: int) -> None:
    """Of text and numbers; what a line lacks is null, fulfils no comparison, and is empty as a text."""
    assert len(rows_of(f"{PARSED} | where {condition}")) == found


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (f'{PARSED} | summarize lines = count(), sweeps = countif(event == "sweep")', [{"lines": 4, "sweeps": 2}]),
        ("AppTraces | where false | summarize lines = count()", [{"lines": 0}]),
        ("AppTraces | where false | summarize lines = count() by bin(TimeGenerated, 5m)", []),
        (
            "AppTraces | summarize lines = count() by bin(TimeGenerated, 5m)",
            [
                {"TimeGenerated": NOW - timedelta(minutes=5), "lines": 4},
                {"TimeGenerated": NOW, "lines": 1},
            ],
        ),
        ("AppTraces | summarize quarters = dcount(bin(TimeGenerated, 15m))", [{"quarters": 2}]),
        (f'{PARSED} | where event != "" | top 2 by TimeGenerated | count', [{"Count": 2}]),
        (f'{PARSED} | where event != "" | top 2 by TimeGenerated | where event == "sweep" | count', [{"Count": 0}]),
        (
            f'{PARSED} | order by TimeGenerated desc | extend met = row_cumsum(iff(event == "blob", 1, 0))'
            " | where met == 0 | count",
            [{"Count": 1}],
        ),
        ("AppRequests | where toint(ResultCode) >= 200 | count", [{"Count": 2}]),
        (f"{PARSED} | where toint(line.nothing) > 1 or not(toint(line.nothing) > 1) | count", [{"Count": 0}]),
    ],
)
def test_queries(query: str, expected: list[dict[str, Any]]) -> None:
    """Sums of all, even of nothing, and of groups; the latest rows; what came since."""
    assert rows_of(query) == expected


@pytest.mark.parametrize(
    "query",
    [
        "Heartbeat | count",
        "AppTraces | take 5",
        "AppTraces | top 2 by Message",
        'AppTraces | where Nothing == "x"',
        "AppTraces | where Message",
        "AppTraces | where Message == 5",
        'AppTraces | where Message has "x"',
        "AppTraces | where (true",
        "AppTraces |",
        f"{PARSED} | where line.seconds > 3600",
        f'{PARSED} | where line.verdict != "stored"',
        f"{PARSED} | where tobool(event)",
    ],
)
def test_anything_else_is_refused(query: str) -> None:
    """What is not known here, and what Log Analytics refuses for its types, also if it met no row."""
    for messages in (LINES, ()):
        with pytest.raises(NotKnown):
            rows_of(query, AppTraces=traces(messages))


def test_rows_have_the_form_of_their_table() -> None:
    """So that no test leaves out, or spells otherwise, what the platform has."""
    with pytest.raises(NotKnown):
        rows_of("AppTraces | count", AppTraces=[{"TimeGenerated": NOW, "message": "x"}])
