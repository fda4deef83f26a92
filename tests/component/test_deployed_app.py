"""The app as it is deployed: with the packages of requirements.txt alone, behind the extension's own web server."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[2]

# Refuses every installed package that Azure would not have, as if it were not there.
IMPORT_AS_DEPLOYED = """
import importlib.metadata, sys
deployed = set(sys.argv[1].split(","))
packages = importlib.metadata.packages_distributions()
normal = lambda name: name.lower().replace("_", "-").replace(".", "-")
foreign = {top for top, owners in packages.items() if not deployed & {normal(owner) for owner in owners}}
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in foreign | {"local", "tests", "bench"}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Refuse())
import function_app
print(len(function_app.app.get_functions()))
"""

SERVE = """
import asyncio, sys
import function_app
from azurefunctions.extensions.http.fastapi import Request, Response, WebApp, WebServer
app = WebApp()
@app.route
async def answer(request: Request) -> Response:
    return Response("here")
asyncio.run(WebServer("127.0.0.1", int(sys.argv[1]), app).serve())
"""


def run(script: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "ignore", "-c", script, *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_the_run_time_packages_suffice() -> None:
    """Every function is indexed where only the packages of requirements.txt can be imported."""
    locked = re.findall(r"^([A-Za-z0-9._-]+)==", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    deployed = {name.lower().replace("_", "-").replace(".", "-") for name in locked}
    with run(IMPORT_AS_DEPLOYED, ",".join(deployed)) as process:
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert int(output) >= 17


def test_importing_the_app_imports_no_test_and_no_stand_in() -> None:
    """What is imported at start is what a cold start pays for."""
    command = [sys.executable, "-X", "importtime", "-W", "ignore", "-c", "import function_app"]
    lines = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stderr.splitlines()
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}
    assert "store_on_upload" in imported
    assert not imported & {"local", "tests", "bench", "pytest", "hypothesis", "dicomweb_client"}


def test_the_garbage_collector_works_after_the_import_and_passes_over_what_was_imported() -> None:
    """Looking through all modules for garbage costs a cold start a fifth, and finds nothing."""
    script = "import function_app, gc; print(gc.isenabled(), gc.get_freeze_count() > len(gc.get_objects()))"
    with run(script) as process:
        output, _ = process.communicate(timeout=60)
    assert output.split() == ["True", "True"], output


@pytest.mark.parametrize("setting", ["", "nonsense"])
def test_importing_the_app_never_fails(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the settings: an import error would take health, ingest and timer down together."""
    for name in ("DICOM_SERVICE_URL", "DICOM_STORAGE", "DICOM_INBOX_CONTAINER", "BLOB_TRIGGER_SOURCE", "PURGE_MODE"):
        monkeypatch.setenv(name, setting)
    monkeypatch.setenv("VAULT_DAYS", setting)
    with run("import function_app; print(len(function_app.app.get_functions()))") as process:
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output


def test_the_extensions_web_server_writes_no_query(free_port: Callable[[], int]) -> None:
    """Its access log would hold the whole address; the app's import keeps it silent."""
    port = free_port()
    with run(SERVE, str(port)) as process:
        try:
            response = until_it_answers(f"http://127.0.0.1:{port}/api/studies?PatientName=CANARY&code=CANARY")
        finally:
            process.terminate()
        output, _ = process.communicate(timeout=30)
    assert response.text == "here"
    assert "Uvicorn running" in output, "its other lines are seen"
    assert "CANARY" not in output


def until_it_answers(url: str) -> httpx.Response:
    deadline = time.monotonic() + 30
    while True:
        try:
            return httpx.get(url, trust_env=False)
        except httpx.ConnectError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
