"""`make tutorial`: what docs/tutorial.md needs, and a Python to type it into.

Without an address it runs the local DICOM service and a token endpoint for as long as that Python lives. The three
instances are drawn into a temporary folder, unless TUTORIAL_FOLDER names one that has them.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from local import samples
from local.commands import BY_LOGIN, ROOT, no_proxy
from local.process import PartFailed
from local.stack import Stack

_WELCOME = """The DICOM service: {DICOM_SERVICE_URL}
The three files:   {TUTORIAL_FOLDER}
Type what docs/tutorial.md shows. Ctrl-D ends this, and all that was started for it."""


def main() -> int:
    """Return the exit code of the Python that was opened; 1 if the service did not start."""
    parser = argparse.ArgumentParser(description="Open a Python for docs/tutorial.md.")
    parser.add_argument("--url", help="a DICOM service, with its version; without it, a local one is started")
    url = parser.parse_args().url
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    with tempfile.TemporaryDirectory(prefix="dicom-tutorial-") as folder:
        try:
            with _service(Path(folder), url) as service:
                return _open_python({**service, **_files(Path(folder) / "files")})
        except PartFailed as failure:
            print(f"{failure}. The end of {failure.part.log}:\n{failure.part.tail()}", file=sys.stderr)
            return 1


@contextmanager
def _service(folder: Path, url: str | None) -> Iterator[dict[str, str]]:
    """Yield the settings for the DICOM service at `url`, or for one that runs meanwhile."""
    if url:
        yield {**BY_LOGIN, **os.environ, "DICOM_SERVICE_URL": url}
        return
    stack = Stack(folder)
    try:
        stack.start_dicom_service()
        yield {**stack.environment(), **no_proxy()}
    finally:
        stack.stop()


def _files(folder: Path) -> dict[str, str]:
    """Return the setting for the files, drawn if there are none yet."""
    if named := os.environ.get("TUTORIAL_FOLDER"):
        return {"TUTORIAL_FOLDER": str(Path(named).absolute())}
    folder.mkdir()
    for name, content in samples.tutorial().items():
        (folder / name).write_bytes(content)
    return {"TUTORIAL_FOLDER": str(folder)}


def _open_python(environment: Mapping[str, str]) -> int:
    print(_WELCOME.format(**environment), flush=True)
    signal.signal(signal.SIGINT, lambda number, frame: None)  # from here on Ctrl-C is for the Python that is opened
    command = [sys.executable, "-m", "asyncio"]
    with subprocess.Popen(command, env=environment, cwd=ROOT) as python:  # noqa: S603 - our own command
        try:
            return python.wait()
        finally:
            python.terminate()


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
