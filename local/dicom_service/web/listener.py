"""The socket that the service listens on."""

from __future__ import annotations

import socket

HOST = "127.0.0.1"
BACKLOG = 128


def listen(port: int) -> socket.socket:
    """Return a listening socket; port 0 is any that is free.

    Raises:
        OSError: the port cannot be had.
    """
    # asyncio turns Nagle's algorithm off only where the protocol is named; with it each answer is 40 ms late.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener
