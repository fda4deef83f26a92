"""1,000 results: one search of the app, which fetches the service's pages of 200 ahead, or the client's own loop.

The service takes some time over each page, as one does that has to look in a database in another building. Both sides
are dicomweb-client, and read all the results.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

from bench.aims import at_least
from bench.programs import Side
from bench.results import Row, row_of
from bench.servers.apps import our_app
from bench.servers.canned import STUDIES
from bench.servers.slow_search import slow_search
from bench.turns import Bench

RESULTS = 1000
PAGE = 200
DELAYS_MS = (20, 50, 100)
LOOP = "dicomweb-client, page by page"


def measure(bench: Bench) -> Iterator[Row]:
    """Yield the rows: how often a second all results are there, by how long the service takes over a page."""
    for delay_ms in bench.either(DELAYS_MS, (50,)):
        yield _row(bench, f"{RESULTS} results of {STUDIES}, {delay_ms} ms a page of {PAGE}", delay_ms, STUDIES)
    if not bench.is_quick:
        yield _row(bench, f"{RESULTS} results, all there are, 50 ms a page of {PAGE}", 50, RESULTS)


def _row(bench: Bench, case: str, delay_ms: int, studies: int) -> Row:
    with ExitStack() as running:
        service = running.enter_context(slow_search(delay_ms, studies))
        app = running.enter_context(our_app(bench.folder / f"{delay_ms}-{studies}", service))
        ours = running.enter_context(_client(bench, app.url, app.headers))
        loop = running.enter_context(_client(bench, service, {}))
        times = bench.either(4, 1)
        sides = {
            "ours": partial(ours.measure, results=RESULTS, page=RESULTS, times=times),
            LOOP: partial(loop.measure, results=RESULTS, page=PAGE, times=times),
        }
        for side in sides.values():
            side()
        found = bench.in_turns(f"pages, {case}", sides)
    rates = {name: [1 / seconds for seconds in rounds] for name, rounds in found.items()}
    return row_of("pages", case, "1/s", rates["ours"], LOOP, rates[LOOP], at_least(1.5))


def _client(bench: Bench, url: str, headers: object) -> Side:
    options = ("--url", url, "--headers", json.dumps(headers))
    return Side("bench.rivals.dicomweb_client_pages", *options, python=bench.rivals.python)
