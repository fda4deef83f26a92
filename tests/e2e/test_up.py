"""`make up`, `make down` and `make token`, with every way of stopping."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import jwt
import pytest

from local.ports import HOST, free_ports

ROOT = Path(__file__).resolve().parents[2]
MAKE = ["make", "-s", f"PYTHON={sys.executable}", f"VENV={sys.prefix}"]
UP = [sys.executable, "-m", "local.up"]
MARK = "LOCAL_STACK_TEST"
# Output must not wait for the end of the process; make's own variables must not reach the make under test.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
Command = list[str]


class Machine:
    """A data folder, free ports, and the processes started with them, children included."""

    def __init__(self, folder: Path) -> None:
        first = free_ports(5)
        self.data = folder / "data"
        self.app_port = first
        self.mark = uuid.uuid4().hex
        self.environment = {
            **ENVIRONMENT,
            "LOCAL_DATA_DIR": str(self.data),
            "APP_PORT": str(first),
            "DICOM_PORT": str(first + 1),
            "AZURITE_PORT": str(first + 2),
            MARK: self.mark,
        }
        self.ports = range(first, first + 5)

    def start(self, command: Command, **environment: str) -> Running:
        """Start `command` in a session of its own."""
        return Running(command, {**self.environment, **environment})

    def run(self, command: Command, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `command` to its end."""
        return subprocess.run(
            command,
            cwd=ROOT,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def processes(self) -> dict[int, str]:
        """Return the command lines of all living processes that come from this machine's."""
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if f"{MARK}={self.mark}".encode() in (process / "environ").read_bytes():
                    found[int(process.name)] = (process / "cmdline").read_text().replace("\0", " ")
        return found

    def assert_nothing_is_left(self) -> None:
        """Assert that all processes end soon, and that no file says that the stack runs."""
        wait_until(lambda: not self.processes(), lambda: f"still there: {self.processes()}")
        assert not [path.name for path in self.data.glob("up.*")]


class Running:
    """A process in a session of its own, and what it printed."""

    def __init__(self, command: Command, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # Where the tests run under nohup, they are started with SIGHUP ignored.
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
        )
        self.pid = self._process.pid

    def signal(self, number: signal.Signals) -> None:
        """Signal this process alone."""
        os.kill(self.pid, number)

    def press_ctrl_c(self) -> None:
        """Signal the whole foreground group, as a terminal does."""
        os.killpg(self.pid, signal.SIGINT)

    def line(self) -> str:
        """Return the next line of standard output."""
        return _next_line(self._process.stdout)

    def progress(self) -> str:
        """Return the next line of standard error."""
        return _next_line(self._process.stderr)

    def ready(self) -> str:
        """Wait for the READY line and return it."""
        line = self.line()
        assert line.startswith("READY "), self.end()
        return line

    def end(self) -> tuple[int, str, str]:
        """Wait for the end and return the exit code and what else was printed."""
        output, errors = self._process.communicate(timeout=60)
        return self._process.returncode, output, errors

    def kill(self) -> None:
        """Kill what is left of it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGTERM)
        self._process.communicate(timeout=60)


def _next_line(stream: IO[str] | None) -> str:
    assert stream is not None
    return stream.readline().rstrip("\n")


def wait_until(is_so: Callable[[], bool], what: Callable[[], str], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, what()
        time.sleep(0.05)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine whose processes do not outlive the test, even one that fails."""
    machine = Machine(tmp_path)
    yield machine
    for pid in machine.processes():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_up_token_down(machine: Machine) -> None:
    """The stack says where it is, gives a token, refuses a second start and ends on `make down` with exit 0."""
    up = machine.start([*MAKE, "up"], AUTH="1")
    first = machine.app_port
    assert re.fullmatch(
        rf"READY app=http://127\.0\.0\.1:{first}/api dicom=http://127\.0\.0\.1:{first + 1}/v2 "
        rf"storage=\S+;BlobEndpoint=http://127\.0\.0\.1:{first + 2}/\S+",
        up.ready(),
    )
    assert re.fullmatch(r"KEYS function=\S+ master=\S+", up.line())
    assert {path.stat().st_mode & 0o777 for path in machine.data.glob("up.json")} == {0o600}
    assert status(f"http://{HOST}:{first}/api/studies") == 401

    token = machine.run([*MAKE, "token"]).stdout.strip()
    studies = f"http://{HOST}:{first + 1}/v2/studies"
    assert status(studies, Accept="application/dicom+json") == 401
    assert status(studies, Accept="application/dicom+json", Authorization=f"Bearer {token}") in (200, 204)
    reading = machine.run([*MAKE, "token", "ROLE=reader"]).stdout.strip()
    roles = [jwt.decode(each, options={"verify_signature": False})["roles"] for each in (token, reading)]
    assert roles == [["owner"], ["reader"]]

    adding_up = machine.run([*MAKE, "reconcile"])
    assert (adding_up.returncode, adding_up.stderr) == (0, "")
    assert re.search(r"^differences +0$", adding_up.stdout, re.MULTILINE)

    second = machine.run(UP)
    assert (second.returncode, second.stdout) == (2, "")
    assert re.fullmatch(r"A stack runs in \S+: end it with `make down`.*\n", second.stderr)

    secrets = (machine.data / "up.json").read_text().split('"')[7]
    assert not any(secrets in command or token in command for command in machine.processes().values())

    assert machine.run([*MAKE, "down"]).returncode == 0
    assert not machine.processes().keys() - {up.pid}
    code, output, _ = up.end()
    assert (code, output) == (0, "")
    machine.assert_nothing_is_left()
    assert machine.run([*MAKE, "down"]).stdout.startswith("Nothing runs")
    assert machine.run([*MAKE, "token"]).returncode != 0


def test_token_without_a_stack(machine: Machine) -> None:
    """The folder in which no stack runs is named, and so is the variable that names another one."""
    done = machine.run([sys.executable, "-m", "local.print_token"])
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"No stack runs in {machine.data}: start one with `make up`, or set LOCAL_DATA_DIR to the folder of the one "
        "that runs.\n"
    )


def status(url: str, **headers: str) -> int:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, headers=headers), timeout=10) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_signal_while_starting(machine: Machine) -> None:
    """A signal that comes half way through the start ends what was started, with exit 0."""
    up = machine.start(UP)
    assert up.progress().startswith("Starting storage")
    assert int((machine.data / "up.pid").read_text()) == up.pid
    up.signal(signal.SIGTERM)
    code, output, _ = up.end()
    assert (code, output) == (0, "")
    machine.assert_nothing_is_left()


@pytest.mark.parametrize(
    "end",
    [
        Running.press_ctrl_c,  # which reaches make and its child
        lambda make: make.signal(signal.SIGHUP),
        lambda make: make.signal(signal.SIGKILL),
    ],
    ids=["Ctrl-C", "SIGHUP", "SIGKILL"],
)
def test_the_end_of_make_ends_everything(machine: Machine, end: Callable[[Running], None]) -> None:
    make = machine.start([*MAKE, "up"])
    make.ready()
    end(make)
    make.end()
    machine.assert_nothing_is_left()


def test_a_part_dies(machine: Machine) -> None:
    """The death of a part is named, with the end of its log, and ends the others with exit 1."""
    up = machine.start(UP)
    up.ready()
    [azurite] = [pid for pid, command in machine.processes().items() if "azurite.js" in command]
    os.kill(azurite, signal.SIGKILL)
    code, output, errors = up.end()
    assert (code, output) == (1, "")
    assert "Azurite ended by SIGKILL" in errors
    assert "successfully listening" in errors
    machine.assert_nothing_is_left()


def test_killed_and_started_again(machine: Machine) -> None:
    """If it is killed its parts end by themselves, and what it leaves behind keeps nobody from starting."""
    up = machine.start(UP)
    up.ready()
    up.signal(signal.SIGKILL)
    up.end()
    wait_until(lambda: not machine.processes(), lambda: f"still there: {machine.processes()}")
    # The id in the file may belong to anyone by now: here, to this test.
    (machine.data / "up.pid").write_text(f"{os.getpid()}\n")
    assert machine.run([sys.executable, "-m", "local.print_token"]).returncode == 1
    assert machine.run([sys.executable, "-m", "local.down"]).stdout.startswith("Nothing runs")
    again = machine.start(UP)
    again.ready()
    again.signal(signal.SIGTERM)
    assert again.end()[0] == 0
    machine.assert_nothing_is_left()


def test_other_service(machine: Machine) -> None:
    """DICOM_SERVICE_URL in the environment wins, and a service that is down does not keep the app from starting."""
    elsewhere = f"http://{HOST}:{free_ports(1)}/v2"
    up = machine.start(UP, DICOM_SERVICE_URL=elsewhere)
    up.ready()
    assert f"DICOM_SERVICE_URL={elsewhere}" in app_environment(machine)
    up.signal(signal.SIGTERM)
    assert up.end()[0] == 0


def app_environment(machine: Machine) -> list[str]:
    [app] = [pid for pid, command in machine.processes().items() if "local.functions_host" in command]
    return Path(f"/proc/{app}/environ").read_text().split("\0")


@pytest.mark.parametrize(("offset", "variable"), [(0, "APP_PORT"), (1, "DICOM_PORT"), (4, "AZURITE_PORT")])
def test_taken_port(machine: Machine, offset: int, variable: str) -> None:
    """A taken port gives one line that names it and the variable to set, and nothing is started."""
    port = machine.ports[offset]
    with socket.socket() as taken:
        # What ran on this port before may have left connections that rest (TIME_WAIT).
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((HOST, port))
        taken.listen()
        refused = machine.run(UP)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert re.fullmatch(rf"Port {port} is taken: set {variable} to another one.*\n", refused.stderr)
    assert not list(machine.data.iterdir())


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("APP_PORT", "many", "APP_PORT has to be a port number."),
        ("AZURITE_PORT", "65534", "AZURITE_PORT is too high, the first of three that are free."),
        ("AUTH", "yes", "AUTH has to be 1, to ask for function keys, or not set."),
    ],
)
def test_bad_setting(machine: Machine, name: str, value: str, said: str) -> None:
    """A setting of the stack's that is wrong gives one line."""
    refused = machine.run(UP, **{name: value})
    assert (refused.returncode, refused.stderr) == (2, f"{said}\n")
