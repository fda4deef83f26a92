"""Publish what was measured: the table in `docs/performance.md`, the plots beside it, two figures in `sizing.md`.

`make bench-plots` does it, and `make bench` at its end.
"""

from __future__ import annotations

import json
import math
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bench.paths import PATHS
from bench.programs import ROOT
from bench.results import RESULTS, read, table
from bench.rivals.set_up import set_up_python

PAGE: Final = ROOT / "docs/performance.md"
SIZING: Final = ROOT / "docs/runbooks/sizing.md"
PLOTS: Final = ROOT / "docs/images/performance"
BEGIN, END = "<!-- measured: begin, by make bench-plots -->\n", "<!-- measured: end -->"
# Of path and case: the unit behind the figure that is told.
_TOLD: Final = {
    ("search", "1 result, 16 at once"): "a second",
    ("retrieve", "instance of 512 KiB, 1 at once"): "MB/s",
}
# Where a plot is to be, once there is one.
_PLACE_OF_PLOT: Final = re.compile(r"<!-- plot (\S+): (.+) -->")


def publish(python: Path) -> None:
    """Write the table into the page, and draw the plots.

    Args:
        python: has matplotlib, as that of the rivals.
    """
    subprocess.run([python, "-m", "bench.plots", RESULTS, PLOTS], cwd=ROOT, check=True)
    PAGE.write_text(with_plots(with_measured(PAGE.read_text(), RESULTS / "latest.json"), PLOTS))
    SIZING.write_text(with_told(SIZING.read_text(), RESULTS / "latest.json"))


def with_measured(page: str, latest: Path) -> str:
    """Return the page with what a run found between its markers.

    Args:
        page: as it is.
        latest: of the results; if there are none, the page stays as it is.
    """
    if not latest.exists():
        return page
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{_head(json.loads(latest.read_text()))}\n\n{table(read(latest))}\n{END}{after}"


def with_told(page: str, latest: Path) -> str:
    """Return the page with what was measured at least, rounded down to one figure; what was not measured stays.

    Args:
        page: says "at least" of a number and its unit.
        latest: of the results.
    """
    for row in read(latest):
        if unit := _TOLD.get((row.path, row.case)):
            size = 10 ** int(math.log10(row.ours))
            page = re.sub(rf"at least [\d,]+ {unit}", f"at least {row.ours // size * size:,.0f} {unit}", page)
    return page


def with_plots(page: str, folder: Path) -> str:
    """Return the page with each plot that there is shown where it has its place."""

    def shown(place: re.Match[str]) -> str:
        name, text = place.groups()
        return f"![{text}](images/performance/{name})" if (folder / name).exists() else place[0]

    return _PLACE_OF_PLOT.sub(shown, page)


def _head(rows: Sequence[Mapping[str, Any]]) -> str:
    """Say when and on what the rows were measured, one machine for all (`check_is_of`), and what was not."""
    days: dict[str, list[str]] = {}
    versions: dict[str, str] = {}
    for row in rows:
        of_day = days.setdefault(row["measured"].partition("T")[0], [])
        of_day += [row["path"]] if row["path"] not in of_day else []
        versions |= row["versions"]
    several = {day: f" ({', '.join(paths)})" if len(days) > 1 else "" for day, paths in days.items()}
    when = " and on ".join(f"{day}{paths}" for day, paths in several.items())
    what = ", ".join(f"{name} {version}" for name, version in versions.items())
    left_out = ", ".join(path for path in PATHS if path not in {row["path"] for row in rows})
    told = f"Measured on {when} on {rows[0]['processor']}, {rows[0]['system']}, with {what}."
    return f"{told} Left out: {left_out}." if left_out else told


if __name__ == "__main__":
    publish(set_up_python())
