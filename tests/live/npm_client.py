"""npm's dicomweb-client, run in Node: installed from its lock with what pages need, once; called a method at a time."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from .installing import InstallationFailed, only_one, run

_FOLDER = Path(__file__).with_name("node")
# The virtual environment first, where the set-up puts Node if the machine has none.
_PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"


class NpmClientError(Exception):
    """What the client rejects a promise with; `status` is None if it never asked the service."""

    def __init__(self, status: int | None, message: str) -> None:
        super().__init__(message)
        self.status = status


class NpmClient:
    """The client of the service at an address, with headers that are sent with every request."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self._client = {"url": url, "headers": headers}

    def call(self, method: str, **options: Any) -> Any:
        """Call a method and return what its promise resolves to; ArrayBuffers are bytes, both ways.

        Raises:
            NpmClientError: the promise was rejected.
        """
        asked = {"client": self._client, "method": method, "options": options}
        question = json.dumps(asked, default=lambda content: {"base64": base64.b64encode(content).decode()})
        answer = json.loads(run_script("client.cjs", question), object_hook=_decoded)
        if "message" in answer:
            raise NpmClientError(answer["status"], answer["message"])
        return answer["result"]


def _decoded(value: dict[str, Any]) -> Any:
    return base64.b64decode(value["base64"]) if value.keys() == {"base64"} else value


def run_script(name: str, question: str) -> str:
    """Run a script of `node/`, which reads a question and prints an answer; return that."""
    command: list[str | Path] = [_program("node"), _FOLDER / name]
    return subprocess.run(command, input=question, stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout


def methods() -> set[str]:
    """Return the names of the installed client's methods, but those that it keeps to itself."""
    program = "Object.getOwnPropertyNames(require('dicomweb-client').api.DICOMwebClient.prototype).join()"
    names = run([_program("node"), "--print", program], folder=_FOLDER, seconds=60).strip().split(",")
    return {name for name in names if not name.startswith("_")} - {"constructor"}


def install() -> None:
    """Install the client, and what pages need, as they are locked, if they are not yet.

    Raises:
        InstallationFailed: npm is not there, or failed.
    """
    lock, stamp = (_FOLDER / "package-lock.json").read_text(), _FOLDER / "node_modules/set-up.live"
    with only_one(_FOLDER):
        if not stamp.exists() or stamp.read_text() != lock:
            command = [_program("npm"), "ci", "--ignore-scripts"]
            run(command, folder=_FOLDER, seconds=400, environment={**os.environ, "PATH": _PATH})
            stamp.write_text(lock)


def _program(name: str) -> str:
    found = shutil.which(name, path=_PATH)
    if found is None:
        raise InstallationFailed(f"{name} is gone from the PATH since the set-up: `make test` sets up another")
    return found
