"""Retrievals through the app: an instance, a series, a large study, of which the service has the bytes ready.

Beside it, before the same service: nginx, as Debian has it and with large buffers, and a pass-through of Starlette and
aiohttp.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench.aims import at_least, more_by_at_most, no_more_than
from bench.memory import MIB, reset_peak_bytes, status_bytes
from bench.programs import Side
from bench.results import Row, row_of
from bench.servers import canned
from bench.servers.apps import App, our_app
from bench.servers.nginx import nginx_service
from bench.servers.proxies import NGINX, NGINX_WIDE, STARLETTE, proxy
from bench.turns import Bench

OURS = "ours"
RIVALS = (NGINX, NGINX_WIDE, STARLETTE)
INSTANCE_BYTES = 512 * 1024
ACCEPT = 'multipart/related; type="application/dicom"; transfer-syntax=*'


@dataclass(frozen=True)
class Case:
    """What is retrieved.

    Args:
        name: of it.
        path: below the service's address.
        instances: how many it has.
        at_once: how many connections ask for it.
        times: how often each of them does, a round.
    """

    name: str
    path: str
    instances: int
    at_once: int = 1
    times: int = 1


_SERIES = f"studies/{canned.STUDY}/series/{canned.SERIES}"
_INSTANCE = f"{_SERIES}/instances/{canned.INSTANCE}"


def _cases(*, is_quick: bool) -> list[Case]:
    size = 128 * MIB if is_quick else 1024 * MIB
    return [
        Case("instance of 512 KiB", _INSTANCE, 1, 1, 50 if is_quick else 200),
        Case("instance of 512 KiB", _INSTANCE, 1, 4, 25 if is_quick else 100),
        Case("series of 300", _SERIES, 300),
        Case(f"study of {size // MIB} MiB", f"studies/{canned.STUDY}", size // INSTANCE_BYTES),
    ]


def measure(bench: Bench) -> Iterator[Row]:
    """Yield the rows: bytes a second, the time to the first byte, and what the app grows by."""
    cases = _cases(is_quick=bench.is_quick)
    with ExitStack() as running:
        folder = _service_folder(bench.folder, cases)
        service = running.enter_context(nginx_service(bench.rivals.nginx, folder))
        app = running.enter_context(our_app(bench.folder / "app", service))
        rivals = {name: running.enter_context(proxy(bench, name, service)) for name in RIVALS}
        idle_bytes = _idle_bytes(app, cases[0])
        for case in cases:
            yield from _rows(bench, case, app, rivals, idle_bytes)


def _idle_bytes(app: App, small: Case) -> int:
    """Return what the app has in memory once it has passed on small answers, and none that is large."""
    with _retriever(small, app.url, app.headers) as retriever:
        retriever.measure(at_once=4, times=25)
    return status_bytes("VmRSS", app.pid)


def _rows(bench: Bench, case: Case, app: App, rivals: Mapping[str, str], idle_bytes: int) -> Iterator[Row]:
    with ExitStack() as running:

        def side(url: str, headers: Mapping[str, str]) -> Callable[[], Any]:
            retriever = running.enter_context(_retriever(case, url, headers))
            retriever.measure(at_once=case.at_once, times=1)
            return partial(retriever.measure, at_once=case.at_once, times=case.times)

        ours = side(app.url, app.headers)
        sides: dict[str, Callable[[], Any]] = {OURS: partial(_with_growth, app.pid, idle_bytes, ours)}
        sides |= {name: side(url, {}) for name, url in rivals.items()}
        found = bench.in_turns(f"retrieve, {case.name}, {case.at_once} at once", sides)
    yield from _compared(case, found)


def _compared(case: Case, found: Mapping[str, list[dict[str, float]]]) -> Iterator[Row]:
    rates = {name: [one["rate"] / 1e6 for one in rounds] for name, rounds in found.items()}
    firsts = {name: [one["first_byte_seconds"] * 1000 for one in rounds] for name, rounds in found.items()}
    here = f"{case.name}, {case.at_once} at once"
    for rival in RIVALS:
        rate_aim = at_least(0.8) if rival == NGINX else None
        yield row_of("retrieve", here, "MB/s", rates[OURS], rival, rates[rival], rate_aim)
    aim = more_by_at_most(5, "ms")
    yield row_of("retrieve", f"{here}, first byte", "ms", firsts[OURS], NGINX, firsts[NGINX], aim)
    if case.instances > 1:
        growths = [one["growth_bytes"] / MIB for one in found[OURS]]
        yield row_of("retrieve", f"{here}, memory", "MiB", growths, aim=no_more_than(64, "MiB"))


def _with_growth(pid: int, idle_bytes: int, measure: Callable[[], dict[str, float]]) -> dict[str, float]:
    """Measure a round, and by how much a process is larger at its peak than when it was idle."""
    reset_peak_bytes(pid)
    found = measure()
    return {**found, "growth_bytes": status_bytes("VmHWM", pid) - idle_bytes}


def _retriever(case: Case, url: str, headers: Mapping[str, str]) -> Side:
    options = {
        "--url": f"{url}/{case.path}",
        "--headers": json.dumps({**headers, "Accept": ACCEPT}),
        "--size-bytes": str(case.instances * INSTANCE_BYTES),
    }
    return Side("bench.load.retriever", *(text for option in options.items() for text in option))


def _service_folder(folder: Path, cases: list[Case]) -> Path:
    """Write what the service answers, a file for each case."""
    service = folder / "service"
    service.mkdir()
    for case in cases:
        with (service / case.name.partition(" ")[0]).open("wb") as file:
            file.writelines(canned.message(case.instances, INSTANCE_BYTES))
    return service
