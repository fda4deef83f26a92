"""Free ports on the loopback interface."""

from __future__ import annotations

import errno
import itertools
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

HOST = "127.0.0.1"
# Below the range that Linux and macOS draw the ports of outgoing connections from (32768 and 49152 up).
_RANGE = range(20_000, 32_000)
_GOLDEN_RATIO = 0.6180339887498949


def is_free(port: int) -> bool:
    """Tell whether a server could listen on `port` now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT is free to a server
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
        return True


def free_ports(count: int) -> int:
    """Return the first of `count` consecutive ports that are free.

    Raises:
        RuntimeError: none were found in a thousand tries.
    """
    for _ in range(1000):
        ports = list(itertools.islice(_ports_of(os.getpid()), count))
        if ports[-1] - ports[0] == count - 1 and all(map(is_free, ports)):
            return ports[0]
    raise RuntimeError(f"no {count} consecutive free ports found")


@dataclass(frozen=True)
class Ports:
    """The stack's ports; Azurite's queue and table services have the two after its own. 0 stands for a free one."""

    app: int = 0
    dicom: int = 0
    azurite: int = 0
    identity: int = 0

    def chosen(self) -> Ports:
        """Return the same with a free port for each 0."""
        free = free_ports(6)
        return Ports(
            app=self.app or free,
            dicom=self.dicom or free + 1,
            identity=self.identity or free + 2,
            azurite=self.azurite or free + 3,
        )


@cache
def _ports_of(process: int) -> Iterator[int]:
    """Return the ports in the order in which a process tries them.

    Each process begins somewhere else and goes on from there, also one that was forked from another. A port that is
    handed out stays free until its server is up: none is handed out twice, and test processes side by side, whose ids
    are near each other, begin far apart.
    """
    begin = int(process * _GOLDEN_RATIO % 1 * len(_RANGE))
    return itertools.cycle([*_RANGE[begin:], *_RANGE[:begin]])
