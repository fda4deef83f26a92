"""What is measured: each metric, and what of the spans and events goes into it (pure).

The log says it all already, with the words that may be dimensions; so nothing is counted a second time where it is
done. Sampling has no part in it: what is not sent as a trace is counted all the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from .recording import FETCH_TOKEN, Event, Fact, Span

Number = int | float
NAMESPACE: Final = "dicom_dropbox"


@dataclass(frozen=True)
class Metric:
    """A metric.

    Args:
        name: below our namespace.
        kind: `counter` adds up, `histogram` tells how the values lie, `gauge` the latest one.
        unit: of UCUM.
        description: for whoever looks at it.
        dimensions: what it is told apart by; all of them words of the code, but for `source`.
        value: the field that is measured; None counts occurrences.
    """

    name: str
    kind: Literal["counter", "histogram", "gauge"]
    unit: str
    description: str
    dimensions: tuple[str, ...] = ()
    value: str | None = None


_OF_EVENTS: Final[Mapping[str, tuple[Metric, ...]]] = {
    "blob_decided": (
        Metric("ingest.verdicts", "counter", "{file}", "Files that have their verdict.", ("verdict", "source")),
        Metric("ingest.bytes", "counter", "By", "Bytes of the files that have their verdict.", ("verdict",), "bytes"),
        Metric("ingest.duration", "histogram", "s", "From the last attempt's beginning.", ("verdict",), "seconds"),
    ),
    "blob_deferred": (Metric("ingest.deferrals", "counter", "{deferral}", "Files put off.", ("reason",)),),
    "sweep": (
        Metric(
            "ingest.oldest_pending",
            "gauge",
            "s",
            "Age of the oldest file without a verdict.",
            (),
            "oldest_pending_seconds",
        ),
    ),
    "lookup": (
        Metric("lookups", "counter", "{lookup}", "Lookups.", ("transaction", "resource", "status")),
        Metric("lookup.bytes", "counter", "By", "Bytes that callers were sent.", ("transaction",), "bytes"),
        Metric("lookup.duration", "histogram", "s", "To the last byte.", ("transaction", "status"), "seconds"),
    ),
    "request": (Metric("requests", "counter", "{request}", "Other requests.", ("transaction", "status")),),
    "study_purged": (Metric("retention.purged", "counter", "{study}", "Studies deleted.", ("reason",)),),
}
_OF_REQUESTS: Final = Metric(
    "service.duration", "histogram", "s", "Requests to the DICOM service, to the answer's beginning.",
    ("transaction", "status"), "seconds",
)  # fmt: skip
_OF_REPETITIONS: Final = Metric(
    "service.retries", "counter", "{request}", "Requests to the DICOM service that were sent again.", ("transaction",)
)
_OF_TOKENS: Final = Metric("tokens", "counter", "{token}", "Tokens asked for, for the DICOM service.", ("outcome",))

METRICS: Final = (*(one for some in _OF_EVENTS.values() for one in some), _OF_REQUESTS, _OF_REPETITIONS, _OF_TOKENS)


def measured(fact: Fact) -> Iterator[tuple[Metric, Number, dict[str, object]]]:
    """Yield what a fact adds: to which metric, how much, and by which dimensions."""
    if isinstance(fact, Event):
        for metric in _OF_EVENTS.get(fact.name, ()):
            yield from _taken(metric, fact.fields)
    elif fact.kind == "client":
        said = _said_of(fact)
        yield from _taken(_OF_REQUESTS, said)
        if fact.attributes.get("attempts", 1) > 1:
            yield from _taken(_OF_REPETITIONS, said)
    elif fact.name == FETCH_TOKEN:
        yield from _taken(_OF_TOKENS, {"outcome": "failed" if fact.error else "fetched"})


def _said_of(span: Span) -> dict[str, object]:
    return {**span.attributes, "seconds": (span.ended - span.began) / 1e9}


def _taken(metric: Metric, fields: Mapping[str, object]) -> Iterator[tuple[Metric, Number, dict[str, object]]]:
    value = 1 if metric.value is None else fields.get(metric.value)
    if isinstance(value, Number):
        told = {name: fields.get(name) for name in metric.dimensions}
        yield metric, value, {name: word for name, word in told.items() if word is not None}
