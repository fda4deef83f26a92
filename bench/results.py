"""What the bench found: a row for each comparison, as a table to read and as JSON to keep."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from bench.aims import Aim
from bench.machine import Machine

RESULTS: Final = Path(__file__).with_name("results")
_HEAD: Final = ("path", "case", "ours", "rival", "ratio", "spread", "aim", "met")


@dataclass(frozen=True)
class Row:
    """One comparison.

    Args:
        path: what is measured: a module of `bench/paths/`.
        case: of which size, how many at once, and so on.
        unit: of `ours` and `rival`.
        ours: the median of the rounds.
        against: who the rival is.
        rival: its median; None where there is none, as of a latency.
        ratio: the median of ours to the rival's in the same round.
        spread: the lowest and the highest such ratio, or, without a rival, figure.
        aim: in words; empty where the rival is only there to be seen.
        met: whether it is; None without an aim, and where the machine was too busy to tell.
        busy: whether other programs had a part of the processors while this was measured.
    """

    path: str
    case: str
    unit: str
    ours: float
    against: str
    rival: float | None
    ratio: float | None
    spread: tuple[float, float]
    aim: str
    met: bool | None
    busy: bool = False


def row_of(
    path: str,
    case: str,
    unit: str,
    ours: Sequence[float],
    against: str = "",
    rival: Sequence[float] = (),
    aim: Aim | None = None,
) -> Row:
    """Return the row of a comparison.

    Args:
        path: as in `Row`, like all that is not said here.
        case: the same.
        unit: the same.
        ours: a figure for each round.
        against: the same.
        rival: a figure for each round, in the same order; empty if there is no rival.
        aim: what is to be reached.
    """
    ratios = [mine / other for mine, other in zip(ours, rival, strict=True)] if rival else []
    spread = ratios or ours
    return Row(
        path,
        case,
        unit,
        median(ours),
        against,
        median(rival) if rival else None,
        median(ratios) if ratios else None,
        (min(spread), max(spread)),
        aim.text if aim else "",
        aim.is_met(ours, rival) if aim else None,
    )


def table(rows: Iterable[Row]) -> str:
    """Return the rows as one table in Markdown, without a line break at its end."""
    lines = [_HEAD, *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = [" | ".join(map(str.ljust, cells, widths)) for cells in lines]
    rule = " | ".join("-" * width for width in widths)
    return "\n".join(f"| {line} |" for line in (padded[0], rule, *padded[1:]))


def write(rows: Sequence[Row], machine: Machine, *, is_quick: bool) -> Path:
    """Write the rows to `results/latest.json` and to a copy with the date in its name; return the copy's path.

    A quick run has a name of its own, and does not become the latest.
    """
    return _write([{**asdict(row), **asdict(machine)} for row in rows], machine, is_quick=is_quick)


def check_is_of(machine: Machine) -> None:
    """See whether rows measured now may stand beside the latest results.

    Raises:
        ValueError: those are of another machine or system, or of other versions of what both know the version of.
    """
    for row in json.loads((RESULTS / "latest.json").read_text()):
        others = {name for name, version in machine.versions.items() if row["versions"].get(name, version) != version}
        if others or (row["processor"], row["system"]) != (machine.processor, machine.system):
            raise ValueError("the latest results are of another machine, or of other versions: run all of it")


def renew(rows: Sequence[Row], machine: Machine) -> Path:
    """Write the rows in place of those that the latest results have of the same paths; otherwise as `write`.

    The others keep their own time and versions.

    Raises:
        ValueError: as `check_is_of` does.
    """
    check_is_of(machine)
    latest = json.loads((RESULTS / "latest.json").read_text())
    found: dict[str, list[dict[str, Any]]] = {}
    for row in latest:
        found.setdefault(row["path"], []).append(row)
    for path in {row.path for row in rows}:
        found[path] = [{**asdict(row), **asdict(machine)} for row in rows if row.path == path]
    return _write([row for of_path in found.values() for row in of_path], machine, is_quick=False)


def _write(rows: Sequence[Mapping[str, Any]], machine: Machine, *, is_quick: bool) -> Path:
    text = json.dumps(rows, indent=1) + "\n"
    if is_quick:
        path = RESULTS / "quick.json"
    else:
        path = RESULTS / f"{machine.measured[:10]}.json"
        (RESULTS / "latest.json").write_text(text)
    path.write_text(text)
    return path


def read(path: Path) -> list[Row]:
    """Read what `write` wrote, without the machine."""
    names = Row.__dataclass_fields__.keys()
    return [Row(**{name: row[name] for name in names}) for row in json.loads(path.read_text())]


def _cells(row: Row) -> tuple[str, ...]:
    ours = f"{_number(row.ours)} {row.unit}"
    rival = "" if row.rival is None else f"{_number(row.rival)} {row.against}"
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    return (row.path, row.case, ours, rival, ratio, " to ".join(map(_number, row.spread)), row.aim, _verdict(row))


def _verdict(row: Row) -> str:
    if not row.aim:
        return ""
    return "too busy to tell" if row.met is None else ("yes" if row.met else "NO")


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
