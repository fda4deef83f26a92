"""The contract itself: it fails where a service is wrong, says how, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from local import tokens
from local.dicom_service.app import create_app
from tests.contract.target import OTHER_PARTITION, PARTITION, Unusable, from_environment
from tests.kit.service import ServiceClient, running, serving

ROOT = Path(__file__).resolve().parents[2]
OPTIONAL = ("DICOM_READER_TOKEN", "CONTRACT_EXTENDED_QUERY_TAGS", "CONTRACT_EXPIRY")
SECRET = "a secret of the tests, long enough for HS256"


@contextmanager
def contract(url: str, *files: str, processes: str = "-n0") -> Iterator[subprocess.Popen[str]]:
    """Run some files of the contract against a service."""
    others = {name: value for name, value in os.environ.items() if name not in OPTIONAL}
    environment = {**others, "CONTRACT_URL": url, "DICOM_TOKEN": tokens.issue(SECRET)}
    command = [sys.executable, "-m", "pytest", "-q", "--tb=no", "-rN", processes]
    command += ["-p", "no:cacheprovider", "-p", "no:schemathesis"]  # which takes long to import
    command += [f"tests/contract/{file}" for file in files]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as popen:
        try:
            yield popen
        finally:
            popen.kill()


def is_empty(root: str) -> bool:
    """Tell whether a service has no study."""
    client = ServiceClient(root, {"Authorization": f"Bearer {tokens.issue(SECRET)}"})
    with client.http:
        return client.search("/studies") == []


def wrong(app: ASGIApp) -> ASGIApp:
    """Return the service with 200 in place of each 204, and without ETags."""

    async def altered(scope: Scope, receive: Receive, send: Send) -> None:
        async def altering_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["status"] = 200 if message["status"] == 204 else message["status"]
                message["headers"] = [header for header in message["headers"] if header[0].lower() != b"etag"]
            await send(message)

        await app(scope, receive, altering_send)

    return altered


def test_a_run_leaves_nothing_behind(tmp_path: Path) -> None:
    """All is well: it says what was left out and why, and the service is as empty as before."""
    files = ("test_delete.py", "test_auth.py", "test_partitions.py")
    with running(tmp_path, token_secret=SECRET) as root, contract(f"{root}/v2/", *files) as run:
        output, _ = run.communicate(timeout=60)
        assert run.returncode == 0, output
        assert "NOT RUN: 8 of test_auth.py: DICOM_READER_TOKEN is not set" in output
        assert "of test_partitions.py: the service has no partitions" in output
        assert "0 tests found differences; " in output
        assert "NOT REMOVED" not in output
        assert is_empty(root)


def test_a_service_with_partitions(tmp_path: Path) -> None:
    """The same tests then work within a partition."""
    files = ("test_delete.py", "test_change_feed.py", "test_partitions.py")
    with running(tmp_path, token_secret=SECRET, partitions=True) as root, contract(f"{root}/v2", *files) as run:
        output, _ = run.communicate(timeout=60)
        assert run.returncode == 0, output
        assert "NOT RUN: 1 of test_partitions.py: the service has partitions" in output
        client = ServiceClient(root, {"Authorization": f"Bearer {tokens.issue(SECRET)}"})
        with client.http:
            for partition in (PARTITION, OTHER_PARTITION):
                assert client.search(f"/partitions/{partition}/studies") == []


def test_a_wrong_service_is_told_from_a_right_one(tmp_path: Path) -> None:
    """Differences are a table of facts, without tracebacks; what was made is removed all the same."""
    app = wrong(create_app(tmp_path, SECRET))
    with serving(app) as root, contract(f"{root}/v2", "test_delete.py", "test_metadata.py") as run:
        output, _ = run.communicate(timeout=60)
    assert run.returncode == 1
    rows = [line for line in output.splitlines() if line.startswith("| ")]
    assert rows[0] == "| fact | source | expected | observed |"
    assert any("Deleting is 204" in row and "| 204 | 200 to DELETE /v2/studies/{uid} |" in row for row in rows)
    assert any("ETags have no quotes" in row and "open-source server" in row for row in rows)
    assert "Traceback" not in output
    assert "raise Difference" not in output
    with running(tmp_path, token_secret=SECRET) as root:
        assert is_empty(root)


def keeping(app: ASGIApp) -> ASGIApp:
    """Return the service with nothing deleted."""

    async def altered(scope: Scope, receive: Receive, send: Send) -> None:
        deletes = scope["type"] == "http" and scope["method"] == "DELETE"
        await (PlainTextResponse("no", 403) if deletes else app)(scope, receive, send)

    return altered


@pytest.mark.parametrize("processes", ["-n0", "-n1"])
def test_what_is_left_behind_fails_the_run(tmp_path: Path, processes: str) -> None:
    """Nor is all well where every test passes and a study stays, whichever process has left it."""
    app = keeping(create_app(tmp_path, SECRET))
    with serving(app) as root, contract(f"{root}/v2", "test_frames.py", processes=processes) as run:
        output, _ = run.communicate(timeout=60)
    assert run.returncode == 1, output
    assert " passed" in output
    assert " failed" not in output
    assert ("NOT REMOVED: " in output) == (processes == "-n0")


def test_an_interrupted_run_leaves_nothing_behind(tmp_path: Path) -> None:
    """Ctrl-C in the middle of a test removes what was made until then."""
    app, reached = create_app(tmp_path, SECRET), threading.Event()

    async def hanging(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].endswith("/metadata"):
            reached.set()
            await anyio.sleep_forever()
        await app(scope, receive, send)

    with serving(hanging) as root, contract(f"{root}/v2", "test_metadata.py") as run:
        assert reached.wait(30)
        assert not is_empty(root)
        run.send_signal(signal.SIGINT)
        output, _ = run.communicate(timeout=60)
        assert run.returncode == pytest.ExitCode.INTERRUPTED, output
        assert is_empty(root)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://example.com", "/v2"),
        ("http://example.com/v2", "https"),
        ("http://127.0.0.1:1/v2", "ConnectError"),
    ],
)
def test_unusable_addresses(monkeypatch: pytest.MonkeyPatch, url: str, problem: str) -> None:
    """No token is sent in the clear, and a service that does not answer is told at once."""
    monkeypatch.setenv("CONTRACT_URL", url)
    monkeypatch.setenv("DICOM_TOKEN", "any")
    with pytest.raises(Unusable, match=problem):
        from_environment()


def test_a_refused_token_is_told_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test is run with a token that opens nothing; it does not stand in what is said of it."""
    with running(tmp_path, token_secret=SECRET) as root:
        monkeypatch.setenv("CONTRACT_URL", f"{root}/v2")
        monkeypatch.setenv("DICOM_TOKEN", "nonsense")
        with pytest.raises(Unusable, match="401") as problem:
            from_environment()
    assert "nonsense" not in str(problem.value)


def test_no_token_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where azure-identity has no token, it is said how to get one."""
    for name in ("DICOM_TOKEN", "AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
    monkeypatch.setenv("CONTRACT_URL", "https://example.com/v2")
    with pytest.raises(Unusable, match="az login"):
        from_environment()
