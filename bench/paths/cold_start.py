"""A cold start: what importing the app takes beside its dependencies alone, and its first answer beside a hello's."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from subprocess import DEVNULL
from types import MappingProxyType
from typing import TypeAlias

import httpx

from bench.aims import at_most
from bench.machine import processor_seconds
from bench.programs import ROOT, check_runs, wait_until
from bench.results import Row, row_of
from bench.turns import Bench
from local.azurite import Azurite
from local.ports import HOST, free_ports

# All that the app depends on (pyproject.toml), by the modules that it imports of it.
DEPENDENCIES = (
    "azure.functions",
    "azurefunctions.extensions.http.fastapi",
    "azurefunctions.extensions.bindings.blob",
    "azure.storage.blob.aio",
    "azure.storage.queue.aio",
    "azure.data.tables.aio",
    "azure.identity.aio",
    "aiohttp",
    "httpx",
    "orjson",
    "pydantic",
    "pydicom",
)
FRAMEWORKS = DEPENDENCIES[:3]
APP = ("function_app",)
# To a collector that is not there: an app's first answer is out before anything is sent.
TELEMETRY = {"PYTHON_ENABLE_OPENTELEMETRY": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{HOST}:9"}
Start: TypeAlias = tuple[float, float]  # seconds by the clock, and of the processor
HELLO = Path(__file__).parent.parent / "rivals/hello"
# numpy is there for the stand-ins; it is not deployed, and pydicom would import it.
_IMPORT = """
import gc, sys, time
sys.modules["numpy"] = None
began = time.process_time()
{}
import {}
print(time.process_time() - began)
"""


def measure(bench: Bench) -> Iterator[Row]:
    """Yield the rows: processor seconds of an import, and seconds to the first answer."""
    yield from _imports(bench)
    if not bench.is_quick:
        yield from _first_answers(bench)


def _imports(bench: Bench) -> Iterator[Row]:
    all_compiled, without_ours = ({"PYTHONPYCACHEPREFIX": str(bench.folder / name)} for name in ("all", "dependencies"))
    _import(APP, all_compiled)
    _import(DEPENDENCIES, without_ours)
    sides = {
        "app": partial(_import, APP, all_compiled),
        "dependencies": partial(_import, DEPENDENCIES, all_compiled),
        "dependencies, not collected": partial(_import, DEPENDENCIES, all_compiled, "gc.disable()"),
        "frameworks": partial(_import, FRAMEWORKS, all_compiled),
        "app, not compiled": partial(_import, APP, without_ours | {"PYTHONDONTWRITEBYTECODE": "1"}),
    }
    sides["app, telemetry on"] = partial(_import, APP, all_compiled | TELEMETRY)
    found = bench.in_turns("cold start, import", sides)
    rivals = {"dependencies": at_most(1.25), "dependencies, not collected": None, "frameworks": at_most(1.25)}
    for rival, aim in rivals.items():
        yield row_of("cold_start", "import", "s", found["app"], f"its {rival}", found[rival], aim)
    yield row_of("cold_start", "import, app not compiled", "s", found["app, not compiled"], "compiled", found["app"])
    on = found["app, telemetry on"]
    yield row_of("cold_start", "import, telemetry on", "s", on, "off", found["app"], at_most(1.1))


def _import(modules: tuple[str, ...], environment: dict[str, str], before: str = "") -> float:
    """Import modules in a fresh process, after a statement; return the seconds of the processor that it took."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", _IMPORT.format(before, ", ".join(modules))]
    done = subprocess.run(command, env=inherited | environment, cwd=ROOT, check=True, capture_output=True, text=True)
    return float(done.stdout)


def _first_answers(bench: Bench) -> Iterator[Row]:
    with Azurite(bench.folder) as azurite:
        start = partial(_first_answer, azurite.connection_string)
        sides: dict[str, Callable[[], Start]] = {
            "app": partial(start, ROOT),
            "hello": partial(start, HELLO),
            "on": partial(start, ROOT, TELEMETRY),
        }
        for side in sides.values():
            side()
        found = bench.in_turns("cold start, first answer", sides)
    for number, case in enumerate(("first answer", "first answer, processor")):
        ours, rival = ([start[number] for start in found[side]] for side in ("app", "hello"))
        yield row_of("cold_start", case, "s", ours, "a hello app", rival)
        on = [start[number] for start in found["on"]]
        yield row_of("cold_start", f"{case}, telemetry on", "s", on, "off", ours, at_most(1.1))


def _first_answer(storage: str, app: Path, also: Mapping[str, str] = MappingProxyType({})) -> Start:
    """Start the functions host with an app, and some settings of it, and wait until it has answered with 200."""
    port = free_ports(1)
    settings = {"AzureWebJobsStorage": storage, "DICOM_STORAGE": storage, "PYTHON_ENABLE_INIT_INDEXING": "1"}
    settings |= {"DICOM_SERVICE_URL": f"http://{HOST}:9/v2", "DICOM_INBOX_CONTAINER": "dicom-inbox"}
    settings |= also
    command = [sys.executable, "-m", "local.functions_host", "--port", str(port), "--app", str(app)]
    began = time.perf_counter()
    with subprocess.Popen(command, env=os.environ | settings, cwd=ROOT, stdout=DEVNULL, stderr=DEVNULL) as host:
        try:
            with httpx.Client(trust_env=False) as http:
                url, name = f"http://{HOST}:{port}/api/health/live", "the functions host"
                wait_until(lambda: _answers(http, url), name, lambda: check_runs(host, name))
            return time.perf_counter() - began, processor_seconds(host.pid)
        finally:
            host.kill()


def _answers(http: httpx.Client, url: str) -> bool:
    try:
        return http.get(url).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
