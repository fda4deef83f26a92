"""What the make targets say where set-up cannot go on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}


def make(*arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**ENVIRONMENT, "PATH": str(path)} if path else ENVIRONMENT
    return subprocess.run(
        [shutil.which("make") or "make", "-s", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_help_is_the_default() -> None:
    """`make` alone names every target, on a line each, and sets nothing up."""
    shown = make()
    named = set(re.findall(r"^make (\w+) ", shown.stdout, re.MULTILINE))
    makefile = (ROOT / "Makefile").read_text()
    assert named == set(re.findall(r"^(\w+): set-up$", makefile, re.MULTILINE))


def test_old_python(tmp_path: Path) -> None:
    """A Python that is too old gives one sentence that says what to do."""
    old = script(tmp_path / "python3.9", 'case "$1" in -V) echo Python 3.9.2;; *) exit 1;; esac')
    done = make("token", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}")
    assert done.returncode != 0
    assert f"This needs Python 3.11 or newer, and {old} is 3.9.2: name another with PYTHON=" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_no_python(tmp_path: Path) -> None:
    """So does no Python at all."""
    missing = make("token", "PYTHON=no-such-python").stderr
    assert "This needs Python 3.11 or newer, and no-such-python is not there: name another with PYTHON=" in missing


@pytest.mark.parametrize(
    "module",
    [
        *(f"local.{name}" for name in ("demo", "dicom_service", "down", "print_token", "soak", "up")),
        "bench.soak",
        "purge_study.policy.schema",
        "purge_study.preview",
        "store_on_upload.reconcile",
    ],
)
def test_python_without_packages(module: str) -> None:
    """A command run by a Python without the project's packages gives one sentence that names the make targets."""
    environment = {name: value for name, value in ENVIRONMENT.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-S", "-m", module],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"\S+ lacks the packages of this project: run `make up` .*`make help`.*\.\n", done.stderr)


def test_python_without_venv(tmp_path: Path) -> None:
    """A Python without the venv module gives one sentence that names the package to install."""
    bare = script(
        tmp_path / "python",
        f"""case "$1" in -c) exec {sys.executable} "$@";; esac
exec {sys.executable} -c 'import sys, runpy, importlib.util as util
find = util.find_spec
util.find_spec = lambda name, *rest: None if name == "ensurepip" else find(name, *rest)
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")' "$@\"""",
    )
    done = make("token", f"PYTHON={bare}", f"VENV={tmp_path / 'venv'}")
    assert done.stderr.startswith("This Python cannot make virtual environments: install its venv module")


def test_environment_of_another_python(tmp_path: Path) -> None:
    """An environment of another Python is not used, nor removed."""
    (tmp_path / "venv/bin").mkdir(parents=True)
    script(tmp_path / "venv/bin/python", "echo 3.99.1")
    done = make("token", f"PYTHON={sys.executable}", f"VENV={tmp_path / 'venv'}")
    mine = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert f"holds Python 3.99.1, not {mine}: remove it, or name another with VENV=.venv-{mine}" in done.stderr
    assert (tmp_path / "venv/bin/python").exists()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the files that the set-up reads, with an environment that only notes what is installed into it."""
    project = tmp_path / "project"
    files = ("local/bootstrap.py", "local/node/package-lock.json", "local/node/requirements.txt")
    for file in (*files, "requirements.txt", "requirements-dev.txt"):
        (project / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, project / file)
    (project / "venv/bin").mkdir(parents=True)
    npm(project / "wheel-npm", "azurite by the wheel's npm", project)
    script(
        project / "venv/bin/python",
        f"""if [ "$1" = -c ]; then echo {".".join(map(str, sys.version_info[:3]))}; exit; fi
for last; do :; done
echo "${{last#{project}/}}" >> {project}/installed
case "$last" in */node/*) cp {project}/wheel-npm {project}/venv/bin/npm;; esac""",
    )
    return project


def npm(path: Path, name: str, project: Path) -> None:
    script(path, f"""mkdir -p node_modules; echo "{name}" >> {project}/installed""")


def set_up(project: Path, path: Path) -> list[str]:
    """Run the set-up with `path` first on the PATH and return what it installed."""
    (project / "installed").write_text("")
    subprocess.run(
        [sys.executable, "-I", project / "local/bootstrap.py", "--venv", project / "venv"],
        env={**ENVIRONMENT, "PATH": f"{path}:/usr/bin:/bin"},
        check=True,
    )
    return (project / "installed").read_text().splitlines()


def test_sets_up_once(project: Path, tmp_path: Path) -> None:
    """What is set up is left alone until a lock file changes."""
    script(tmp_path / "node", "echo v20.0.0")
    npm(tmp_path / "npm", "azurite", project)
    assert set_up(project, tmp_path) == ["requirements-dev.txt", "azurite"]
    assert set_up(project, tmp_path) == []
    for lock, what in (
        ("requirements.txt", "requirements-dev.txt"),
        ("local/node/package-lock.json", "azurite"),
    ):
        with (project / lock).open("a") as file:
            file.write("\n")
        assert set_up(project, tmp_path) == [what]


@pytest.mark.parametrize("node", ["echo v18.19.0", "exit 127"])
def test_node_that_will_not_do(project: Path, tmp_path: Path, node: str) -> None:
    """Without a Node.js that is new enough, the one that PyPI has is installed, and its npm is used."""
    script(tmp_path / "node", node)
    npm(tmp_path / "npm", "azurite", project)
    expected = ["requirements-dev.txt", "local/node/requirements.txt", "azurite by the wheel's npm"]
    assert set_up(project, tmp_path) == expected
    assert set_up(project, tmp_path) == []


def test_two_environments_at_once(project: Path, tmp_path: Path) -> None:
    """Each installs its packages while the other is at it too; Azurite, which both use, is installed once."""
    script(tmp_path / "node", "echo v20.0.0")
    npm(tmp_path / "npm", "azurite", project)
    python, others = project / "venv/bin/python", project / "other/bin/python"
    python.write_text(f"""{python.read_text()}
touch "$0.busy"
for turn in $(seq 2000); do [ -e {python}.busy ] && [ -e {others}.busy ] && exit; sleep 0.01; done
exit 1""")
    shutil.copytree(project / "venv", project / "other")
    command = [sys.executable, "-I", str(project / "local/bootstrap.py"), "--venv"]
    environment = {**ENVIRONMENT, "PATH": f"{tmp_path}:/usr/bin:/bin"}
    with subprocess.Popen([*command, str(project / "other")], env=environment) as other:
        subprocess.run([*command, str(project / "venv")], env=environment, check=True)
    assert other.returncode == 0
    installed = (project / "installed").read_text().splitlines()
    assert sorted(installed) == ["azurite", "requirements-dev.txt", "requirements-dev.txt"]
