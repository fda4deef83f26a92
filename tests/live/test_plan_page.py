"""The page of a plan in a real browser: what a records officer sees of a night on which much is to be said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from purge_study.planning.chart import COLOURS
from purge_study.planning.page import Page as PlanPage
from purge_study.planning.page import to_html
from purge_study.planning.plan import plan_id
from purge_study.policy.model import Brakes
from purge_study.policy.policy import Doubt
from tests.kit.plans import MADE_AT, decision, doubtful_row, item, memory, night, plan

from .chromium import Chromium, Page

SCREEN, PAPER = (1280, 900, False), (1047, 718, True)  # A4 landscape within its margins
MODALITIES = ("CT", "MR", "MG", "CR", "US", "DX", "XA", "RTDOSE\\RTPLAN\\RTSTRUCT", "NM\\PT", "")
LONG = "Verlängerte Aufbewahrung für Strahlentherapie und Strahlentherapiebestrahlungsplanungsdatensätze <b>"
MONTHS = [*(f"2026-{month:02}" for month in range(3, 13)), "2027-01", "2027-02"]
COUNTS = {
    month: {modality: 90 * (place + 2) % 71 + 400 // (number + 1) for number, modality in enumerate(MODALITIES)}
    for place, month in enumerate(MONTHS)
}
ITEMS = [
    item(
        number,
        modalities=tuple(filter(None, MODALITIES[number % 10].split("\\"))),
        rule=LONG if number % 3 == 0 else "everything else",
        held_by=("litigation", LONG) if number % 9 == 0 else (),
        failures=5 if number == 7 else 0,
    )
    for number in range(60)
]
DOUBTFUL = {
    "undated": [doubtful_row(900 + number, Doubt("undated", "children", ("birth_date",))) for number in range(5)],
    "unknown": [doubtful_row(800, Doubt("unknown", LONG, ("PatientBirthDate", "StudyDate")))],
    "no_rule": [doubtful_row(700, Doubt("no_rule"))],
}
MADE = decision(
    plan(
        ITEMS,
        months={"earlier": {"CT": 1200, "MR": 80}, **COUNTS},
        before_delete="none",
        unmatched_holds=("holds/litigation.csv, line 12", f"holds/{LONG}.csv, line 3"),
        unmatched_dates=("anchors/deaths.csv, line 7", f"anchors/{LONG}.csv: and 1,234 more lines"),
        listed={"undated": 1234, "unknown": 1, "no_rule": 1},
    ),
    brakes=Brakes(per_night=40),
    memory=memory(*(night(days_ago, 3) for days_ago in range(1, 9)), known=ITEMS[:20]),
    obstacles=["hold_vanished"],
)


@pytest.fixture(scope="module")
def shown(chromium: Chromium, tmp_path_factory: pytest.TempPathFactory) -> Page:
    """The page, as it lies in a folder of whoever has downloaded it."""
    file: Path = tmp_path_factory.mktemp("plans") / "plan.html"
    file.write_bytes(to_html(PlanPage(plan_id(MADE.plan, MADE_AT), MADE_AT, MADE, DOUBTFUL)))
    page = chromium.page()
    page.resize(*SCREEN[:2])
    page.open(file.as_uri())
    return page


def test_what_is_read(shown: Page) -> None:
    """The head says that there is no way back; then what goes tonight, what keeps it, in figures, and how to go on."""
    text = shown.evaluate("document.body.innerText")
    told = [
        "Retention plan for 5 March 2026",
        "NONE. Nothing is copied",
        "Nothing is deleted tonight. Due: 53 studies.",
        "A line of a hold list is gone",
        "Put it back",
        "The policy allows 20: its max_share is 0.02.",
        "raise max_share",
        "its max_times_usual of 3 times the usual 3 a night",
        "Held by a hold list: 7 of the studies",
        "Could not be deleted in several runs",
        MADE.plan.hash,
        "1,280 studies",
        "40 of 53 are shown here",
        LONG,
        "holds/litigation.csv, line 12",
        "1,234",
    ]
    places = [text.find(words) for words in told]
    assert -1 not in places
    assert places[:8] == sorted(places[:8])


@pytest.mark.parametrize("size", [SCREEN, PAPER], ids=["screen", "paper"])
def test_nothing_is_cut_off(shown: Page, size: tuple[int, int, bool]) -> None:
    """Neither long names nor UIDs stand out of the page, or over each other's columns."""
    shown.resize(*size[:2], is_printed=size[2])
    width, right, clipped = shown.evaluate("""(() => {
        const all = [...document.querySelectorAll("main, main *")];
        const right = Math.max(...all.map((one) => one.getBoundingClientRect().right));
        const cells = all.filter((one) => one.matches("td, th, dd, p, li") && one.scrollWidth > one.clientWidth + 1);
        return [document.documentElement.clientWidth, right, cells.map((one) => one.textContent)];
    })()""")
    assert right <= width
    assert clipped == []


def bars_of(shown: Page) -> dict[str, list[dict[str, Any]]]:
    bars: list[dict[str, Any]] = shown.evaluate("""[...document.querySelectorAll("figure > svg rect")].map((bar) => {
        const box = bar.getBoundingClientRect();
        const [month, what] = bar.querySelector("title").textContent.split(", ", 2);
        const fill = bar.getAttribute("fill");
        return {month, what, fill, left: box.left, top: box.top, bottom: box.bottom, height: box.height};
    })""")
    return {month: [bar for bar in bars if bar["month"] == month] for month in MONTHS}


def test_the_bars(shown: Page) -> None:
    """Each month has its bar, as high as it has studies; its parts stand on each other, in the legend's colours."""
    shown.resize(*SCREEN[:2])
    bars = bars_of(shown)
    heights = {month: sum(bar["height"] for bar in parts) for month, parts in bars.items()}
    scale = heights["2026-03"] / sum(COUNTS["2026-03"].values())
    for month, counts in COUNTS.items():
        assert heights[month] == pytest.approx(scale * sum(counts.values()), rel=0.02)
        for lower, upper in zip(bars[month], bars[month][1:], strict=False):
            assert upper["bottom"] == pytest.approx(lower["top"], abs=1)
            assert upper["left"] == lower["left"]
        assert [bar["fill"] for bar in bars[month]] == list(COLOURS)
    lefts = [parts[0]["left"] for parts in bars.values()]
    assert lefts == sorted(set(lefts))
    legend = shown.evaluate("""[...document.querySelectorAll(".legend li")].map((entry) =>
        [entry.textContent, entry.querySelector("rect").getAttribute("fill")])""")
    assert [colour for _, colour in legend] == list(COLOURS)
    assert [name for name, _ in legend][:2] == ["CT", "MR"]
    assert legend[-1][0] == "others"


def test_who_cannot_see_it(shown: Page) -> None:
    """The chart has a name for those who hear the page, its figures stand in a table, and headings lead through it."""
    assert "Studies by the month of their last day" in shown.accessible_names("image")
    headings = shown.accessible_names("heading")
    assert headings[:3] == ["Retention plan for 5 March 2026", "Tonight", "What keeps it from going"]
    figures = shown.evaluate("""[...document.querySelectorAll(".figures tbody tr")].map((row) =>
        [row.cells[0].textContent, row.cells[row.cells.length - 1].textContent])""")
    assert dict(figures) == {
        "earlier": "1,280",
        **{month: f"{sum(counts.values()):,}" for month, counts in COUNTS.items()},
    }


def test_what_stands_out_can_be_read(shown: Page) -> None:
    """Every text is at least 4.5 times as bright as what it stands on, or the other way round (WCAG 2.2, 1.4.3)."""
    shown.resize(*SCREEN[:2])
    ratios = shown.evaluate("""(() => {
        const light = (colour) => colour.match(/[\\d.]+/g).slice(0, 3).map(Number).map((one) => one / 255)
            .map((one) => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)
            .reduce((sum, one, place) => sum + one * [0.2126, 0.7152, 0.0722][place], 0);
        const behind = (one) => {
            const colour = getComputedStyle(one).backgroundColor;
            if (!colour.endsWith(", 0)")) return colour;
            return one.parentElement ? behind(one.parentElement) : "rgb(255, 255, 255)";
        };
        const ratio = (one) => {
            const style = getComputedStyle(one);
            const text = light(one.closest("figure > svg") ? style.fill : style.color), ground = light(behind(one));
            return (Math.max(text, ground) + 0.05) / (Math.min(text, ground) + 0.05);
        };
        const texts = document.querySelectorAll("main p, main code, dt, dd, td, th, a, h1, h2, h3, li, svg text");
        return [...texts].map(ratio);
    })()""")
    assert len(ratios) > 300
    assert min(ratios) >= 4.5


def test_it_asks_for_nothing(shown: Page) -> None:
    """All that it shows is in it: nothing is fetched from anywhere."""
    assert shown.evaluate("performance.getEntriesByType('resource').length") == 0
