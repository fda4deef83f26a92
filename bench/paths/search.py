"""Searches through the app, of which the service has the answers ready, so that it is what is between that is measured.

Beside it: the service itself, nginx, two pass-throughs made of the same packages, and the functions host with nothing
in it, and with an app that passes all on by aiohttp: these say how much of the app's time is the host's.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from bench.aims import Aim, at_least, more_by_at_most
from bench.load.wrk import Load, load
from bench.results import Row, row_of
from bench.servers import canned
from bench.servers.apps import our_app, small_app
from bench.servers.nginx import nginx_service
from bench.servers.proxies import AIOHTTP, NGINX, STARLETTE, proxy
from bench.turns import Bench

OURS = "ours"
DIRECT = "the service itself"
HOST = "the host alone"
PASSING = "the host, passing on by aiohttp"
SEARCHES: Final = {1: f"studies?StudyInstanceUID={canned.STUDY}&limit=1", 100: "studies?limit=100"}  # by results
# What the service is asked for, limit and offset: the app looks one result further.
_PAGES: Final = ("1-", "100-", "101-")


@dataclass(frozen=True)
class Place:
    """Where a search can be asked for."""

    url: str
    headers: Mapping[str, str]


def measure(bench: Bench) -> Iterator[Row]:
    """Yield the rows: the median time of one at a time, and answers a second of several at once."""
    with ExitStack() as running:
        places = _places(running, bench)
        for results, search in SEARCHES.items():
            asked = {name: _asked(place, search, results) for name, place in places.items() if name != HOST}
            if results == 1 and HOST in places:
                asked[HOST] = _asked(places[HOST], search, results)  # which answers with one, whatever it is asked
            for at_once in bench.either((1, 16), (1, 16) if results == 1 else ()):
                yield from _rows(bench, asked, results, at_once)


def _rows(bench: Bench, asked: Mapping[str, Place], results: int, at_once: int) -> Iterator[Row]:
    case = f"{results} result{'s'[: results - 1]}, {at_once} at once"
    sides: dict[str, Callable[[], Load]] = {
        name: partial(load, bench.rivals.wrk, place.url, place.headers, at_once, 1) for name, place in asked.items()
    }
    found = bench.in_turns(f"search, {case}", sides)
    aims: dict[str, Aim]
    if at_once == 1:
        aims, unit = {DIRECT: more_by_at_most(1.5, "ms")}, "ms"
        figures = {name: [one.p50_ms for one in loads] for name, loads in found.items()}
    else:
        aims, unit = {STARLETTE: at_least(0.7)}, "1/s"
        figures = {name: [one.rate for one in loads] for name, loads in found.items()}
    for name, rival in figures.items():
        if name != OURS:
            yield row_of("search", case, unit, figures[OURS], name, rival, aims.get(name))


def _places(running: ExitStack, bench: Bench) -> dict[str, Place]:
    """Start whoever is asked."""
    service = running.enter_context(nginx_service(bench.rivals.nginx, _service_folder(bench.folder)))
    app = running.enter_context(our_app(bench.folder / "app", service))
    names = bench.either((STARLETTE, AIOHTTP, NGINX), (STARLETTE,))
    proxies = {name: running.enter_context(proxy(bench, name, service)) for name in names}
    others = {DIRECT: service, **proxies}
    if not bench.is_quick:
        for who, name in ((HOST, "hello"), (PASSING, "passing")):
            others[who] = running.enter_context(small_app(name, bench.folder, service)).url
    return {OURS: Place(app.url, app.headers)} | {name: Place(url, {}) for name, url in others.items()}


def _service_folder(folder: Path) -> Path:
    """Write what the service answers, a file for each page that it is asked for."""
    service = folder / "service"
    service.mkdir()
    for name in _PAGES:
        limit, _, offset = name.partition("-")
        (service / f"page-{name}.json").write_bytes(canned.page(int(offset or 0), int(limit)))
    return service


def _asked(place: Place, search: str, results: int) -> Place:
    """Return the search at a place, which answers it as it should."""
    url = f"{place.url}/{search}"
    with urllib.request.urlopen(urllib.request.Request(url, headers=dict(place.headers))) as response:
        found = len(json.load(response))
    if found != results:
        raise RuntimeError(f"{url}: {found} results in place of {results}")
    return Place(url, place.headers)
