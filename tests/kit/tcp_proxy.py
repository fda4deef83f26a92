"""A proxy before a service that can fail the way networks do."""

from __future__ import annotations

import socket
import threading
from contextlib import closing, suppress
from typing import Self
from urllib.parse import urlsplit

_CHUNK = 65536


class TcpProxy:
    """Passes bytes on to `target`; `down` hangs up on everyone, `lose_answers` drops that many answers to stores,
    `cut_after` ends an answer after about so many bytes.
    """

    def __init__(self, target: str) -> None:
        address = urlsplit(target)
        self._target = (address.hostname or "", address.port or 0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.target_port = self._target[1]
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}{address.path}"
        self.down = False
        self.lose_answers = 0
        self.cut_after: int | None = None
        self._losing = False

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        # shutdown wakes the thread that waits in accept; close alone does not.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.down:
                client.close()
                continue
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with closing(client), closing(socket.create_connection(self._target)) as service:
            request = threading.Thread(target=self._pump_request, args=(client, service), daemon=True)
            request.start()
            self._pump_answer(service, client)
            # Closing alone ends no connection while the other thread reads from it.
            for connection in (client, service):
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _pump_request(self, client: socket.socket, service: socket.socket) -> None:
        try:
            while chunk := client.recv(_CHUNK):
                if chunk.startswith(b"POST ") and self.lose_answers:
                    self._losing = True
                service.sendall(chunk)
            service.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def _pump_answer(self, service: socket.socket, client: socket.socket) -> None:
        passed = 0
        try:
            while chunk := service.recv(_CHUNK):
                if self._losing:
                    self._losing = False
                    self.lose_answers -= 1
                    return
                if self.down:
                    return
                client.sendall(chunk)
                passed = passed + len(chunk) if self.cut_after is not None else 0
                if self.cut_after is not None and passed > self.cut_after:
                    return
        except OSError:
            return
