"""What the functions host refuses to run, and how it says so."""

from __future__ import annotations

import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from local.ports import free_ports
from tests.component.functions_host.running import APPS, ROOT, WORKERS, command, environment

STREAMING = "from azurefunctions.extensions.http.fastapi import Request, Response\n"
HEADER = "import azure.functions as func\napp = func.FunctionApp()\n"
TIMER = '@app.timer_trigger(arg_name="timer", schedule="0 0 3 * * *")\n'
NO_PREFIX = '{"version": "2.0", "extensions": {"http": {"routePrefix": ""}}}'
GOOD = '@app.route(route="good")\ndef good(req: func.HttpRequest) -> func.HttpResponse: ...\n'

# The reason that must be told, and the app.
BAD_APPS = {
    "a parameter no binding fills": ("extra", HEADER + TIMER + "def f(timer, extra): ...\n"),
    "a binding no parameter takes": ("timer", HEADER + TIMER + "def f(): ...\n"),
    "a timer annotated as a message": ("timer", HEADER + TIMER + "def f(timer: func.QueueMessage): ...\n"),
    "an annotation that is no type": ("timer", HEADER + TIMER + "def f(timer: 'func.TimerRequest | None'): ...\n"),
    "a wrong context": ("context", HEADER + TIMER + "def f(timer: func.TimerRequest, context: int): ...\n"),
    "a wrong return type": ("int", HEADER + '@app.route(route="x")\ndef f(req: func.HttpRequest) -> int: ...\n'),
    "two apps": ("More than one|one FunctionApp", HEADER + GOOD + "other = func.FunctionApp()\n"),
    "a second name for the app": ("More than one|one FunctionApp", HEADER + GOOD + "other = app\n"),
    "no app": ("top level", "import azure.functions as func\n"),
    "two functions of one name": ("unique function name", HEADER + GOOD + GOOD),
    "no trigger": ("does not have a trigger", HEADER + '@app.function_name("f")\ndef f(): ...\n'),
    "a syntax error": ("SyntaxError", HEADER + "def f(:\n"),
    "a missing module": ("no_such_module", HEADER + "import no_such_module\n"),
    "classic and streaming": ("req", HEADER + STREAMING + GOOD),
    "a schedule that is a time span": (
        "TimeSpan",
        HEADER + '@app.timer_trigger(arg_name="timer", schedule="00:05:00")\ndef f(timer): ...\n',
    ),
    "a setting that is missing": (
        "NO_SUCH_SETTING",
        HEADER + '@app.timer_trigger(arg_name="timer", schedule="%NO_SUCH_SETTING%")\ndef f(timer): ...\n',
    ),
    "a binding that is not imitated": (
        "eventGridTrigger",
        HEADER + '@app.event_grid_trigger(arg_name="e")\ndef f(e: func.EventGridEvent): ...\n',
    ),
    "a reserved route": ("reserved", HEADER + GOOD.replace('"good"', '"admin/x"')),
}


def _run(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    line = command(folder, "--port", str(free_ports(1)), *arguments)
    return subprocess.run(line, env=environment(**settings), cwd=ROOT, capture_output=True, text=True, timeout=30)


def _write_app(folder: Path, code: str, host: str = '{"version": "2.0"}') -> None:
    (folder / "function_app.py").write_text(code)
    (folder / "host.json").write_text(host)


Outcomes = dict[tuple[str, str], subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """What became of every bad app under every worker; run side by side, as each is a process."""
    cases = [(worker, what) for worker in WORKERS for what in BAD_APPS]

    def run(case: tuple[str, str]) -> subprocess.CompletedProcess[str]:
        folder = tmp_path_factory.mktemp("bad")
        _write_app(folder, BAD_APPS[case[1]][1], NO_PREFIX)
        return _run(folder, "--worker", case[0])

    with ThreadPoolExecutor(3) as threads:
        return dict(zip(cases, threads.map(run, cases), strict=True))


@pytest.mark.parametrize("worker", WORKERS)
@pytest.mark.parametrize("what", BAD_APPS)
def test_a_bad_app_is_refused_with_its_reason(outcomes: Outcomes, worker: str, what: str) -> None:
    """One bad function fails the app with exit code 1 and a line that says why, under both workers."""
    ended = outcomes[worker, what]
    assert ended.returncode == 1, ended.stdout
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("functions host: ")
    assert any(word in last for word in BAD_APPS[what][0].split("|")), last


@pytest.mark.parametrize("host", ["{", "[]", "{}", '{"version": "2.0", "functionTimeout": "ten"}'])
def test_a_bad_host_json_is_refused(tmp_path: Path, host: str) -> None:
    """A host.json that is not what it should be is named in one line."""
    _write_app(tmp_path, HEADER + GOOD, host)
    ended = _run(tmp_path)
    assert (ended.returncode, len(ended.stderr.splitlines())) == (1, 1)
    assert "host.json" in ended.stderr


def test_a_taken_port_is_told_in_one_line() -> None:
    """Exit code 2, no stack trace, nothing imported."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        line = command(APPS / "classic", "--port", port)
        ended = subprocess.run(line, env=environment(), cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == f"functions host: port {port} cannot be used: Address already in use\n"


def test_storage_that_is_away_is_told_in_one_line() -> None:
    """Exit code 1, no stack trace, and the connection string stays unsaid."""
    away = f"http://127.0.0.1:{free_ports(1)}/account"
    connection = f"AccountName=account;AccountKey=c2VjcmV0;BlobEndpoint={away};QueueEndpoint={away}"
    ended = _run(APPS / "storage", AzureWebJobsStorage=connection, INBOX=connection, EVERY="0 0 0 1 1 *")
    assert ended.returncode == 1
    assert ended.stderr.startswith("functions host: the storage account of AzureWebJobsStorage does not answer")
    assert len(ended.stderr.splitlines()) == 1
    assert "c2VjcmV0" not in ended.stdout + ended.stderr


def test_local_settings_fill_in_what_the_environment_leaves_open(tmp_path: Path) -> None:
    """A value of local.settings.json counts unless the environment has one."""
    code = 'import os\nprint(os.environ["ONE"], os.environ["TWO"], flush=True)\nraise SystemExit("enough")\n'
    _write_app(tmp_path, code)
    (tmp_path / "local.settings.json").write_text('{"Values": {"ONE": "file", "TWO": "file"}}')
    assert "environment file" in _run(tmp_path, ONE="environment").stdout
