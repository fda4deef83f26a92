"""A collector of telemetry: takes OTLP over HTTP, and what Application Insights is sent, on a socket; it keeps all of
it, and can misbehave.
"""

from __future__ import annotations

import gzip
import json
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_KINDS = {1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}
_SLOW_SECONDS = 30.0
_LOOK_EVERY_SECONDS = 0.02  # whether to end


@dataclass(frozen=True)
class Received:
    """A span."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]
    is_error: bool
    seconds: float


@dataclass(frozen=True)
class Point:
    """A metric's value, by its dimensions."""

    name: str
    unit: str
    dimensions: dict[str, Any]
    value: float


@dataclass(frozen=True)
class Line:
    """A log record."""

    body: str
    trace_id: str
    severity: str

    @property
    def event(self) -> str:
        """The event's name."""
        return str(json.loads(self.body)["event"])


@dataclass(frozen=True)
class Refusal:
    """An answer to one request: none at all, if there is no status.

    Args:
        status: of HTTP.
        headers: besides the usual ones.
        errors: statuses of those items that are not taken, by their places (206, of Application Insights alone).
        message: what is said of these.
    """

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    errors: Mapping[int, int] = field(default_factory=dict)
    message: str = "busy"


class Collector:
    """A running one; `mood` says how it answers: as it should, late, what is no answer, or with an error.

    The next requests are answered by `refusals`, one each, as long as there are any. `hung_up` counts those who asked
    by a connection of before it went down.
    """

    def __init__(self) -> None:
        self.mood: Literal["well", "slow", "garbage", "refusing", "down"] = "well"
        self.refusals: deque[Refusal] = deque()
        self.bodies: list[tuple[str, bytes]] = []
        self.hung_up = 0
        self._server = self._listener()
        self._over = threading.Event()

    @property
    def url(self) -> str:
        """What OTEL_EXPORTER_OTLP_ENDPOINT says."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def settings(self) -> dict[str, str]:
        """The app settings that send all to it, and soon."""
        return {
            "PYTHON_ENABLE_OPENTELEMETRY": "true",
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.url,
            "OTEL_BSP_SCHEDULE_DELAY": "200",
            "OTEL_BLRP_SCHEDULE_DELAY": "200",
            "OTEL_METRIC_EXPORT_INTERVAL": "500",
        }

    def __enter__(self) -> Self:
        self._serve()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()

    def go_down(self) -> None:
        """Listen no more, and hang up whoever is connected."""
        self.mood = "down"
        self._server.shutdown()
        self._server.server_close()

    def come_up(self) -> None:
        """Listen again, at the same address."""
        self.mood = "well"
        self._server = self._listener(self._server.server_port)
        self._serve()

    def spans(self) -> list[Received]:
        """Return all spans, in the order in which they began."""
        found = [
            span
            for request in self._requests("/v1/traces", ExportTraceServiceRequest)
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        return [_span(span) for span in sorted(found, key=lambda span: span.start_time_unix_nano)]

    def points(self, name: str) -> list[Point]:
        """Return the latest values of a metric; of a histogram, how many values there were."""
        latest: dict[str, Point] = {}
        for metric in self._metrics():
            if metric.name == name:
                for point in _points(metric):
                    latest[str(sorted(point.dimensions.items()))] = point
        return list(latest.values())

    def metric_names(self) -> set[str]:
        """Return the names of all metrics."""
        return {metric.name for metric in self._metrics()}

    def lines(self) -> list[Line]:
        """Return all log records."""
        return [
            Line(record.body.string_value, record.trace_id.hex(), record.severity_text)
            for request in self._requests("/v1/logs", ExportLogsServiceRequest)
            for resource in request.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]

    def envelopes(self) -> list[dict[str, Any]]:
        """Return what was sent in the form of Application Insights."""
        return [item for path, body in list(self.bodies) if path.endswith("/track") for item in json.loads(body)]

    def everything(self) -> bytes:
        """Return all bytes that came."""
        return b"".join(body for _, body in self.bodies)

    def _metrics(self) -> Iterator[Any]:
        for request in self._requests("/v1/metrics", ExportMetricsServiceRequest):
            for resource in request.resource_metrics:
                for scope in resource.scope_metrics:
                    yield from scope.metrics

    def _requests(self, path: str, kind: type[Any]) -> Iterator[Any]:
        for sent_to, body in list(self.bodies):
            if sent_to == path:
                yield kind.FromString(body)

    def _listener(self, port: int = 0) -> ThreadingHTTPServer:
        server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        server.daemon_threads = True
        return server

    def _serve(self) -> None:
        threading.Thread(target=self._server.serve_forever, args=[_LOOK_EVERY_SECONDS], daemon=True).start()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if collector.mood == "down":  # the connection is an older one
                    collector.hung_up += 1
                    self.close_connection = True
                    return
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                collector.bodies.append((self.path, body))
                collector._answer(self, self.path, body)

            def log_message(self, *_: object) -> None: ...

        return Handler

    def _answer(self, handler: BaseHTTPRequestHandler, path: str, body: bytes) -> None:
        if self.mood == "slow":
            self._over.wait(_SLOW_SECONDS)
        if self.mood == "garbage":
            handler.wfile.write(b"\x00 no HTTP \xff" * 100)
            handler.close_connection = True
            return
        refusal = self.refusals.popleft() if self.refusals else Refusal(503 if self.mood == "refusing" else 200)
        if not refusal.status:
            handler.close_connection = True
            return
        items = len(json.loads(body)) if path.endswith("/track") else 0
        answer = _taken(items, refusal) if items else b""
        handler.send_response(refusal.status)
        handler.send_header("content-type", "application/json" if items else "application/x-protobuf")
        handler.send_header("content-length", str(len(answer)))
        for name, value in refusal.headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(answer)


def _taken(items: int, refusal: Refusal) -> bytes:
    """Return what Application Insights says of so many items."""
    errors = [
        {"index": index, "statusCode": status, "message": refusal.message} for index, status in refusal.errors.items()
    ]
    return json.dumps({"itemsReceived": items, "itemsAccepted": items - len(errors), "errors": errors}).encode()


def _span(span: Any) -> Received:
    return Received(
        span.name,
        _KINDS[span.kind],
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        _attributes(span.attributes),
        span.status.code == 2,
        (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
    )


def _points(metric: Any) -> Iterator[Point]:
    for point in (*metric.sum.data_points, *metric.gauge.data_points):
        value = point.as_double if point.HasField("as_double") else point.as_int
        yield Point(metric.name, metric.unit, _attributes(point.attributes), value)
    for point in metric.histogram.data_points:
        yield Point(metric.name, metric.unit, _attributes(point.attributes), point.count)


def _attributes(pairs: Iterable[Any]) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
