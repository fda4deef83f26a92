"""Run everything at once and see whether the app grows: `make bench-soak`; ARGS='--minutes 10' for less than an hour.

Exit code 0 if nothing of the app grows beyond what is allowed, 1 if something does, or if something was not done at
all, 2 if it seems to grow while other programs used the machine: then more is under way at a time, and what grows
cannot be told from that. An hour's samples are kept as
`bench/results/soak.json`, those of less than half an hour as `soak-quick.json`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from random import Random
from statistics import median

from bench.machine import BUSY_SHARE, this_machine
from bench.programs import ROOT
from bench.results import RESULTS
from bench.soak.load import SETTINGS, Load
from bench.soak.trend import Trend, trend_of
from bench.soak.watching import Sample, Watcher
from bench.turns import progress
from local.stack import Stack

_EVERY_SECONDS = 10.0
_WARM_UP_SHARE = 0.25  # pools and caches fill
_LEAST_MINUTES = 3.0
_LEAST_MINUTES_KEPT = 30.0
# What a figure may gain: a hundredth of the memory; a few of what comes and goes with each request, of which the lowest
# counts in a stretch of time: what is left behind is there also when nothing is under way.
_MEMORY = ("rss_mib", "blocks")
_MEMORY_SHARE = 0.01
_COUNTED = 3.0
_DONE = ("files dropped", "lookups, 2xx", "lookups hung up", "nights", "faults")  # or it is no soak
_FIGURES = {
    "rss_mib": "RSS, MiB",
    "files": "open files",
    "connections": "connections",
    "threads": "threads",
    "tasks": "tasks",
    "blocks": "Python's blocks, thousands",
}


def main() -> int:
    """Soak, print the table, keep the samples."""
    options = _read_options()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        # Not Azure's own library, which keeps something of each request, and so would hide what the app keeps.
        with Stack(folder, auth=True, worker="sdk", settings=SETTINGS, say=progress) as stack:
            seconds = 60 * options.minutes
            load = Load(stack, Random(options.seed), _WARM_UP_SHARE * seconds)
            samples = asyncio.run(_soak(load, Watcher(stack), seconds))
    progress("")
    trends = trends_of(samples)
    _print_table(trends, load.counts)
    print(f"\nWritten to {_write(samples, trends, load.counts, options.minutes).relative_to(ROOT)}")
    others = median(sample.others for sample in samples)
    print(f"Other programs used {others:.0%} of the processors.")
    if undone := [what for what in _DONE if not load.counts[what]]:
        print(f"Nothing was done of: {', '.join(undone)}.")
        return 1
    if all(trend.is_flat for trend in trends.values()):
        return 0
    return 1 if others <= BUSY_SHARE else 2


def trends_of(samples: Sequence[Sample]) -> dict[str, Trend]:
    """Return how each figure goes once the app is warm."""
    warm = samples[int(len(samples) * _WARM_UP_SHARE) :]
    return {name: _trend(name, warm) for name in _FIGURES}


def _trend(name: str, samples: Sequence[Sample]) -> Trend:
    points = [(one.seconds, float(getattr(one, name))) for one in samples]
    if name in _MEMORY:
        return trend_of(points, _MEMORY_SHARE * points[0][1])
    return trend_of(points, _COUNTED, min)


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help=f"at least {_LEAST_MINUTES:g}; an hour by default")
    parser.add_argument("--seed", type=int, default=1, help="of what is asked for, and goes wrong")
    parser.add_argument("--folder", type=Path, help="keep data and logs there")
    options = parser.parse_args()
    if options.minutes < _LEAST_MINUTES:
        parser.error(f"less than {_LEAST_MINUTES:g} minutes tell nothing")
    return options


async def _soak(load: Load, watcher: Watcher, seconds: float) -> list[Sample]:
    """Sample until the time is over; the load goes on meanwhile, and an error in it ends all."""
    working = asyncio.create_task(load.run())
    samples: list[Sample] = []
    try:
        while watcher.seconds < seconds:
            await asyncio.wait({working}, timeout=_EVERY_SECONDS)
            if working.done():
                await working
            samples.append(await asyncio.to_thread(watcher.sample))
            progress(f"{watcher.seconds / 60:.0f} of {seconds / 60:g} minutes: {_line(samples[-1])}")
    finally:
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
    return samples


def _line(sample: Sample) -> str:
    return ", ".join(f"{getattr(sample, name):g} {text}" for name, text in _FIGURES.items())


def _print_table(trends: Mapping[str, Trend], counts: Mapping[str, int]) -> None:
    print("| of the app | when warm | an hour more | with 95 % between | gained | grows |\n|---|---|---|---|---|---|")
    for name, trend in trends.items():
        between = f"{trend.low:+.2f} and {trend.high:+.2f}"
        figures = f"{trend.start:.1f} | {trend.per_hour:+.2f} | {between} | {trend.growth:+.2f}"
        print(f"| {_FIGURES[name]} | {figures} | {_verdict(trend)} |")
    print("\n" + ", ".join(f"{count:,} {what}" for what, count in sorted(counts.items())))


def _verdict(trend: Trend) -> str:
    if not trend.is_flat:
        return "YES"
    return "no" if trend.low <= 0 else f"less than the {trend.tolerance:.1f} allowed"


def _write(samples: Sequence[Sample], trends: Mapping[str, Trend], counts: Mapping[str, int], minutes: float) -> Path:
    path = RESULTS / ("soak.json" if minutes >= _LEAST_MINUTES_KEPT else "soak-quick.json")
    RESULTS.mkdir(exist_ok=True)
    document = {
        **asdict(this_machine()),
        "minutes": minutes,
        "counts": dict(sorted(counts.items())),
        "trends": {name: {**asdict(trend), "is_flat": trend.is_flat} for name, trend in trends.items()},
        "samples": [asdict(sample) for sample in samples],
    }
    path.write_text(json.dumps(document) + "\n")
    return path


if __name__ == "__main__":
    sys.exit(main())
