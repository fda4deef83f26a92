"""Free ports on the loopback interface."""

from __future__ import annotations

import errno
import random
import socket

HOST = "127.0.0.1"
# Below the range that Linux and macOS draw the ports of outgoing connections from (32768 and 49152 up).
_RANGE = range(20_000, 32_000)


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
        first = random.choice(_RANGE)  # noqa: S311 - no secret
        if all(is_free(port) for port in range(first, first + count)):
            return first
    raise RuntimeError(f"no {count} consecutive free ports found")
