"""What the live tests fetch is fetched once, and what goes wrong is said in a line."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from . import chromium, orthanc
from .installing import InstallationFailed, run


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("print('first'); print('E: no such host'); raise SystemExit(100)", "failed: E: no such host"),
        ("raise SystemExit(1)", "failed: it printed nothing"),
        ("input()", "failed: EOFError"),
        ("import time; time.sleep(60)", "took more than 0.5 s"),
    ],
)
def test_says_why_an_installer_failed(tmp_path: Path, program: str, why: str) -> None:
    """The program, and the last line of what it printed; nothing is asked for, and nothing waited for without end."""
    with pytest.raises(InstallationFailed, match=f"python.* -c {why}"):
        run([sys.executable, "-c", program], folder=tmp_path, timeout_seconds=0.5 if "sleep" in program else 30)


def test_says_that_an_installer_is_missing(tmp_path: Path) -> None:
    """A program that is not there is an installation that failed, too."""
    with pytest.raises(InstallationFailed, match="apt-get update: No such file"):
        run([tmp_path / "apt-get", "update"], folder=tmp_path, timeout_seconds=30)


@pytest.mark.parametrize("program", [chromium, orthanc], ids=["Chromium", "Orthanc"])
def test_a_machine_without_apt_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: ModuleType) -> None:
    """Without apt, what is missing is named; with one that fails, what it said, and the next run tries again."""
    monkeypatch.setattr(program, "_CACHE", tmp_path / "cache")
    monkeypatch.setattr(orthanc, "_PLUGIN", "nowhere")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InstallationFailed, match="nor apt-get to fetch it"):
        program.find_or_fetch()
    for name in ("apt-get", "dpkg-deb"):
        (tmp_path / name).write_text("#!/bin/sh\necho E: no such host\nexit 100\n")
        (tmp_path / name).chmod(0o755)
    for _ in range(2):
        with pytest.raises(InstallationFailed, match="apt-get update failed: E: no such host"):
            program.find_or_fetch()
