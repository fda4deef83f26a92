"""Run the local stack in the foreground until told to stop: `python -m local.up`, or `make up`.

The environment says where: APP_PORT, DICOM_PORT, AZURITE_PORT (blob; queue and table have the next two),
IDENTITY_PORT, LOCAL_DATA_DIR; AUTH=1 asks for function keys. Exit code 0 after any kind of stop, 1 if a part
died, 2 if nothing could be started.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from local.parent import Parent
from local.pid_file import AlreadyRunning, hold, holder
from local.ports import Ports, is_free
from local.process import PartFailed
from local.stack import Stack

PID_FILE = "up.pid"
ACCESS_FILE = "up.json"
_WATCH_SECONDS = 0.1
_VARIABLES = {"app": "APP_PORT", "dicom": "DICOM_PORT", "azurite": "AZURITE_PORT", "identity": "IDENTITY_PORT"}
_DEFAULTS = {"app": 7071, "dicom": 8080, "azurite": 10_000, "identity": 0}
_HINTS = {"azurite": ", the first of three that are free"}
_HIGHEST_PORT = 65_535


class _Refused(Exception):
    """The stack cannot be started as asked; `str()` says why and what to do."""


class _Stopped(Exception):
    """A signal, or the end of the parent, asks for the end."""


class _Stopping:
    """Notes signals, to be looked at between steps: none of them may tear a step in two."""

    def __init__(self, parent: Parent) -> None:
        self._asked = False
        self._parent = parent
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if not (number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN):  # nohup
                signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._asked = True

    def check(self) -> None:
        """Raise _Stopped if the end is asked for."""
        if self._asked or self._parent.is_gone():
            raise _Stopped


def data_folder() -> Path:
    """Return the folder of the stack's data, as an absolute path."""
    return Path(os.environ.get("LOCAL_DATA_DIR") or ".local").absolute()


def read_access(folder: Path) -> dict[str, Any] | None:
    """Return what the stack that runs in `folder` has written down for other commands; None if none runs there."""
    path = folder / ACCESS_FILE
    if holder(folder / PID_FILE) is None or not path.exists():
        return None
    access: dict[str, Any] = json.loads(path.read_text())
    return access


def main() -> int:
    """Run the stack and return the exit code."""
    parser = argparse.ArgumentParser(description="Run the local stack in the foreground.")
    parser.add_argument("--parent", type=int, help="end with this process, our parent, too")
    stopping = _Stopping(Parent(parser.parse_args().parent))
    folder = data_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        hold(folder / PID_FILE)  # never closed: who waits for the lock waits for the end of this process
    except AlreadyRunning:
        return _refuse(f"A stack runs in {folder}: end it with `make down`, or set LOCAL_DATA_DIR to another.")
    except OSError as error:
        return _refuse(f"{folder} cannot hold the stack's data: {error.strerror}.")
    try:
        return _run(folder, stopping)
    except _Refused as refusal:
        return _refuse(str(refusal))
    finally:
        (folder / ACCESS_FILE).unlink(missing_ok=True)
        (folder / PID_FILE).unlink(missing_ok=True)


def _run(folder: Path, stopping: _Stopping) -> int:
    auth = _auth(os.environ)
    stack = Stack(folder, ports=_ports(os.environ), auth=auth, settings=os.environ, say=_say)
    if names := stack.overridden():
        _say(f"From your environment, not the local stack's: {', '.join(names)}.")
    try:
        stack.start(stopping.check)
        _write_access(stack, folder / ACCESS_FILE)
        _announce(stack, auth=auth)
        while True:
            stopping.check()
            stack.check()
            time.sleep(_WATCH_SECONDS)
    except _Stopped:
        _say("Stopping ...")
        return 0
    except PartFailed as failure:
        _say(f"{failure}. The end of {failure.part.log}:\n{failure.part.tail()}\n")
        return 1
    finally:
        stack.stop()


def _announce(stack: Stack, *, auth: bool) -> None:
    _write(1, f"READY app={stack.app_url} dicom={stack.dicom_url} storage={stack.connection_string}")
    if auth:
        _write(1, f"KEYS function={stack.function_key} master={stack.master_key}")
    _say("Ctrl-C or `make down` ends it.")


def _write_access(stack: Stack, path: Path) -> None:
    """Write what `read_access` reads, for the eyes of this user only."""
    path.unlink(missing_ok=True)
    access = {"endpoint": stack.identity_url, "header": stack.identity_header, "settings": stack.app_settings()}
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(access, file)


def _ports(environment: Mapping[str, str]) -> Ports:
    """Read the ports.

    Raises:
        _Refused: one is not a number, or taken.
    """
    ports = Ports(**{name: _port(environment, name) for name in _VARIABLES})
    wanted = {
        name: range(first, first + (3 if name == "azurite" else 1)) for name, first in vars(ports).items() if first
    }
    claimed: set[int] = set()
    for name, numbers in wanted.items():
        for number in numbers:
            if number > _HIGHEST_PORT:
                raise _Refused(f"{_VARIABLES[name]} is too high{_HINTS.get(name, '')}.")
            if number in claimed or not is_free(number):
                how = "asked for twice" if number in claimed else "taken"
                raise _Refused(f"Port {number} is {how}: set {_VARIABLES[name]} to another one{_HINTS.get(name, '')}.")
            claimed.add(number)
    return ports


def _auth(environment: Mapping[str, str]) -> bool:
    """Read whether keys are asked for; a half-understood yes must not leave the door open.

    Raises:
        _Refused: it is neither 1 nor 0 nor absent.
    """
    value = environment.get("AUTH", "")
    if value not in ("", "0", "1"):
        raise _Refused("AUTH has to be 1, to ask for function keys, or not set.")
    return value == "1"


def _port(environment: Mapping[str, str], name: str) -> int:
    text = environment.get(_VARIABLES[name]) or str(_DEFAULTS[name])
    if not text.isascii() or not text.isdigit() or int(text) > _HIGHEST_PORT:
        raise _Refused(f"{_VARIABLES[name]} has to be a port number.")
    return int(text)


def _say(line: str) -> None:
    _write(2, line)


def _refuse(line: str) -> int:
    _say(line)
    return 2


def _write(descriptor: int, line: str) -> None:
    """Write a line at once; that nobody reads it any more must not keep the stack from ending."""
    with contextlib.suppress(OSError):
        os.write(descriptor, f"{line}\n".encode())


if __name__ == "__main__":
    sys.exit(main())
