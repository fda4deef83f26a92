"""A viewer of another origin: pages with cornerstone and dicomweb-client in Chromium that look things up in the app."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from local.ports import HOST

from .chromium import Chromium, Page

STRANGERS_ORIGIN = "http://stranger.test"  # that the app knows nothing of

_FOLDER = Path(__file__).parent


@contextmanager
def serving() -> Iterator[int]:
    """Serve the pages and what npm has installed; yields the port."""
    handler = partial(_Quiet, directory=str(_FOLDER))
    with ThreadingHTTPServer((HOST, 0), handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def options(port: int, *origins: str) -> list[str]:
    """Return the options with which Chromium finds the pages at these origins, and goes through no proxy."""
    rules = ", ".join(f"MAP {origin.removeprefix('http://')}:80 {HOST}:{port}" for origin in origins)
    return [f"--host-resolver-rules={rules}", "--no-proxy-server"]


class Viewer:
    """One page of an origin, and the service that it asks.

    Args:
        chromium: the browser; the page shares nothing with others of it.
        origin: where the page comes from.
        url: the service's base address.
        key: the function key; sent in a header, unless it is given to a method as part of a path.
    """

    def __init__(self, chromium: Chromium, origin: str, url: str, key: str | None) -> None:
        self.page: Page = chromium.page()
        self.page.open(f"{origin}/viewer/")
        self._service = {"url": url, "key": key}

    def call(self, method: str, **options: Any) -> Any:
        """Call a method of npm's dicomweb-client; ArrayBuffers are base64.

        Raises:
            PageError: it failed; says the status, 0 where the browser keeps it from the page.
        """
        return self._evaluate("call", method, options)

    def show(self, path: str, metadata: dict[str, Any]) -> dict[str, Any]:
        """Show a frame and return what is to be seen.

        Args:
            path: of the frame, below the base address.
            metadata: of its instance, DICOM JSON.

        Raises:
            PageError: it cannot be loaded, or decoded.
        """
        shown: dict[str, Any] = self._evaluate("show", path, metadata)
        return shown

    def readable_headers(self, path: str) -> set[str]:
        """Return the names of an answer's headers that the page may read."""
        return set(self._evaluate("readableHeaders", path))

    def _evaluate(self, function: str, *arguments: Any) -> Any:
        values = ", ".join(map(json.dumps, (self._service, *arguments)))
        return self.page.evaluate(f"{function}({values})")


class _Quiet(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Say nothing."""
