"""What stands around an exchange: places where no connection is made, TLS, and what the environment says."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.component.dicomweb.own_certificate import own_certificate
from tests.component.dicomweb.transport_plays import Ask, Play
from tests.component.dicomweb.transports_under_test import Subject, outcome
from tests.kit.scripted_server import Read, Script, answer, serve


async def not_listening(subject: Subject) -> str:
    """Connect to a port that is bound, where nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        async with subject.client() as client:
            return await outcome(client.get(f"http://127.0.0.1:{bound.getsockname()[1]}"))


async def not_accepting(subject: Subject) -> str:
    """Connect to a port whose queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        with socket.create_connection(address):
            async with subject.client(times={"connect": 0.1}) as client:
                return await outcome(client.get(f"http://127.0.0.1:{address[1]}"))


async def no_such_host(subject: Subject) -> str:
    """Connect to a name that is none."""
    async with subject.client() as client:
        return await outcome(client.get("http://no-such-host.invalid"))


async def no_tls(subject: Subject) -> str:
    """Speak TLS with a server that does not."""
    async with serve(answer(400).after(Read.NOTHING)) as server, subject.client() as client:
        return await outcome(client.get(server.url.replace("http:", "https:")))


async def proxy_in_the_environment(subject: Subject) -> str:
    """Be told of a proxy by the environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            patch.setenv(name, "http://127.0.0.1:1")
        async with serve(answer(204)) as server, subject.client() as client:
            return await outcome(client.get(server.url))


async def netrc_in_the_environment(subject: Subject) -> str:
    """Be told of a password by a file that the environment names; the text is what the server is told of it."""
    with _netrc():
        async with serve(answer(204)) as server, subject.client() as client:
            await client.get(server.url)
    return server.requests[0].headers.get("authorization", "none")


@contextmanager
def _netrc() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "netrc")
        file.write_text("default login a password b\n")
        patch.setenv("NETRC", str(file))
        yield


async def untrusted_certificate(subject: Subject) -> str:
    """Meet a server whose certificate nobody vouches for."""
    async with serve(answer(204), tls=own_certificate()[0]) as server, subject.client() as client:
        return await outcome(client.get(server.url.replace("http:", "https:")))


def over_tls(ask: Ask, given: Script, **times: float) -> Play:
    """Ask a server that is trusted, over TLS."""

    async def play(subject: Subject) -> str:
        theirs, ours = own_certificate()
        async with serve(given, answer(204), tls=theirs) as server, subject.client(tls=ours, times=times) as client:
            url = server.url.replace("http:", "https:")
            return f"{await outcome(ask(client, url))}, next {await outcome(client.get(url))}"

    return play
