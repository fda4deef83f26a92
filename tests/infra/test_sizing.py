"""docs/runbooks/sizing.md: its sums are right, and what it puts in is what is measured or set."""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable
from typing import Any

import pytest

from bench.publishing import with_told
from bench.results import RESULTS as MEASURED_LAST
from bench.retention.planning import Archive
from shared.settings import Settings
from tests.component.test_storage_operations import ARCHIVE, READ, RECEIPT

from .apps import APP, MAIN, ROOT

TEXT = (ROOT / "docs/runbooks/sizing.md").read_text()
MEASURED = (ROOT / "docs/performance.md").read_text()
OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
FUNCTIONS: dict[str, Callable[..., float]] = {"min": min, "ceil": math.ceil}


def rows(first: str) -> dict[str, list[str]]:
    """Return the rows of all tables whose first column has this head: name → the other cells."""
    found: dict[str, list[str]] = {}
    for table in re.findall(rf"^\| {first} \|.*\n\|[-|:]+\|\n((?:\|.*\n)+)", TEXT, re.MULTILINE):
        for line in table.splitlines():
            name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
            found[name] = cells
    return found


def number(cell: str) -> float:
    return float(cell.replace(",", ""))


INPUTS = {name: number(cells[0]) for name, cells in {**rows("input"), **rows("price")}.items()}
RESULTS = rows("result")


def value_of(node: ast.expr, known: dict[str, float]) -> float:
    """Work out a formula: numbers, names, four kinds of sums, and two functions."""
    match node:
        case ast.Constant(value=int() | float() as value):
            return float(value)
        case ast.Name(id=name):
            return known[name]
        case ast.BinOp(left=left, op=op, right=right):
            return float(OPERATORS[type(op)](value_of(left, known), value_of(right, known)))
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return float(FUNCTIONS[name](*(value_of(one, known) for one in arguments)))
    raise ValueError(ast.unparse(node))


def results() -> dict[str, float]:
    """Return what the formulas come to, each of those before it."""
    known = dict(INPUTS)
    for name, (formula, *_) in RESULTS.items():
        known[name] = value_of(ast.parse(formula, mode="eval").body, known)
    return known


def test_the_sums_are_right() -> None:
    """Three figures of each, or all before the point."""
    found = results()
    shown = {name: f"{found[name]:,.0f}" if found[name] >= 100 else f"{found[name]:.3g}" for name in RESULTS}
    assert shown == {name: cells[1] for name, cells in RESULTS.items()}


def test_each_figure_says_what_it_is() -> None:
    """Measured, a limit, or an assumption."""
    assert {cells[1] for cells in rows("input").values()} == {"measured", "limit", "assumption"}


def test_limits_are_those_of_the_code_and_of_infra() -> None:
    """The defaults; and the requests of a file, as another test counts them."""
    limits = {name for name, cells in rows("input").items() if cells[1] == "limit"}
    site = APP.constant(APP.property(APP.object(APP.declarations["app"]), "properties"))
    requests = [READ, RECEIPT, *ARCHIVE]
    writes = [one for one in requests if one.startswith(("PUT", "COPY"))]
    expected = {
        "concurrency": Settings.model_fields["ingest_concurrency"].default,
        "maximum_instances": parameter("maximumInstances"),
        "memory_gib": site["functionAppConfig"]["scaleAndConcurrency"]["instanceMemoryMB"] / 1024,
        "file_mib": 10,
        "writes": len(writes),
        "reads": len(requests) - len(writes),
        "queue_requests": pytest.approx(1 + 1 / 16 + 1, abs=0.05),
        "archive_days": parameter("archiveDays"),
        "soft_delete_days": parameter("softDeleteDays"),
    }
    assert {name: INPUTS[name] for name in limits} == expected
    assert f"some {INPUTS['file_mib']:.0f} MiB" in str(Settings.model_fields["ingest_concurrency"].description)


def parameter(name: str) -> Any:
    return MAIN.constant(MAIN.declarations[name].value)


def test_what_is_measured_is_what_was_measured() -> None:
    """It stands so in the page of measurements."""
    measured = {name for name, cells in rows("input").items() if cells[1] == "measured"}
    assert measured == {"idle_mib", "processor_seconds"}
    assert f"a file takes {INPUTS['processor_seconds'] * 1000:.1f} ms of it" in MEASURED
    deploying = (ROOT / "docs/deploying.md").read_text()
    assert f"the app takes some {INPUTS['idle_mib']:.0f} MiB" in deploying
    assert len(re.findall(r"at least [\d,]+ (?:a second|MB/s)", TEXT)) == 2
    assert with_told(TEXT, MEASURED_LAST / "latest.json") == TEXT  # else: `make bench-plots`
    deletion = sum(map(round, map(float, deletions())))
    assert f"| {deletion} requests to the service: three for the metadata, seven searches, and the deletion |" in TEXT


def test_what_a_plan_asks_for() -> None:
    """A study that is due, and one that is new, each by what they add to a night in which nothing is to be done."""
    idle, due, new = (Archive(1000, *counts).night() for counts in ((0, 0), (100, 0), (0, 100)))
    of_due, of_new = (round((night.table - idle.table) / 100) for night in (due, new))
    assert (due.service, new.service // 100) == (idle.service, 1)
    assert f"| a plan, for each study that is due | {of_due} request to the ledger's table |" in TEXT
    assert f"| for each study that is new | {of_new} requests to the ledger's table, and 1 to the service" in TEXT
    assert of_new == 7, "docs/retention.md says so, too"


def deletions() -> list[str]:
    """Return how often the service is asked in a deletion, the copies apart, for what and what."""
    kinds = re.findall(r"\| deletion, 50 studies, (.*?) +\| ([\d.]+) requests/study", MEASURED)
    asked = {kind: count for kind, count in kinds if "storage" not in kind and kind != "vault"}
    # After the last of the studies, which are one patient's, the search is at its end sooner.
    assert asked == {"beyond re-check and vault": "1", "re-check, metadata": "3", "re-check, search": "6.98"}
    return list(asked.values())
