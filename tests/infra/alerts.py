"""The alerts of infra/ on the log, and whether one fires over rows that a test has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from .bicep import INFRA, Expression, read
from .kql import Row, run

FILE = read(INFRA / "modules/alerts.bicep")
ALERTS: dict[str, dict[str, Any]] = {alert["name"]: alert for alert in FILE.variable("alerts")}
LINES: str = FILE.variable("lines")
RULE: dict[str, Any] = FILE.body("alert")["properties"]


def minutes(duration: str) -> int:
    """Return how many minutes an ISO 8601 duration has."""
    found = re.fullmatch(r"P(?:(\d+)D|T(\d+)H|T(\d+)M)", duration)
    assert found, duration
    return int(found[1] or 0) * 1440 + int(found[2] or 0) * 60 + int(found[3] or 0)


def window(name: str) -> timedelta:
    """Return how far an alert looks back."""
    return timedelta(minutes=minutes(ALERTS[name]["over"]))


def fires(name: str, tables: Mapping[str, Iterable[Row]], now: datetime, **parameters: int) -> bool:
    """Say whether an alert that looks at the workspace's tables now fires; a limit may be a parameter of the file."""
    alert = ALERTS[name]
    [criterion] = RULE["criteria"]["allOf"]
    query = re.sub(r"\$\{item\.(\w+)\}", lambda found: alert[found[1]], criterion["query"].text.strip("'"))
    begins = now - window(name)
    within = {table: [row for row in rows if begins < row["TimeGenerated"] <= now] for table, rows in tables.items()}
    [result] = run(query, within, now)
    above = alert["above"]
    count: int = result[criterion["metricMeasureColumn"]]
    return count > (parameters[above.text] if isinstance(above, Expression) else above)


def comparisons(query: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each of the line's fields that a query asks for, in its order, with what it is compared to."""
    for found in re.finditer(r'\b(event|reason|line\.\w+)\)?(?: !?in \(([^()]*)\)| [!=]= ("\w+"))?', query):
        yield found[1].removeprefix("line."), re.findall(r'"(\w+)"', found[2] or found[3] or "")


def asked(query: str) -> set[str]:
    """Return the events that a query asks for."""
    return {name for field, values in comparisons(query) if field == "event" for name in values}


def compares_dynamic(query: str) -> bool:
    """Say whether a query compares a dynamic value to anything but a text, which Log Analytics refuses."""
    return bool(re.search(r'\bline\.\w+ (?:[<>]|!=|== [^"])', query))
