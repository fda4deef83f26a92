"""The page of measurements shows what was measured last."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import results
from bench.machine import Machine
from bench.publishing import BEGIN, END, PAGE, PLOTS, with_measured, with_plots, with_told
from bench.results import RESULTS, Row

ROWS = [
    Row("store", "8 at once", "1/s", 90.0, "bare aiohttp", 100.0, 0.9, (0.8, 1.0), "≥ 0.9 times", met=True),
    Row("ingest", "p99", "ms", 40.0, "", None, None, (30.0, 50.0), "", met=None),
]
MACHINE = {"measured": "2026-11-26T03:00Z", "processor": "one", "system": "Linux", "versions": {"python": "3.11.7"}}
FIELDS = {"path", "case", "unit", "ours", "against", "rival", "ratio", "spread", "aim", "met", "busy"}


LEFT_OUT = "orthanc, ingest_latency, large_file, search, pages, retrieve, purge, cold_start"


def latest_in(folder: Path, **other: Any) -> Path:
    """Write the rows, the last of which was measured on something other."""
    path, machines = folder / "latest.json", (MACHINE, MACHINE | other)
    path.write_text(json.dumps([{**vars(row), **machine} for row, machine in zip(ROWS, machines, strict=True)]))
    return path


def test_the_table_of_a_page(tmp_path: Path) -> None:
    """It stands between its markers, with the machine above it; written again it is the same, and the rest stays."""
    page = with_measured(f"before\n{BEGIN}what was\n{END}\nafter\n", latest_in(tmp_path))
    head = f"Measured on 2026-11-26 on one, Linux, with python 3.11.7. Left out: {LEFT_OUT}."
    assert page.startswith(f"before\n{BEGIN}{head}\n\n| path ")
    assert page.endswith(f"|\n{END}\nafter\n")
    assert "what was" not in page
    [line] = [line for line in page.splitlines() if line.startswith("| store ")]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells == ["store", "8 at once", "90 1/s", "100 bare aiohttp", "0.90", "0.8 to 1", "≥ 0.9 times", "yes"]
    assert with_measured(page, latest_in(tmp_path)) == page


def test_a_table_of_several_days(tmp_path: Path) -> None:
    """Where some paths were measured again, the page says which, and when."""
    versions = {"python": "3.11.7", "nginx": "1.22.1"}
    page = with_measured(f"{BEGIN}{END}", latest_in(tmp_path, measured="2026-11-27T03:00Z", versions=versions))
    [head, *_] = page.removeprefix(BEGIN).splitlines()
    when = "2026-11-26 (store) and on 2026-11-27 (ingest)"
    assert head.startswith(f"Measured on {when} on one, Linux, with python 3.11.7, nginx 1.22.1. ")


def machine(**other: Any) -> Machine:
    """Return the machine of the rows, a day later, with one program more, and something other."""
    told: dict[str, Any] = {**MACHINE, "measured": "2026-11-27T03:00Z", **other}
    return Machine(**{**told, "versions": {**told["versions"], "nginx": "1.22.1"}})


def test_a_path_is_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rows are of then and there, in their old place; the others keep their own."""
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    old = json.loads(latest_in(tmp_path).read_text())
    path = results.renew([replace(ROWS[0], ours=80.0)], machine())
    assert path.read_text() == (tmp_path / "latest.json").read_text()
    [store, ingest] = json.loads(path.read_text())
    assert ingest == old[1]
    assert (store["ours"], store["measured"], store["versions"]["nginx"]) == (80.0, "2026-11-27T03:00Z", "1.22.1")


@pytest.mark.parametrize("other", [{"processor": "two"}, {"system": "Linux 2"}, {"versions": {"python": "3.13.1"}}])
def test_rows_of_two_machines_are_not_mixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: Any) -> None:
    """Nor those of two systems or versions; nothing is written."""
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    before = latest_in(tmp_path).read_text()
    with pytest.raises(ValueError, match="another machine"):
        results.renew(ROWS, machine(**other))
    assert [path.read_text() for path in tmp_path.iterdir()] == [before]


def test_what_another_page_tells(tmp_path: Path) -> None:
    """It is rounded down, whatever it was measured to be; what was not measured stays as it is."""
    search = replace(ROWS[0], path="search", case="1 result, 16 at once", ours=1978.6)
    (tmp_path / "latest.json").write_text(json.dumps([{**vars(search), **MACHINE}]))
    page = with_told("at least 9 a second, at least 300 MB/s\n", tmp_path / "latest.json")
    assert page == "at least 1,000 a second, at least 300 MB/s\n"


def test_a_page_without_results(tmp_path: Path) -> None:
    """It stays as it is."""
    assert with_measured("a page", tmp_path / "latest.json") == "a page"


def test_the_page_shows_the_latest_results() -> None:
    """Whoever commits results commits the page with them: `make bench-plots`."""
    page = PAGE.read_text()
    assert page.count(BEGIN) == page.count(END) == 1
    assert with_measured(page, RESULTS / "latest.json") == page


def test_every_plot_is_shown() -> None:
    """And nothing is shown that is not there; what is not drawn yet has its place in a comment."""
    shown = re.findall(r"^!\[[^\]]+\]\(images/performance/(.+)\)$", PAGE.read_text(), re.MULTILINE)
    assert sorted(shown) == sorted(path.name for path in PLOTS.glob("*"))


def test_a_plot_appears_once_it_is_drawn(tmp_path: Path) -> None:
    """In its place, with what it shows in words."""
    (tmp_path / "one.svg").touch()
    page = with_plots("<!-- plot one.svg: A line. -->\n<!-- plot other.svg: Another. -->\n", tmp_path)
    assert page == "![A line.](images/performance/one.svg)\n<!-- plot other.svg: Another. -->\n"


def test_the_latest_results_are_whole() -> None:
    """Each row says what it compares, and where it was measured."""
    rows = json.loads((RESULTS / "latest.json").read_text())
    assert rows
    for row in rows:
        assert row.keys() == FIELDS | MACHINE.keys()
    assert len({(row["processor"], row["system"]) for row in rows}) == 1
