"""Pass-throughs of others' making before a DICOM service, a process each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bench.programs import port_of
from bench.servers.nginx import nginx_proxy
from bench.turns import Bench

STARLETTE = "Starlette and aiohttp"
AIOHTTP = "aiohttp"
NGINX = "nginx"
NGINX_WIDE = "nginx, buffers of 256 KiB"
_MODULES = {STARLETTE: "starlette_pass_through", AIOHTTP: "aiohttp_pass_through"}


@contextmanager
def proxy(bench: Bench, name: str, service: str) -> Iterator[str]:
    """Run one, and give what stands for the service's address.

    Args:
        bench: knows the programs.
        name: which of them.
        service: the address of the service, with the version.
    """
    if name in (NGINX, NGINX_WIDE):
        kib = 256 if name == NGINX_WIDE else None
        with nginx_proxy(bench.rivals.nginx, bench.folder / f"proxy-{kib}", service, kib) as url:
            yield url
        return
    with port_of(f"bench.rivals.{_MODULES[name]}", "--service", service, python=bench.rivals.python) as port:
        yield f"http://127.0.0.1:{port}/v2"
