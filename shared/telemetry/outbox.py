"""What has been written down, on its way out: a queue, and a thread that empties it.

All that takes time is that thread's: the SDK's import, the exporters, whoever receives slowly or not at all. Who works
only puts something into the queue; where it is full, the oldest goes.
"""

from __future__ import annotations

import atexit
import logging
import threading
from collections import deque
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
        self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)
        self._beginning = threading.Lock()
        self._has_begun = False

    def put(self, fact: Fact) -> None:
        """Have something sent, some time."""
        self._facts.append(fact)
        if not self._has_begun:
            self._begin()

    def _begin(self) -> None:
        with self._beginning:
            if self._has_begun:
                return
            self._has_begun = True
        try:
            self._thread.start()
        except RuntimeError:  # no thread can be had, or the process is ending
            switch_off()
        else:
            atexit.register(self.close)

    def close(self) -> None:
        """Send what is there, as far as that goes within some seconds."""
        self._closing.set()
        self._thread.join(_PATIENCE_AT_END_SECONDS)

    def _run(self) -> None:
        self._closing.wait(_REST_SECONDS)
        try:
            self._send()
        except Exception as error:  # telemetry is never worth a request
            switch_off()
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
        switch_on(Outbox(settings).put, settings.ratio)
