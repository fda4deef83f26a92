"""Starts the functions host as a process of its own, as a user would."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.ports import free_ports

ROOT = Path(__file__).parents[3]
APPS = Path(__file__).with_name("apps")
WORKERS = ["sdk", *(["runtime"] if importlib.util.find_spec("azure_functions_runtime") else [])]
MASTER_KEY, FUNCTION_KEY = "master-key-for-tests", "function-key-for-tests"


@dataclass
class RunningHost:
    """A host and what it printed."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    @property
    def output(self) -> str:
        """Everything printed so far, on both channels."""
        return self.log.read_text()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signal the host and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(15)


def command(app: Path, *arguments: str) -> list[str]:
    """Return the command line that runs an app."""
    return [sys.executable, "-m", "local.functions_host", "--app", str(app), *arguments]


def environment(**settings: str) -> dict[str, str]:
    """Return an environment for a host: ours, without what other tests may have set."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AzureWebJobs")}
    return inherited | {"PYTHON_ENABLE_INIT_INDEXING": "1", "PYTHONPATH": str(ROOT)} | settings


@contextmanager
def running(
    app: Path, folder: Path, worker: str, *arguments: str, settings: Mapping[str, str]
) -> Iterator[RunningHost]:
    """Run an app until the block ends; the host then has to stop calmly, unless it is gone already."""
    port = free_ports(1)
    log = folder / f"host-{port}.log"
    line = command(app, "--port", str(port), "--worker", worker, *arguments)
    with log.open("wb") as output:
        process = subprocess.Popen(line, stdout=output, stderr=subprocess.STDOUT, env=environment(**settings), cwd=ROOT)
    host = RunningHost(process, f"http://127.0.0.1:{port}", log)
    try:
        wait_for(lambda: "Host running" in host.output or process.poll() is not None)
        assert process.poll() is None, host.output
        yield host
        if process.poll() is None:
            assert host.stop() == 0, host.output
    finally:
        process.kill()
        process.wait()


def wait_for(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Wait until a condition holds and return its value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return value


@dataclass
class Calls:
    """The file in which the storage app notes its calls."""

    path: Path

    def of(self, function: str, **fields: object) -> list[dict[str, Any]]:
        """Return the calls of a function whose notes hold these fields."""
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        calls = [json.loads(line) for line in lines]
        wanted = {"function": function, **fields}
        return [call for call in calls if wanted.items() <= call.items()]

    def wait(self, function: str, count: int = 1, **fields: object) -> list[dict[str, Any]]:
        """Wait until a function was called so often."""
        wait_for(lambda: len(self.of(function, **fields)) >= count)
        return self.of(function, **fields)
