"""Every query in Kusto's language is one: by the parser that Azure's own pages check queries with, without Azure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

import pytest

from local.commands import ROOT
from tests.infra.alerts import ALERTS, LINES
from tests.infra.bicep import INFRA, read

from . import npm_client

# As Azure Monitor's reference has the tables, as far as a query of ours may ask: https://learn.microsoft.com/
# azure/azure-monitor/reference/tables/apptraces, and so on.
_OF_ALL = "TimeGenerated: datetime, AppRoleName: string, OperationName: string, Properties: dynamic"
TABLES = {
    "AppTraces": f"({_OF_ALL}, Message: string, SeverityLevel: int)",
    "AppRequests": f"({_OF_ALL}, Name: string, Url: string, ResultCode: string, Success: bool, DurationMs: real)",
    "AppDependencies": f"({_OF_ALL}, Name: string, Data: string, DependencyType: string, ResultCode: string)",
    "AppExceptions": f"({_OF_ALL}, ExceptionType: string, OuterMessage: string, Details: dynamic)",
    "AppAvailabilityResults": f"({_OF_ALL}, Name: string, Location: string, Success: bool, Message: string)",
}


def of_alerts() -> Iterator[str]:
    for alert in ALERTS.values():
        yield f"{alert['from']} | {alert['query']} | count"


def of_documents() -> Iterator[str]:
    """Yield what the pages ask, by the functions of the runbooks' index."""
    for path in sorted((ROOT / "docs").rglob("*.md")):
        text = path.read_text()
        yield from (f"{LINES} | {query}" for query in re.findall(r"\blog '([^'<]+)'", text))
        yield from re.findall(r"\bquery '([^'<]+)'", text)


def of_the_workspace() -> Iterator[str]:
    """Yield what is done to each table's rows before they are kept."""
    blanking = read(INFRA / "modules/blanking.bicep")
    own = (f'"{name}", Properties["dicom_dropbox.{name}"]' for name in blanking.variable("ownProperties"))
    filled_in = {"ofOwnSpan": ", ".join(own)}
    for item in blanking.variable("transformations"):
        rule = getattr(item["kql"], "text", item["kql"]).strip("'")
        rule = re.sub(r"\$\{(\w+)\}", lambda found: filled_in.get(found[1]) or blanking.variable(found[1]), rule)
        yield re.sub(r"^source\b", item["table"], rule)


def complaints(*queries: str) -> list[list[str]]:
    npm_client.install()
    question = json.dumps({"tables": TABLES, "queries": queries})
    found: list[list[str]] = json.loads(npm_client.run_script("kusto.cjs", question))
    return found


@pytest.mark.parametrize(("queries", "least"), [(of_alerts, 15), (of_documents, 30), (of_the_workspace, 4)])
def test_the_queries_are_taken(queries: Callable[[], Iterator[str]], least: int) -> None:
    """With the columns that the tables have, and the types that the functions take."""
    asked = list(queries())
    assert len(asked) >= least
    assert {query: found for query, found in zip(asked, complaints(*asked), strict=True) if found} == {}


def test_unknown_columns_and_words_and_wrong_types_are_not() -> None:
    wrong = ("AppTraces | where Text == 1", "AppTraces | sumarize count()", "AppTraces | where SeverityLevel > 'a'")
    assert all(complaints(*wrong))
