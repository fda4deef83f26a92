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

SCREEN, PAPER = (1280, 900, "screen"), (1047, 718, "print")  # A4 landscape within its margins
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
DOUBTFUL = {"unknown": [doubtful_row(800, Doubt("unknown", LONG, ("PatientBirthDate", "StudyDate")))]}
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
CUT_OFF = """(() => {
    const all = [...document.querySelectorAll("main, main *")];
    const right = Math.max(...all.map((one) => one.getBoundingClientRect().right));
    const cells = all.filter((one) => one.matches("td, th, dd, p, li") && one.scrollWidth > one.clientWidth + 1);
    return [right <= document.documentElement.clientWidth, cells.map((one) => one.textContent)];
})()"""
BARS = """[...document.querySelectorAll("figure > svg rect")].map((bar) => {
    const {left, top, bottom, height} = bar.getBoundingClientRect();
    const month = bar.querySelector("title").textContent.split(", ")[0];
    return {month, left, top, bottom, height, fill: bar.getAttribute("fill")};
})"""
CONTRASTS = """(() => {
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
})()"""


@pytest.fixture(scope="module")
def shown(chromium: Chromium, tmp_path_factory: pytest.TempPathFactory) -> Page:
    """The page, as it lies in a folder of an operator who has downloaded it."""
    file: Path = tmp_path_factory.mktemp("plans") / "plan.html"
    file.write_bytes(to_html(PlanPage(plan_id(MADE.plan, MADE_AT), MADE_AT, MADE, DOUBTFUL)))
    page = chromium.page()
    page.open(file.as_uri())
    return page


def resize(page: Page, width: int, height: int, media: str) -> None:
    page.call("Emulation.setEmulatedMedia", media=media)
    page.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)


@pytest.mark.parametrize("size", [SCREEN, PAPER], ids=["screen", "paper"])
def test_nothing_is_cut_off(shown: Page, size: tuple[int, int, str]) -> None:
    """Neither long names nor UIDs stand out of the page, or over each other's columns."""
    resize(shown, *size)
    assert shown.evaluate(CUT_OFF) == [True, []]
    assert LONG in shown.evaluate("document.body.innerText")


def test_the_bars(shown: Page) -> None:
    """Each month has its bar, as high as it has studies; its parts stand on each other, in the legend's colours."""
    resize(shown, *SCREEN)
    found: list[dict[str, Any]] = shown.evaluate(BARS)
    bars = {month: [bar for bar in found if bar["month"] == month] for month in MONTHS}
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


def test_readers_who_cannot_see_it(shown: Page) -> None:
    """The chart and the headings have names for assistive technology, and the chart's figures are in a table."""
    nodes = shown.call("Accessibility.getFullAXTree")["nodes"]
    names = [(node["role"]["value"], node["name"]["value"]) for node in nodes if {"role", "name"} <= node.keys()]
    assert ("image", "Studies by the month of their last day") in names
    headings = [name for role, name in names if role == "heading"]
    assert headings[:3] == ["Retention plan for 5 March 2026", "Tonight", "What keeps it from going"]
    figures = dict(
        shown.evaluate("""[...document.querySelectorAll(".figures tbody tr")].map((row) =>
        [row.cells[0].textContent, row.cells[row.cells.length - 1].textContent])""")
    )
    assert figures == {"earlier": "1,280", **{month: f"{sum(counts.values()):,}" for month, counts in COUNTS.items()}}


def test_every_text_has_contrast_and_nothing_is_fetched(shown: Page) -> None:
    """4.5 times, by WCAG 2.2, 1.4.3."""
    resize(shown, *SCREEN)
    ratios = shown.evaluate(CONTRASTS)
    assert len(ratios) > 300
    assert min(ratios) >= 4.5
    assert shown.evaluate("performance.getEntriesByType('resource').length") == 0
