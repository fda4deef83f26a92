"""What the app's process holds, looked at from outside: /proc, and the functions host's own counts."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench.machine import Others
from bench.memory import MIB, status_bytes
from local.stack import Stack


@dataclass(frozen=True)
class Sample:
    """What the app held at a time.

    Args:
        seconds: since the start.
        rss_mib: resident memory.
        files: open file descriptors, sockets among them.
        connections: sockets.
        threads: of the operating system.
        tasks: of asyncio, in the event loop of host and app.
        blocks: of memory that Python's objects take, in thousands; unlike `rss_mib` it falls when they go.
        others: the share of the processors that programs took which are no part of this, since the sample before.
    """

    seconds: float
    rss_mib: float
    files: int
    connections: int
    threads: int
    tasks: int
    blocks: float
    others: float


class Watcher:
    """Takes samples of a stack's app; the time counts from here."""

    def __init__(self, stack: Stack) -> None:
        self._process = Path("/proc") / str(stack.part("app").pid)
        self._http = httpx.Client(
            base_url=stack.host_url, headers={"x-functions-key": stack.master_key}, timeout=60, trust_env=False
        )
        self._others = Others()
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long it has watched."""
        return time.monotonic() - self._started

    def sample(self) -> Sample:
        """Look once.

        Raises:
            OSError, httpx.HTTPError: the app is not there any more, or does not answer.
        """
        held: dict[str, int] = self._http.get("/admin/host/held").raise_for_status().json()
        links = self._links()
        return Sample(
            round(self.seconds, 1),
            round(status_bytes("VmRSS", self._process.name) / MIB, 2),
            len(links),
            sum(link.startswith("socket:") for link in links),
            len(list((self._process / "task").iterdir())),
            held["tasks"],
            held["blocks"] / 1000,
            round(self._others.share(), 3),
        )

    def _links(self) -> list[str]:
        found = []
        for descriptor in (self._process / "fd").iterdir():
            try:
                found.append(str(descriptor.readlink()))
            except FileNotFoundError:  # closed meanwhile
                continue
        return found
