"""Draw what was measured: `python -m bench.plots RESULTS FOLDER`, on the rivals' Python, which has matplotlib.

The same results give the same files, byte for byte. Colours are those of Okabe and Ito, which the colour-blind can tell
apart; no line is told from another by its colour alone.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

Rows: TypeAlias = Sequence[Mapping[str, Any]]
Points: TypeAlias = list[tuple[float, float]]
_OURS: Final = {"color": "#0072B2", "marker": "o", "linestyle": "-"}
_OTHERS: Final[tuple[dict[str, Any], ...]] = (
    {"color": "#D55E00", "marker": "s", "linestyle": "--"},
    {"color": "#009E73", "marker": "^", "linestyle": ":"},
    {"color": "#CC79A7", "marker": "D", "linestyle": "-."},
    {"color": "#E69F00", "marker": "v", "linestyle": (0, (6, 2))},
)
_STYLE: Final = {
    "svg.hashsalt": "bench",
    "svg.fonttype": "none",  # text stays text: smaller, and can be searched
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_STORED: Final = "512 KiB"
_LATENCIES_OF: Final = ("ingest_latency", "search", "retrieve")


def main(results: Path, folder: Path) -> None:
    """Draw all for which there is something."""
    mpl.rcParams.update(_STYLE)
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in _figures(results):
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None, "Creator": None})


def _figures(results: Path) -> Iterator[tuple[str, Figure]]:
    latest, soak = results / "latest.json", results / "soak.json"
    if latest.exists():
        rows: Rows = json.loads(latest.read_text())
        yield "store", store(rows)
        yield "latency", latency(rows)
        yield "purge", purge(rows)
    if soak.exists():
        yield "memory", memory(json.loads(soak.read_text()))


def store(rows: Rows) -> Figure:
    """Draw stores a second against how many at once, without and with a delay of the server."""
    figure, (left, right) = _panels(2)
    for axes, delay in ((left, "0 ms"), (right, "20 ms")):
        case = f"{_STORED}, {delay}"
        here = [row for row in rows if row["path"] == "store" and row["case"].startswith(f"{case}, ")]
        _draw_stores(axes, [(int(row["case"].split(", ")[2].split()[0]), row) for row in here])
        axes.set_title(f"Stores of {_STORED}, server's delay {delay}")
        axes.set_xlabel("stores at once")
        axes.set_ylabel("instances a second")
        axes.set_ylim(bottom=0)
    # Below both, for there is a line wherever it might stand between them.
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _draw_stores(axes: Axes, rows: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
    lines: dict[str, Points] = {"ours": sorted({(float(number), row["ours"]) for number, row in rows})}
    for number, row in rows:
        lines.setdefault(row["against"], []).append((float(number), row["rival"]))
    at_once = [number for number, _ in lines["ours"]]
    for (name, points), style in zip(lines.items(), (_OURS, *_OTHERS), strict=False):
        # A rival that sends one after the other was measured once, and would be as fast beside any number of ours.
        drawn = points if len({figure for _, figure in points}) > 1 else [(number, points[0][1]) for number in at_once]
        axes.plot(*zip(*drawn, strict=True), label=name, **style)
    if at_once:
        axes.set_xscale("log", base=2)
        axes.set_xticks(at_once, [f"{number:g}" for number in at_once])


def latency(rows: Rows) -> Figure:
    """Draw how long things take, ours beside whoever was measured with it, a line for each comparison."""
    found = [row for row in rows if row["path"] in _LATENCIES_OF and row["unit"] == "ms"]
    figure, (axes,) = _panels(1, height=1.2 + 0.32 * len(found))
    for number, row in enumerate(reversed(found)):
        if row["rival"] is not None:
            axes.plot([row["ours"], row["rival"]], [number, number], color="#999999", zorder=1)
            axes.scatter(row["rival"], number, color=_OTHERS[0]["color"], marker="s", zorder=2)
        axes.scatter(row["ours"], number, color=_OURS["color"], marker="o", zorder=3)
    names = [f"{row['path']}, {row['case']}" + f" | {row['against']}" * bool(row["against"]) for row in found]
    axes.set_yticks(range(len(names)), names[::-1])
    axes.set_xlabel("milliseconds; circle: ours, square: the other")
    if found:
        axes.set_xscale("log")
    return figure


def purge(rows: Rows) -> Figure:
    """Draw what a night's plan costs against the size of the archive."""
    figure, (left, right) = _panels(2)
    for axes, case in ((left, "plan, 300 due and new"), (right, "plan, 1 % due and new, per such pair")):
        points = sorted(_sizes(rows, case).items())
        if points:
            axes.plot(*zip(*points, strict=True), **_OURS)
        axes.set_title(case.capitalize())
        axes.set_xlabel("studies in the archive")
        axes.set_xscale("log")
        axes.set_ylabel("milliseconds of the processor")
        axes.set_ylim(0, 1.1 * max((figure for _, figure in points), default=1))
    return figure


def _sizes(rows: Rows, case: str) -> dict[int, float]:
    """Return the size → the figure: each row has one size as ours, and the one before as its rival."""
    found: dict[int, float] = {}
    for row in rows:
        if row["path"] == "purge" and row["unit"] == "ms" and row["case"].startswith(f"{case}, "):
            found[_number(row["case"].removeprefix(f"{case}, "))] = row["ours"]
            found[_number(row["against"].removeprefix("at "))] = row["rival"]
    return found


def _number(text: str) -> int:
    return int(text.split()[0].replace(",", ""))


def memory(soak: Mapping[str, Any]) -> Figure:
    """Draw what the app held in a soak, and the lines that were fitted."""
    figure, (left, right) = _panels(2)
    minutes = [sample["seconds"] / 60 for sample in soak["samples"]]
    for axes, names in ((left, ("rss_mib",)), (right, ("files", "connections", "tasks"))):
        for name, style in zip(names, (_OURS, *_OTHERS), strict=False):
            figures = [sample[name] for sample in soak["samples"]]
            axes.plot(
                minutes,
                figures,
                color=style["color"],
                linestyle=style["linestyle"],
                label={"rss_mib": "RSS"}.get(name, name),
                linewidth=1,
            )
        axes.set_xlabel("minutes")
    right.set_ylim(bottom=0)  # the memory's axis begins near its figures, or nobody would see it move
    trend = soak["trends"]["rss_mib"]
    last = minutes[-1]
    first = last - 60 * trend["growth"] / trend["per_hour"] if trend["per_hour"] else 0.0
    line = [trend["start"], trend["start"] + trend["growth"]]
    left.plot([first, last], line, color="black", linestyle="--", label=f"{trend['per_hour']:+.1f} MiB an hour")
    left.set_title("Memory of host and app")
    left.set_ylabel("RSS, MiB")
    right.set_title("What it holds")
    right.set_ylabel("number")
    left.legend(loc="lower right")
    right.legend(loc="upper right")
    return figure


def _panels(number: int, height: float = 3.6) -> tuple[Figure, Sequence[Axes]]:
    figure = Figure(figsize=(9, height), layout="constrained")
    axes = figure.subplots(1, number, squeeze=False)
    return figure, list(axes[0])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, help="folder of latest.json and soak.json")
    parser.add_argument("folder", type=Path, help="to draw into")
    options = parser.parse_args()
    main(options.results, options.folder)
