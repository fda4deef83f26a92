"""The page of measurements shows what was measured last."""

from __future__ import annotations

import json
import re
from pathlib import Path

from bench.publishing import BEGIN, END, PAGE, PLOTS, with_measured, with_plots
from bench.results import RESULTS, Row

ROWS = [
    Row("store", "8 at once", "1/s", 90.0, "bare aiohttp", 100.0, 0.9, (0.8, 1.0), "≥ 0.9 times", met=True),
    Row("ingest", "p99", "ms", 40.0, "", None, None, (30.0, 50.0), "", met=None),
]
MACHINE = {"measured": "2026-11-26T03:00Z", "processor": "one", "system": "Linux", "versions": {"python": "3.11.7"}}
FIELDS = {"path", "case", "unit", "ours", "against", "rival", "ratio", "spread", "aim", "met", "busy"}


def latest_in(folder: Path) -> Path:
    path = folder / "latest.json"
    path.write_text(json.dumps([{**vars(row), **MACHINE} for row in ROWS]))
    return path


def test_the_table_of_a_page(tmp_path: Path) -> None:
    """It stands between its markers, with the machine above it; written again it is the same, and the rest stays."""
    page = with_measured(f"before\n{BEGIN}old\n{END}\nafter\n", latest_in(tmp_path))
    assert page.startswith(f"before\n{BEGIN}Measured on 2026-11-26 on one, Linux, with python 3.11.7.\n\n| path ")
    assert page.endswith(f"|\n{END}\nafter\n")
    assert "old" not in page
    [line] = [line for line in page.splitlines() if line.startswith("| store ")]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells == ["store", "8 at once", "90 1/s", "100 bare aiohttp", "0.90", "0.8 to 1", "≥ 0.9 times", "yes"]
    assert with_measured(page, latest_in(tmp_path)) == page


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
