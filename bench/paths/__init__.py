"""What is measured, a module for each path through the app; each has a `measure` that yields rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from bench.results import Row
from bench.turns import Bench

from . import cold_start, ingest, ingest_latency, large_file, orthanc, pages, purge, retrieve, search, store

PATHS: Final[Mapping[str, Callable[[Bench], Iterator[Row]]]] = {
    "store": store.measure,
    "orthanc": orthanc.measure,
    "ingest": ingest.measure,
    "ingest_latency": ingest_latency.measure,
    "large_file": large_file.measure,
    "search": search.measure,
    "pages": pages.measure,
    "retrieve": retrieve.measure,
    "purge": purge.measure,
    "cold_start": cold_start.measure,
}
