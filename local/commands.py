"""Modules of ours, run as commands: where, in which environment, and whether they answer."""

from __future__ import annotations

import http.client
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from local.ports import HOST
from local.process import Part

ROOT = Path(__file__).resolve().parent.parent
# For commands that ask Azure: whoever has just run `az login` should not wait for the other credentials to fail.
BY_LOGIN = {"AZURE_TOKEN_CREDENTIALS": "AzureCliCredential"}


def start_module(name: str, module: str, *options: str, log_folder: Path, environment: Mapping[str, str]) -> Part:
    """Start a module that goes on running.

    Args:
        name: of the part, and of its log.
        module: what `python -m` runs.
        options: of its command line.
        log_folder: where its log goes.
        environment: what it has beside, or instead of, our own.
    """
    return Part(
        name,
        [sys.executable, "-m", module, *options],
        log=log_folder / f"{name}.log",
        environment={**os.environ, "PYTHONUNBUFFERED": "1", **environment, **no_proxy()},
        folder=ROOT,
    )


def status(port: int, path: str) -> int | None:
    """Return the status that a GET is answered with; None if there is no answer."""
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        return response.status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def no_proxy() -> dict[str, str]:
    """Return the setting that keeps this machine from talking to itself through a proxy."""
    hosts = [os.environ.get("no_proxy") or os.environ.get("NO_PROXY"), HOST, "localhost"]
    return dict.fromkeys(("no_proxy", "NO_PROXY"), ",".join(filter(None, hosts)))
