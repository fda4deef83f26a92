"""What holds for a run of tests: none skips or hangs unnoticed, and several processes can share it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEST = """
import pytest

def test_passes():
    pass

def test_needs_a_server():
    pytest.skip("no server here")

@pytest.mark.xfail(reason="known", strict=True)
def test_known():
    assert False
"""
NEAR = """
*::test_needs_a_server | another reason
*::test_another | no server here
# *::test_needs_a_server | no server here
"""
MADE_UIDS = """
import pytest
from pydicom.uid import generate_uid

@pytest.mark.parametrize("path", [f"/studies/{generate_uid()}/series", "/studies"])
def test_it(path):
    pass
"""
HANGING = """
import threading
import pytest

@pytest.mark.timeout(0.5)
def test_hangs():
    threading.Event().wait()

def test_passes():
    pass
"""


@pytest.mark.parametrize(
    ("allowed", "code"),
    [("*::test_needs_a_server | no server *", 0), (NEAR, 1)],
)
def test_only_a_listed_skip_passes(tmp_path: Path, allowed: str, code: int) -> None:
    """A run with a skip fails unless its id and its reason are in the list, and says which it is."""
    done = run(tmp_path, allowed, test_it=TEST)
    assert done.returncode == code, done.stdout
    assert ("SKIP NOT IN allowed_skips.txt" in done.stdout) == (code == 1)


def test_a_test_that_hangs_is_named(tmp_path: Path) -> None:
    """It fails after its time, with the line where it hangs, and the next one runs."""
    done = run(tmp_path, "", "-n1", test_it=HANGING)
    assert done.returncode == 1, done.stdout
    assert "::test_hangs - Failed: Timeout" in done.stdout
    assert "threading.Event().wait()" in done.stdout
    assert "1 failed, 1 passed" in done.stdout


def test_names_are_the_same_in_every_process(tmp_path: Path) -> None:
    """Those of tests with UIDs that each process makes anew: else they could not be shared out."""
    done = run(tmp_path, "", "-n2", "-v", test_it=MADE_UIDS)
    assert done.returncode == 0, done.stdout
    assert "::test_it[/studies/uid/series]" in done.stdout
    assert "::test_it[/studies]" in done.stdout


def run(folder: Path, allowed: str, *options: str, **files: str) -> subprocess.CompletedProcess[str]:
    """Run test files under the guards."""
    shutil.copy(ROOT / "tests/conftest.py", folder)
    (folder / "allowed_skips.txt").write_text(allowed)
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    without = ["-p", "no:cacheprovider", "-p", "no:schemathesis"]  # whose import takes as long as all the rest
    command = [sys.executable, "-m", "pytest", "-c", "pyproject.toml", *without, *options, str(folder)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
