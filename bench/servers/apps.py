"""Function apps under the local functions host: ours before some DICOM service, and some that do next to nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.programs import ROOT, is_listened_to, wait_until
from local.ports import HOST, free_ports
from local.process import Part, stop
from local.stack import Stack

_APPS = ROOT / "bench/rivals"


@dataclass(frozen=True)
class App:
    """A running app.

    Args:
        url: below which its routes are.
        headers: that open it.
        pid: of the functions host, whose process is the app's, too.
    """

    url: str
    headers: Mapping[str, str]
    pid: int


@contextmanager
def our_app(folder: Path, service: str) -> Iterator[App]:
    """Run our app, asking for function keys as in Azure, with tokens for the service.

    Args:
        folder: for its data and its logs.
        service: the address of the DICOM service, with the version.
    """
    with Stack(folder, auth=True, settings={"DICOM_SERVICE_URL": service}) as stack:
        yield App(stack.app_url, {"x-functions-key": stack.function_key}, stack.part("app").pid)


@contextmanager
def small_app(name: str, folder: Path, service: str) -> Iterator[App]:
    """Run an app that answers searches, and does next to nothing: what is left is the host's, and the extension's.

    Args:
        name: of its folder, beside the rivals.
        folder: for its log.
        service: the address of the DICOM service, with the version.
    """
    port = free_ports(1)
    command = [sys.executable, "-m", "local.functions_host", "--port", str(port), "--app", str(_APPS / name)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHON_ENABLE_INIT_INDEXING": "1", "SERVICE": service}
    part = Part(name, command, log=folder / f"{name}.log", environment=environment, folder=ROOT)
    try:
        wait_until(lambda: is_listened_to(port), f"the app {name}", part.check)
        yield App(f"http://{HOST}:{port}/api", {}, part.pid)
    finally:
        stop([part])
