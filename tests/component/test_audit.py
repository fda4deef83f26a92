"""`make audit`, with a stand-in for the database of vulnerabilities."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from local.audit import locked
from local.commands import ROOT, no_proxy
from local.ports import HOST, free_ports


class Database:
    """Knows vulnerabilities of some pins, and which ones it was asked for."""

    def __init__(self, known: dict[tuple[str, str], str], *, status: int = 200) -> None:
        self.known = known
        self.status = status
        self.asked: list[tuple[str, str]] = []

    def answer(self, query: dict[str, Any]) -> dict[str, Any]:
        """Return what OSV's /v1/query does."""
        pin = query["package"]["name"], query["version"]
        self.asked.append(pin)
        return {"vulns": [vulnerability(self.known[pin], pin[0])]} if pin in self.known else {}


def vulnerability(name: str, package: str) -> dict[str, Any]:
    affected = {
        "package": {"name": package, "ecosystem": "PyPI"},
        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "999.1"}]}],
    }
    return {"id": name, "aliases": [f"CVE-of-{name}"], "summary": "bad", "details": "bad", "affected": [affected]}


@contextmanager
def serving(database: Database) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = json.loads(self.rfile.read(int(self.headers["content-length"])))
            body = json.dumps(database.answer(query)).encode()
            self.send_response(database.status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer((HOST, 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://{HOST}:{server.server_port}/v1/query"
        finally:
            server.shutdown()
            thread.join()


def audit(url: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "local.audit", "--url", url]
    environment = {**os.environ, **no_proxy()}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_a_vulnerable_version_is_named() -> None:
    """With what mends it, and which lock has it, whichever Python that is for; all pins are asked for."""
    pins = locked()
    both = [pin for pin in pins if pin[0] == "azure-functions"]
    assert len(both) == 2  # one for Python up to 3.12, one from 3.13 on
    database = Database({both[0]: "PYSEC-1", both[1]: "PYSEC-2"})
    with serving(database) as url:
        done = audit(url)
    assert done.returncode == 1, done.stderr
    for pin, name in database.known.items():
        line = f"{' '.join(pin)}: {name}, CVE-of-{name}; mended in 999.1 (requirements.txt, requirements-dev.txt)"
        assert line in done.stdout.splitlines()
    assert done.stdout.splitlines()[-1].endswith(": 2 known vulnerabilities.")
    assert sorted(database.asked) == sorted(pins)


def test_nothing_known() -> None:
    """It ends with 0, and says how many packages that is about."""
    with serving(Database({})) as url:
        done = audit(url)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{len(locked())} packages of 4 lock files: no known vulnerabilities.\n"


@pytest.mark.parametrize("status", [None, 503])
def test_what_could_not_be_asked_is_not_taken_for_harmless(status: int | None) -> None:
    """Where the database cannot be reached, or fails: a code of its own, and no word of packages."""
    if status is None:
        done = audit(f"http://{HOST}:{free_ports(1)}/v1/query")
    else:
        with serving(Database({}, status=status)) as url:
            done = audit(url)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("The database of vulnerabilities could not be asked, so nothing is known: ")
    assert len(done.stderr.splitlines()) == 1
