"""The local DICOM service as a process: tokens, its log, its end, and what is there when it comes back."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import jwt

from local import tokens
from tests.kit.service import (
    DICOM_JSON,
    IMPLICIT,
    STORED_INSTANCE,
    Sample,
    ServiceClient,
    items,
    path_of,
    values,
)

SECRET = "a secret of the tests, long enough for HS256"


class Process:
    """A running service with its log in a file."""

    def __init__(self, popen: subprocess.Popen[bytes], log: Path) -> None:
        self.popen = popen
        self.log = log
        self.root = self._listening()

    def _listening(self) -> str:
        """Wait for it to say where it listens, and for its first answer."""
        deadline = time.monotonic() + 20
        while "listening on " not in self.log.read_text():
            assert self.popen.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        root = self.log.read_text().partition("listening on ")[2].split("/v2")[0]
        assert httpx.get(f"{root}/health/check", timeout=20).status_code == 200
        return root

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Signal it and return its exit code."""
        self.popen.send_signal(how)
        return self.popen.wait(10)


@contextmanager
def started(data: Path, *options: str, secret: str | None = None) -> Iterator[Process]:
    """Run `python -m local.dicom_service` on a free port."""
    log = data.with_suffix(".log")
    environment = {name: value for name, value in os.environ.items() if name != "LOCAL_TOKEN_SECRET"}
    if secret is not None:
        environment["LOCAL_TOKEN_SECRET"] = secret
    command = [sys.executable, "-m", "local.dicom_service", "--port", "0", "--data", str(data), *options]
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output, env=environment) as popen:
        try:
            yield Process(popen, log)
        finally:
            popen.kill()


def test_tokens_are_checked(tmp_path: Path) -> None:
    """Without a valid token everything below the version is 401 with a Bearer challenge; health is open."""
    now = int(time.time())
    claims = {"aud": tokens.DICOM_AUDIENCE, "iss": tokens.ISSUER, "exp": now + 60}
    refused = {
        "none": None,
        "scheme": f"Basic {tokens.issue(SECRET)}",
        "nonsense": "Bearer nonsense",
        "secret": f"Bearer {tokens.issue('another secret that is long enough')}",
        "audience": f"Bearer {tokens.issue(SECRET, audience='https://storage.azure.com')}",
        "expired": f"Bearer {tokens.issue(SECRET, lifetime_seconds=-10)}",
        "unsigned": f"Bearer {jwt.encode(claims, '', algorithm='none')}",
    }
    with started(tmp_path / "data", secret=SECRET) as process:
        for authorization in refused.values():
            headers = {"Accept": DICOM_JSON} | ({"Authorization": authorization} if authorization else {})
            response = httpx.get(f"{process.root}/v2/studies", headers=headers)
            assert response.status_code == 401
            assert response.headers["WWW-Authenticate"].startswith("Bearer ")
        client = ServiceClient(process.root, {"Authorization": f"Bearer {tokens.issue(SECRET)}"})
        with client.http:
            client.store_samples(Sample())
            assert len(client.search("/studies")) == 1
        refused_store = httpx.post(f"{process.root}/v2/studies", content=b"x" * 5_000_000)
        assert refused_store.status_code == 401


def test_secret_is_needed(tmp_path: Path) -> None:
    """Without a secret, and without being told to do without, the service does not start."""
    command = [sys.executable, "-m", "local.dicom_service", "--port", "0", "--data", str(tmp_path)]
    environment = {name: value for name, value in os.environ.items() if name != "LOCAL_TOKEN_SECRET"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 1
    assert "LOCAL_TOKEN_SECRET" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_switches_are_options(tmp_path: Path) -> None:
    """What the service lets and refuses is said on the command line."""
    options = ["--no-auth", "--preamble", "optional", "--mismatch-code", "43265", "--implicit-vr", "reject"]
    options += ["--clock-ahead-seconds", "3600"]
    with started(tmp_path / "data", *options) as process:
        client = ServiceClient(process.root)
        with client.http:
            assert client.store(Sample().content[132:]).status_code == 200
            assert client.http.get(f"{process.root}/admin/clock").json() == {"ahead_seconds": 3600}
            reasons = [
                values(items(response, "00081198")[0], "00081197")
                for response in (
                    client.store(Sample().content, Sample().study_path),
                    client.store(Sample(transfer_syntax=IMPLICIT).content),
                )
            ]
    assert reasons == [[43265], [43264]]


def test_restart_keeps_everything(tmp_path: Path) -> None:
    """What was stored before a restart is searched for and retrieved after it; versions go on."""
    sample = Sample()
    with started(tmp_path / "data", "--no-auth") as process:
        client = ServiceClient(process.root)
        with client.http:
            client.store_samples(sample)
            etag = client.get(f"{sample.path}/metadata").headers["ETag"]
        assert process.stop() == 0
    with started(tmp_path / "data", "--no-auth") as process:
        client = ServiceClient(process.root)
        with client.http:
            assert client.get(sample.path, STORED_INSTANCE).content == sample.content
            assert client.get(f"{sample.path}/metadata").headers["ETag"] == etag
            assert client.store(sample.content).status_code == 409
            assert client.delete(sample.path) == 204


def test_killed_in_the_middle_of_stores(tmp_path: Path) -> None:
    """Killed at any moment it comes back consistent: what it confirmed is there, nothing is there by half."""
    data = tmp_path / "data"
    confirmed: dict[str, bytes] = {}
    for _ in range(2):
        with started(data, "--no-auth") as process:
            storing = [threading.Thread(target=_store_until_killed, args=(process.root, confirmed)) for _ in range(4)]
            for thread in storing:
                thread.start()
            kill_at_some_moment(process, lambda: bool(confirmed))
            for thread in storing:
                thread.join()
    with started(data, "--no-auth") as process:
        client = ServiceClient(process.root)
        with client.http:
            found = _all_paths(client)
            assert confirmed.keys() <= set(found)
            for path, content in confirmed.items():
                assert client.get(path, STORED_INSTANCE).content == content
            for path in found:
                assert client.get(path, STORED_INSTANCE).status_code == 200
        assert process.stop() == 0
    assert confirmed
    assert_files_are_rows(data)


def kill_at_some_moment(process: Process, is_well_under_way: Callable[[], bool]) -> None:
    """Kill in the middle of things, but not before a slow machine has done one of them."""
    time.sleep(random.uniform(0.15, 0.5))
    while not is_well_under_way():
        time.sleep(0.01)
    process.stop(signal.SIGKILL)


def assert_files_are_rows(data: Path) -> None:
    """Assert that there is a file for each row, and no other."""
    files = {path.name for path in (data / "instances").glob("*/*")}
    with closing(sqlite3.connect(data / "index.sqlite")) as index:
        rows = {name for (name,) in index.execute("SELECT file_name FROM instance")}
    assert files == rows
    assert list((data / "incoming").iterdir()) == []


def _store_until_killed(root: str, confirmed: dict[str, bytes]) -> None:
    client = ServiceClient(root)
    with client.http:
        while True:
            sample = Sample(elements={0x7FE00010: ("OB", random.randbytes(100_000))})
            try:
                response = client.store(sample.content)
            except httpx.HTTPError:
                return
            if response.status_code == 200:
                confirmed[sample.path] = sample.content


def _all_paths(client: ServiceClient) -> list[str]:
    paths: list[str] = []
    while page := client.search(f"/instances?limit=200&offset={len(paths)}"):
        paths += [path_of(found) for found in page]
    return paths


def test_log_has_no_patient_in_it(tmp_path: Path) -> None:
    """Neither UIDs nor values nor queries reach the log, in success or failure."""
    canary = "CANARY"
    sample = Sample(
        study="1.2.4711001",
        series="1.2.4711002",
        sop="1.2.4711003",
        elements={
            0x00080005: ("CS", b"CANARY_SET"),
            0x00100010: ("PN", b"CANARY^\x1b$Zx" * 9),
            0x00101030: ("DS", b"CANARY"),
            0x00101010: ("AS", b"CANARY"),
            0x00080020: ("DA", b"CANARY01"),
        },
    )
    with started(tmp_path / "data", "--no-auth") as process:
        client = ServiceClient(process.root)
        with client.http:
            for content in (sample.content, sample.content, sample.content[:-3], b"CANARY" * 50):
                client.store(content, **{"X-Canary": canary})
            for path in (
                f"/studies?PatientName={canary}",
                f"/studies?{canary}=1",
                f"/studies/{canary}",
                sample.path,
                f"{sample.path}/metadata",
                f"{sample.path}/frames/{canary}",
                f"/{canary}",
                f"/changefeed?{canary}",
            ):
                client.get(path)
            client.delete(sample.study_path)
        process.stop()
        log = process.log.read_text()
    assert canary not in log.upper()
    assert "4711" not in log
    assert "POST /v2/studies 202" in log
    assert "DELETE /v2/studies/{study} 204" in log
