"""Set up what the make targets need: a virtual environment from the lock, and Azurite.

Run with the standard library alone, by any Python from 3.11: `python local/bootstrap.py --venv .venv`.
Each step leaves a stamp with the hash of what it was made from, and is skipped while that stays the same.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import IO, NoReturn

ROOT = Path(__file__).resolve().parent.parent
NODE = ROOT / "local/node"
REQUIREMENTS = (ROOT / "requirements-dev.txt", ROOT / "requirements.txt")
NODE_MAJOR = 20  # the oldest that Azurite is known to run on here


def main() -> None:
    """Do what is not done yet."""
    parser = argparse.ArgumentParser(description="Set up what the make targets need.")
    parser.add_argument("--venv", type=Path, required=True)
    parser.add_argument("--only", type=Path, metavar="LOCK", help="install what this lock file has, and nothing else")
    options = parser.parse_args()
    venv = options.venv.absolute()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    _keep_others_from(venv)
    if options.only:
        _python(venv, f"the packages of {options.only}", options.only.absolute())
        return
    _python(venv, "the Python packages, about 80, once (half a minute or so)", *REQUIREMENTS)
    _keep_others_from(NODE)
    _azurite(venv)


def _keep_others_from(folder: Path) -> None:
    """Wait while another make sets up `folder`. A lock on a folder leaves no file, and ends with the process."""
    folder.mkdir(parents=True, exist_ok=True)
    fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_EX)


def _python(venv: Path, what: str, *locks: Path) -> None:
    """Make the virtual environment and install the locked packages: those of the first, which may name the others."""
    _make_venv(venv)
    stamp = venv / "set-up.python"
    if not _is_current(stamp, *locks):
        _pip(venv, what, locks[0])
        _mark(stamp, *locks)


def _make_venv(venv: Path) -> None:
    python = venv / "bin/python"
    if python.exists():
        version = _output(python, "-c", "import platform; print(platform.python_version())")
        if version and tuple(map(int, re.findall(r"\d+", version)[:2])) == sys.version_info[:2]:
            return
        if version:
            mine = ".".join(map(str, sys.version_info[:2]))
            _fail(f"{venv} holds Python {version}, not {mine}: remove it, or name another with VENV=.venv-{mine}.")
    if not (importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip")):
        _fail("This Python cannot make virtual environments: install its venv module (Debian: python3-venv).")
    _run(f"Making a virtual environment in {venv}", [sys.executable, "-m", "venv", "--clear", venv])


def _azurite(venv: Path) -> None:
    """Install Azurite, and a Node.js to run it if the machine has none."""
    path = os.environ.get("PATH", "")
    if (venv / "bin/npm").exists() or not _has_node():
        path = f"{venv / 'bin'}:{path}"
        lock = NODE / "requirements.txt"
        stamp = venv / "set-up.node"
        if not _is_current(stamp, lock):
            _pip(venv, f"Node.js, since the PATH has none from {NODE_MAJOR} on (with npm), once", lock)
            _mark(stamp, lock)
    lock = NODE / "package-lock.json"
    stamp = NODE / "node_modules/set-up.azurite"
    if not _is_current(stamp, lock):
        npm = shutil.which("npm", path=path) or "npm"
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        what = "Installing Azurite, the storage emulator, once (about 190 MB, a minute or so)"
        _run(what, command, folder=NODE, environment={**os.environ, "PATH": path})
        _mark(stamp, lock)


def _has_node() -> bool:
    version = re.match(r"v(\d+)\.", _output("node", "--version"))
    return version is not None and int(version[1]) >= NODE_MAJOR and shutil.which("npm") is not None


def _pip(venv: Path, what: str, requirements: Path) -> None:
    options = ["--require-hashes", "--disable-pip-version-check", "--no-input"]
    _run(f"Installing {what}", [venv / "bin/python", "-m", "pip", "install", *options, "-r", requirements])


def _run(
    what: str, command: Sequence[str | Path], *, folder: Path = ROOT, environment: dict[str, str] | None = None
) -> None:
    """Run `command`, its output shown only if it fails, with signs of life on a terminal meanwhile."""
    began = time.monotonic()
    _show(f"{what} ...")
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(  # noqa: S603 - the commands are above
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            while not _has_ended(process, within_seconds=0.2):
                _show_progress(began, _end_of(log, 400))
        finally:
            process.terminate()
            process.wait()
        if process.returncode:
            _fail(f"{_end_of(log, 20_000)}\n{what} failed: see above.")
    _show(f"  done in {time.monotonic() - began:.0f} s")


def _has_ended(process: subprocess.Popen[bytes], *, within_seconds: float) -> bool:
    try:
        process.wait(within_seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _end_of(log: IO[bytes], size: int) -> str:
    length = os.fstat(log.fileno()).st_size
    return os.pread(log.fileno(), size, max(0, length - size)).decode(errors="replace").rstrip()


def _show_progress(began: float, output: str) -> None:
    """Show the time and the latest line in place; a log file gets neither."""
    if sys.stderr.isatty():
        latest = re.sub(r"[^ -~]", "", output.rpartition("\n")[2])
        line = f"  {time.monotonic() - began:3.0f} s  {latest}"[: shutil.get_terminal_size().columns - 1]
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)


def _show(line: str) -> None:
    print(f"\r\x1b[K{line}" if sys.stderr.isatty() else line, file=sys.stderr, flush=True)


def _fail(sentence: str) -> NoReturn:
    _show(sentence)
    sys.exit(1)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(1)  # by way of the `finally` that ends the child


def _output(*command: str | Path) -> str:
    """Return what `command` prints; nothing if it cannot be run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - as above
        return done.stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _is_current(stamp: Path, *sources: Path) -> bool:
    return stamp.exists() and stamp.read_text() == _hash(*sources)


def _mark(stamp: Path, *sources: Path) -> None:
    stamp.write_text(_hash(*sources))


def _hash(*sources: Path) -> str:
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()


if __name__ == "__main__":
    main()
