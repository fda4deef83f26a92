"""The alerts of infra/ on the log, and whether one fires over rows that a test has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from tests.kql.query import run
from tests.kql.values import Row

from .bicep import INFRA, Expression, read

FILE = read(INFRA / "modules/alerts.bicep")
ALERTS: dict[str, dict[str, Any]] = {alert["name"]: alert for alert in FILE.variable("alerts")}
LINES = FILE.variable("lines")
CRITERIA = FILE.constant(FILE.object(FILE.declarations["alert"]))["properties"]["criteria"]["allOf"]


def minutes(duration: str) -> int:
    """Return how many minutes an ISO 8601 duration has."""
    found = re.fullmatch(r"P(?:(\d+)D|T(\d+)H|T(\d+)M)", duration)
    assert found, duration
    return int(found[1] or 0) * 1440 + int(found[2] or 0) * 60 + int(found[3] or 0)


def window(name: str) -> timedelta:
    """Return how far an alert looks back."""
    return timedelta(minutes=minutes(ALERTS[name]["over"]))


def fires(name: str, tables: Mapping[str, Iterable[Row]], now: datetime, **parameters: int) -> bool:
    """Say whether an alert that looks at some tables now fires.

    Args:
        name: of the alert.
        tables: of the workspace, by their names.
        now: when it looks.
        parameters: of the Bicep file, for an alert that has one as its limit.

    Raises:
        NotKnown: its query is none that can be judged here.
    """
    alert = ALERTS[name]
    [criterion] = CRITERIA
    query = re.sub(r"\$\{item\.(\w+)\}", lambda found: alert[found[1]], criterion["query"].text.strip("'"))
    begins = now - window(name)
    within = {table: [row for row in rows if begins < row["TimeGenerated"] <= now] for table, rows in tables.items()}
    [result] = run(query, within, now)
    above = alert["above"]
    limit: int = parameters[above.text] if isinstance(above, Expression) else above
    count: int = result[criterion["metricMeasureColumn"]]
    return count > limit
