"""The guard against tests that skip unnoticed."""

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


@pytest.mark.parametrize(
    ("allowed", "code"),
    [
        ("", 1),
        ("*::test_needs_a_server | no server *", 0),
        ("*::test_needs_a_server | another reason", 1),
        ("*::test_another | no server here", 1),
        ("# *::test_needs_a_server | no server here", 1),
    ],
)
def test_only_a_listed_skip_passes(tmp_path: Path, allowed: str, code: int) -> None:
    """A run with a skip fails unless its id and its reason are in the list, and says which it is."""
    shutil.copy(ROOT / "tests/conftest.py", tmp_path)
    (tmp_path / "allowed_skips.txt").write_text(allowed)
    (tmp_path / "test_it.py").write_text(TEST)
    command = [sys.executable, "-m", "pytest", "-c", "pyproject.toml", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout
    assert ("SKIP NOT IN allowed_skips.txt" in done.stdout) == (code == 1)
