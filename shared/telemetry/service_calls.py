"""The requests to the DICOM service as spans, whose trace goes along with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from shared.dicomweb import StatusError

from .recording import Span, span, traceparent
from .trace_context import HEADER


class ServiceCall:
    """One attempt at a request (`shared.dicomweb.observing.Attempt`)."""

    def __init__(self, span: Span) -> None:
        self._span = span

    @property
    def headers(self) -> Mapping[str, str]:
        """What is sent with it: nothing where telemetry is off by now."""
        header = traceparent()
        return {HEADER: header} if header else {}

    def answered(self, status_code: int) -> None:
        """Take note of an answer that was asked for."""
        self._span.set(status=status_code)


class ServiceCalls:
    """Looks on as requests are sent (`shared.dicomweb.observing.Observer`)."""

    @contextmanager
    def attempt(self, transaction: str, number: int) -> Iterator[ServiceCall]:
        """Have an attempt made inside."""
        with span(transaction, "client", transaction=transaction, attempts=number) as request:
            try:
                yield ServiceCall(request)
            except StatusError as error:
                request.set(status=error.status_code)
                raise
