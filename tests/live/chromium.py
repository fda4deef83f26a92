"""Chromium without a window: the machine's own, or Debian's packages unpacked into a folder of ours.

It is driven by the DevTools protocol through pipes, which needs no library and no port. Nothing intercepts the requests
of a page: that may keep Chromium from sending preflights.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from local.process import Part, stop

from .installing import unpacked, variables

_PACKAGE = "chromium-headless-shell"
_IN_PACKAGE = f"usr/lib/chromium/{_PACKAGE}"
_PATIENCE_SECONDS = 60.0

Message = dict[str, Any]


def find_or_fetch() -> tuple[Path, Mapping[str, str]]:
    """Return where Chromium is, and the environment in which it finds its libraries; apt fetches it if need be.

    Raises:
        InstallationFailed: there is none, and apt cannot fetch it either.
    """
    for name in (_PACKAGE, "chromium", "google-chrome-stable", "google-chrome"):
        if found := shutil.which(name):
            return Path(found), {}
    root = unpacked(_PACKAGE, _IN_PACKAGE)
    return root / _IN_PACKAGE, {"LD_LIBRARY_PATH": variables(root)["LD_LIBRARY_PATH"]}


class Chromium:
    """A browser with a profile in a folder, which nobody needs afterwards."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._executable, self._environment = find_or_fetch()
        self._folder, self._options = folder, options
        self._unread, self._count = b"", 0
        self.events: list[Message] = []

    def __enter__(self) -> Self:
        for name in ("commands", "answers"):
            os.mkfifo(self._folder / name)
        # For reading and writing, so that neither side waits for the other to open it.
        self._commands, self._answers = (os.open(self._folder / name, os.O_RDWR) for name in ("commands", "answers"))
        # It takes commands from descriptor 3 and answers on 4.
        command = ["sh", "-c", 'exec "$@" 3<commands 4>answers', "sh", str(self._executable)]
        options = ["--headless", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--remote-debugging-pipe"]
        self._part = Part(
            "Chromium",
            [*command, *options, f"--user-data-dir={self._folder / 'profile'}", *self._options],
            log=self._folder / "chromium.log",
            environment={**os.environ, **self._environment},
            folder=self._folder,
        )
        return self

    def __exit__(self, *_: object) -> None:
        stop([self._part], grace_seconds=5)
        os.close(self._commands)
        os.close(self._answers)

    def page(self) -> Page:
        """Return a blank page that shares nothing with any other: no cache, no answer to a preflight."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        return Page(self, self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])

    def call(self, method: str, session: str | None = None, **parameters: Any) -> Any:
        """Call a method of the DevTools protocol and return its result; events that come meanwhile are kept.

        Raises:
            RuntimeError: the browser refuses.
            TimeoutError: it does not answer.
        """
        self._count += 1
        command = {"id": self._count, "method": method, "params": parameters, "sessionId": session}
        left = json.dumps({name: value for name, value in command.items() if value is not None}).encode() + b"\0"
        while left:
            left = left[os.write(self._commands, left) :]
        while (message := self._receive()).get("id") != self._count:
            self.events.append(message)
        if "error" in message:
            raise RuntimeError(f"{method}: {message['error']['message']}")
        return message["result"]

    def receive_event(self) -> None:
        """Wait for one more event.

        Raises:
            TimeoutError: there is none.
        """
        self.events.append(self._receive())

    def _receive(self) -> Message:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while b"\0" not in self._unread:
            self._part.check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"Chromium does not answer:\n{self._part.tail()}")
            if select.select([self._answers], [], [], 0.5)[0]:
                self._unread += os.read(self._answers, 1 << 20)
        message, _, self._unread = self._unread.partition(b"\0")
        decoded: Message = json.loads(message)
        return decoded


class PageError(Exception):
    """What a page's script threw."""


@dataclass
class Exchange:
    """A request that a page sent, or a preflight (OPTIONS) that the browser sent first; header names in lower case.

    `status` is None if there was no answer, or none that the page may see.
    """

    method: str = ""
    url: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    status: int | None = None
    ended: bool = False


class Page:
    """A page in a session of its own."""

    def __init__(self, chromium: Chromium, session: str) -> None:
        self._chromium, self._session = chromium, session
        for domain in ("Page", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        """Call a method of the DevTools protocol for this page."""
        return self._chromium.call(method, self._session, **parameters)

    def open(self, url: str) -> None:
        """Go to an address and return once the page is loaded with all its scripts."""
        answer = self.call("Page.navigate", url=url)
        assert "errorText" not in answer, f"{url}: {answer}"
        events = self._chromium.events
        while not any(
            (one.get("method"), one.get("sessionId")) == ("Page.loadEventFired", self._session) for one in events
        ):
            self._chromium.receive_event()

    def evaluate(self, expression: str) -> Any:
        """Return what an expression is, or what its promise resolves to, as JSON.

        Raises:
            PageError: it threw, or was rejected.
        """
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            thrown = answer["exceptionDetails"].get("exception", {})
            raise PageError(thrown.get("description") or json.dumps(thrown.get("value")))
        return answer["result"].get("value")

    def exchanges(self, url: str, count: int) -> list[Exchange]:
        """Return what was exchanged with addresses that begin so, once as much has ended: events are told late.

        Raises:
            TimeoutError: there are not as many.
        """
        while len(ended := [one for one in self._noted() if one.ended and one.url.startswith(url)]) < count:
            self._chromium.receive_event()
        return ended

    def _noted(self) -> list[Exchange]:
        exchanges: dict[str, Exchange] = {}
        for event in self._chromium.events:
            told = event.get("params", {})
            if event.get("sessionId") != self._session or "requestId" not in told:
                continue
            exchange = exchanges.setdefault(told["requestId"], Exchange())
            if event["method"] == "Network.requestWillBeSent":
                request = told["request"]
                exchange.method, exchange.url = request["method"], request["url"]
                exchange.headers = {name.lower(): value for name, value in request["headers"].items()}
            elif event["method"] == "Network.responseReceived":
                exchange.status = told["response"]["status"]
            exchange.ended |= event["method"] in ("Network.loadingFinished", "Network.loadingFailed")
        return list(exchanges.values())
