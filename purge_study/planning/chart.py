"""How many studies have their last day when, by modality: a picture, and the same in figures (pure)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import accumulate
from typing import Final
from xml.etree.ElementTree import Element

from .markup import tag
from .plan import EARLIER, MONTHS_SHOWN, Plan
from .wording import number

OTHERS: Final = "others"
# Told apart by the colour-blind too (Okabe and Ito); the last one is for `OTHERS`.
COLOURS: Final = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#8a8f98")
_WIDTH, _HEIGHT = 1000, 320
_LEFT, _TOP, _BOTTOM = 64, 24, 34
_STEPS: Final = 4


@dataclass(frozen=True)
class Series:
    """What the chart shows.

    Args:
        months: from the plan's on, such as `2026-03`.
        modalities: those that there are most of, then the others as one.
        counts: month, the earlier ones as `earlier` → modality → how many.
    """

    months: tuple[str, ...]
    modalities: tuple[str, ...]
    counts: Mapping[str, Mapping[str, int]]

    def total(self, month: str) -> int:
        """Count the studies of a month."""
        return sum(self.counts[month].values())


def series_of(plan: Plan) -> Series:
    """Return what there is to show of a plan."""
    months = tuple(_month(plan.day, ahead) for ahead in range(MONTHS_SHOWN))
    named = {
        month: {_label(modality): count for modality, count in plan.months.get(month, {}).items()}
        for month in (EARLIER, *months)
    }
    totals = sum((Counter(counts) for counts in named.values()), Counter[str]())
    common = tuple(sorted(totals, key=lambda modality: (-totals[modality], modality))[: len(COLOURS) - 1])
    counts = {month: _gathered(counts, common) for month, counts in named.items()}
    return Series(months, common + ((OTHERS,) if len(totals) > len(common) else ()), counts)


def picture(series: Series) -> Element:
    """Return the months' bars as SVG."""
    top = _round_top(max((series.total(month) for month in series.months), default=0))
    words = "; ".join(f"{month}: {number(series.total(month))}" for month in series.months)
    return tag(
        "svg",
        tag("title", "Studies by the month of their last day", id="chart-title"),
        tag("desc", f"Stacked bars by modality. {words}.", id="chart-desc"),
        *(_grid_line(top, step) for step in range(_STEPS + 1)),
        *(_bar(series, month, place, top) for place, month in enumerate(series.months)),
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
        aria_labelledby="chart-title",
        aria_describedby="chart-desc",
    )


def legend(series: Series) -> Element:
    """Return which colour is which modality."""
    colours = {modality: _colour(series.modalities, modality) for modality in series.modalities}
    entries = (tag("li", _swatch(colour), modality) for modality, colour in colours.items())
    return tag("ul", *entries, class_="legend")


def _swatch(colour: str) -> Element:
    square = tag("rect", width="14", height="14", fill=colour)  # a background would not be printed
    return tag("svg", square, viewBox="0 0 14 14", aria_hidden="true")


def figures(series: Series) -> Element:
    """Return the same as a table."""
    columns = ("Month of the last day", *series.modalities, "All")
    rows = [(month, series.counts[month], series.total(month)) for month in (EARLIER, *series.months)]
    return tag(
        "table",
        tag("caption", "The same in figures"),
        tag("thead", tag("tr", *(tag("th", column, scope="col") for column in columns))),
        tag("tbody", *(_figures_row(series.modalities, *row) for row in rows)),
        class_="figures",
    )


def _figures_row(modalities: Sequence[str], month: str, counts: Mapping[str, int], total: int) -> Element:
    cells = (tag("td", number(counts.get(modality, 0))) for modality in modalities)
    return tag("tr", tag("th", month, scope="row"), *cells, tag("td", number(total)))


def _bar(series: Series, month: str, place: int, top: int) -> Element:
    step = (_WIDTH - _LEFT) / len(series.months)
    left, width = _LEFT + step * (place + 0.15), step * 0.7
    counts = [(modality, series.counts[month].get(modality, 0)) for modality in series.modalities]
    ends = accumulate(count for _, count in counts)
    parts = (
        tag(
            "rect",
            tag("title", f"{month}, {modality}: {number(count)}"),
            x=f"{left:.1f}",
            y=f"{_height(end, top):.1f}",
            width=f"{width:.1f}",
            height=f"{_height(0, top) - _height(count, top):.1f}",
            fill=_colour(series.modalities, modality),
        )
        for (modality, count), end in zip(counts, ends, strict=True)
        if count
    )
    total = series.total(month)
    middle = f"{left + width / 2:.1f}"
    above = tag("text", number(total), x=middle, y=f"{_height(total, top) - 6:.1f}", class_="total")
    below = tag("text", month, x=middle, y=str(_HEIGHT - 10), class_="month")
    return tag("g", *parts, above, below)


def _grid_line(top: int, step: int) -> Element:
    value = top * step // _STEPS
    height = f"{_height(value, top):.1f}"
    line = tag("line", x1=str(_LEFT), x2=str(_WIDTH), y1=height, y2=height)
    return tag("g", line, tag("text", number(value), x=str(_LEFT - 8), y=height, class_="scale"), class_="grid")


def _height(value: int, top: int) -> float:
    return _HEIGHT - _BOTTOM - (_HEIGHT - _BOTTOM - _TOP) * value / top


def _round_top(most: int) -> int:
    """Return the end of the scale: a round number, of which a quarter is whole."""
    for power in range(16):
        for first in (4, 8, 12, 20, 32):
            if first * 10**power >= most:
                return int(first * 10**power)
    return most


def _colour(modalities: Sequence[str], modality: str) -> str:
    return COLOURS[-1] if modality == OTHERS else COLOURS[modalities.index(modality)]


def _gathered(counts: Mapping[str, int], common: Sequence[str]) -> dict[str, int]:
    gathered: Counter[str] = Counter()
    for modality, count in counts.items():
        gathered[modality if modality in common else OTHERS] += count
    return dict(gathered)


def _label(modality: str) -> str:
    return modality.replace("\\", " + ") or "not given"


def _month(day: date, ahead: int) -> str:
    year, month = divmod(day.year * 12 + day.month - 1 + ahead, 12)
    return f"{year:04}-{month + 1:02}"
