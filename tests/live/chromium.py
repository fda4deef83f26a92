"""Chromium without a window: the machine's own, or Debian's packages unpacked into a folder of ours.

with Chromium(find_or_fetch(), folder) as chromium:
    page = chromium.page()
    page.open("http://viewer.test/")
    page.evaluate("document.title")

It is driven by the DevTools protocol through pipes, which needs no library and no port. Nothing stands between the
pages and the network: what intercepts requests (Playwright's `page.route`, the protocol's Fetch domain) may keep
Chromium from sending preflights.
"""

from __future__ import annotations

import base64
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

from . import debian
from .installing import InstallationFailed

_CACHE = debian.CACHE / "chromium"
_PACKAGE = "chromium-headless-shell"
_NAMES = (_PACKAGE, "chromium", "google-chrome-stable", "google-chrome")
_PATIENCE_SECONDS = 60.0

Message = dict[str, Any]


@dataclass(frozen=True)
class Program:
    """Where Chromium is, and what must be in the environment for it to find its libraries."""

    executable: Path
    environment: Mapping[str, str]


def find_or_fetch() -> Program:
    """Return the machine's Chromium, or else the one in our cache, fetched by apt if need be.

    Raises:
        InstallationFailed: there is none, and apt cannot fetch it either.
    """
    for name in _NAMES:
        if found := shutil.which(name):
            return Program(Path(found), {})
    root = debian.unpacked(_PACKAGE, _CACHE)
    executable = root / "usr/lib/chromium" / _PACKAGE
    if not executable.exists():
        raise InstallationFailed(f"the package {_PACKAGE} is not laid out as expected")
    return Program(executable, {"LD_LIBRARY_PATH": debian.library_path(root)})


class Chromium:
    """A browser with a profile that nobody needs afterwards.

    Args:
        program: what to run.
        folder: where the profile and the log go.
        options: of the command line, too.
    """

    def __init__(self, program: Program, folder: Path, *options: str) -> None:
        self._program = program
        self._folder = folder
        self._options = (*options, "--headless", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu")
        self._part: Part | None = None
        self._pipes: list[int] = []
        self._unread = b""
        self._count = 0
        self.events: list[Message] = []

    def __enter__(self) -> Self:
        for name in ("commands", "answers"):
            os.mkfifo(self._folder / name)
            # For reading and writing, so that neither side waits for the other to open it.
            self._pipes.append(os.open(self._folder / name, os.O_RDWR))
        # It takes commands from descriptor 3 and answers on 4.
        command = ["sh", "-c", 'exec "$@" 3<commands 4>answers', "sh", str(self._program.executable)]
        profile = f"--user-data-dir={self._folder / 'profile'}"
        self._part = Part(
            "Chromium",
            [*command, "--remote-debugging-pipe", profile, *self._options],
            log=self._folder / "chromium.log",
            environment={**os.environ, **self._program.environment},
            folder=self._folder,
        )
        return self

    def __exit__(self, *_: object) -> None:
        if self._part is not None:
            stop([self._part], grace_seconds=5)
        for pipe in self._pipes:
            os.close(pipe)

    def page(self) -> Page:
        """Return a blank page that shares nothing with any other: no cache, no answer to a preflight."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        return Page(self, session)

    def call(self, method: str, session: str | None = None, **parameters: Any) -> Message:
        """Call a method of the DevTools protocol and return its result; events that come meanwhile are kept.

        Raises:
            RuntimeError: the browser refuses.
            TimeoutError: it does not answer.
        """
        self._count += 1
        command = {"id": self._count, "method": method, "params": parameters}
        self._send({**command, "sessionId": session} if session else command)
        while (message := self._receive()).get("id") != self._count:
            self.events.append(message)
        if "error" in message:
            raise RuntimeError(f"{method}: {message['error']['message']}")
        result: Message = message["result"]
        return result

    def wait_for(self, event: str, session: str) -> None:
        """Return once an event of a page has come.

        Raises:
            TimeoutError: it does not come.
        """
        while (event, session) not in ((message.get("method"), message.get("sessionId")) for message in self.events):
            self.receive_event()

    def receive_event(self) -> None:
        """Wait for one more event.

        Raises:
            TimeoutError: there is none.
        """
        self.events.append(self._receive())

    def _send(self, message: Message) -> None:
        left = json.dumps(message).encode() + b"\0"
        while left:
            left = left[os.write(self._pipes[0], left) :]

    def _receive(self) -> Message:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while b"\0" not in self._unread:
            assert self._part is not None, "Chromium does not run"
            self._part.check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"Chromium does not answer:\n{self._part.tail()}")
            if select.select(self._pipes[1:], [], [], 0.5)[0]:
                self._unread += os.read(self._pipes[1], 1 << 20)
        message, _, self._unread = self._unread.partition(b"\0")
        decoded: Message = json.loads(message)
        return decoded


class PageError(Exception):
    """What a page's script threw."""


@dataclass
class Exchange:
    """A request that a page sent, or a preflight (OPTIONS) that the browser sent first, and the answer's status.

    `status` is None if there was no answer, or none that the page may see.
    """

    method: str = ""
    url: str = ""
    headers: dict[str, str] = field(default_factory=dict)  # their names in lower case
    status: int | None = None
    ended: bool = False


class Page:
    """A page in a session of its own."""

    def __init__(self, chromium: Chromium, session: str) -> None:
        self._chromium = chromium
        self._session = session
        for domain in ("Page", "Network"):
            self._call(f"{domain}.enable")

    def open(self, url: str) -> None:
        """Go to an address and return once the page is loaded with all its scripts.

        Raises:
            RuntimeError: there is no page.
        """
        if error := self._call("Page.navigate", url=url).get("errorText"):
            raise RuntimeError(f"{url}: {error}")
        self._chromium.wait_for("Page.loadEventFired", self._session)

    def evaluate(self, expression: str) -> Any:
        """Return what an expression is, or what its promise resolves to, as JSON.

        Raises:
            PageError: it threw, or was rejected.
        """
        answer = self._call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            thrown = answer["exceptionDetails"].get("exception", {})
            raise PageError(thrown.get("description") or json.dumps(thrown.get("value")))
        return answer["result"].get("value")

    def resize(self, width: int, height: int, *, is_printed: bool = False) -> None:
        """Have the page as wide and high, in CSS pixels, as on a screen or on paper."""
        self._call("Emulation.setEmulatedMedia", media="print" if is_printed else "screen")
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._call("Emulation.setDeviceMetricsOverride", **size)

    def accessible_names(self, role: str) -> list[str]:
        """Return what assistive technology calls the elements of a role."""
        nodes = self._call("Accessibility.getFullAXTree")["nodes"]
        return [node["name"]["value"] for node in nodes if node.get("role", {}).get("value") == role and "name" in node]

    def screenshot(self, file: Path) -> None:
        """Write what is to be seen as PNG."""
        file.write_bytes(base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"]))

    def exchanges(self, url: str, count: int) -> list[Exchange]:
        """Return what was exchanged with addresses that begin so, once as much has ended: events are told late.

        Raises:
            TimeoutError: there are not as many.
        """
        while len(ended := self._ended(url)) < count:
            self._chromium.receive_event()
        return ended

    def _ended(self, url: str) -> list[Exchange]:
        exchanges: dict[str, Exchange] = {}
        for event in self._chromium.events:
            if event.get("sessionId") == self._session and "requestId" in event["params"]:
                _note(exchanges, event["method"], event["params"])
        return [exchange for exchange in exchanges.values() if exchange.ended and exchange.url.startswith(url)]

    def _call(self, method: str, **parameters: Any) -> Message:
        return self._chromium.call(method, self._session, **parameters)


def _note(exchanges: dict[str, Exchange], event: str, parameters: Message) -> None:
    exchange = exchanges.setdefault(parameters["requestId"], Exchange())
    if event == "Network.requestWillBeSent":
        request = parameters["request"]
        exchange.method, exchange.url = request["method"], request["url"]
        exchange.headers = {name.lower(): value for name, value in request["headers"].items()}
    elif event == "Network.responseReceived":
        exchange.status = parameters["response"]["status"]
    elif event in ("Network.loadingFinished", "Network.loadingFailed"):
        exchange.ended = True
