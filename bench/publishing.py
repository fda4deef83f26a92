"""Publish what was measured: the table in `docs/performance.md`, and the plots beside it.

`make bench-plots` does it, and `make bench` at its end.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from bench.programs import ROOT
from bench.results import RESULTS, read, table
from bench.rivals.set_up import set_up_python

PAGE: Final = ROOT / "docs/performance.md"
PLOTS: Final = ROOT / "docs/images/performance"
BEGIN, END = "<!-- measured: begin, by make bench-plots -->\n", "<!-- measured: end -->"
# Where a plot is to be, once there is one.
_PLACE_OF_PLOT: Final = re.compile(r"<!-- plot (\S+): (.+) -->")


def publish(python: Path) -> None:
    """Write the table into the page, and draw the plots.

    Args:
        python: has matplotlib, as that of the rivals.
    """
    subprocess.run([python, "-m", "bench.plots", RESULTS, PLOTS], cwd=ROOT, check=True)
    PAGE.write_text(with_plots(with_measured(PAGE.read_text(), RESULTS / "latest.json"), PLOTS))


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
    machine: Mapping[str, Any] = json.loads(latest.read_text())[0]
    return f"{before}{BEGIN}{_head(machine)}\n\n{table(read(latest))}\n{END}{after}"


def with_plots(page: str, folder: Path) -> str:
    """Return the page with each plot that there is shown where it has its place."""

    def shown(place: re.Match[str]) -> str:
        name, text = place.groups()
        return f"![{text}](images/performance/{name})" if (folder / name).exists() else place[0]

    return _PLACE_OF_PLOT.sub(shown, page)


def _head(machine: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    day = machine["measured"].partition("T")[0]
    return f"Measured on {day} on {machine['processor']}, {machine['system']}, with {versions}."


if __name__ == "__main__":
    publish(set_up_python())
