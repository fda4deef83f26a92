"""What has been written down, on its way out: a queue, and a thread that empties it.

All that takes time is that thread's: the SDK's import, the exporters, whoever receives slowly or not at all. Who works
only puts something into the queue; where it is full, the oldest goes.
"""

from __future__ import annotations

import atexit
import logging
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from shared.events import event
from shared.settings import TelemetrySettings

from .recording import Fact, switch_off, switch_on

if TYPE_CHECKING:
    from .pipeline import Pipeline

_MOST_WAITING: Final = 20_000
# After the first span or event, so that the app's first answer is out before the SDK is imported.
_REST_SECONDS: Final = 1.0
_LOOK_EVERY_SECONDS: Final = 0.5
_PATIENCE_AT_END_SECONDS: Final = 3.0


class Outbox:
    """A queue with its thread, which begins with the first that is put in.

    Args:
        settings: where to send to.
    """

    def __init__(self, settings: TelemetrySettings) -> None:
        self._settings = settings
        self._facts: deque[Fact] = deque(maxlen=_MOST_WAITING)
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._beginning = threading.Lock()

    def put(self, fact: Fact) -> None:
        """Have something sent, some time."""
        self._facts.append(fact)
        if self._thread is None:
            self._begin()

    def _begin(self) -> None:
        with self._beginning:
            if self._thread is not None:
                return
            thread = threading.Thread(target=self._run, name="telemetry", daemon=True)
            # None can be had: not now, or not any more.
            with suppress(RuntimeError):
                thread.start()
                self._thread = thread

    def close(self) -> None:
        """Send what is there, as far as that goes within some seconds."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(_PATIENCE_AT_END_SECONDS)

    def _run(self) -> None:
        self._closing.wait(_REST_SECONDS)
        try:
            self._send()
        except Exception as error:  # telemetry is never worth a request
            switch_off()
            if self._closing.is_set() and isinstance(error, RuntimeError):
                return  # no thread can be had any more, and the SDK needs some
            event("telemetry_failed", level=logging.WARNING, error=type(error).__name__)

    def _send(self) -> None:
        from .pipeline import Pipeline

        pipeline = Pipeline(self._settings)
        while not self._closing.wait(_LOOK_EVERY_SECONDS):
            self._pass_on(pipeline)
        self._pass_on(pipeline)
        pipeline.close()

    def _pass_on(self, pipeline: Pipeline) -> None:
        for _ in range(len(self._facts)):
            pipeline.take(self._facts.popleft())


def send_telemetry(settings: TelemetrySettings) -> None:
    """Write down what is done from now on, and send it; nothing of the sort where the settings do not say so."""
    if settings.is_on:
        outbox = Outbox(settings)
        atexit.register(outbox.close)
        switch_on(outbox.put, settings.ratio)
