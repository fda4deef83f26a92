"""Lock the dependencies that pyproject.toml names: `python -m local.lock`, or `--check` to only compare.

The pins that stand stay as they are as long as they satisfy pyproject.toml; to renew them all, delete a file first.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_COMPILE = "uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header"
# No index's address may get into the files: they serve behind any mirror.
FILES = {
    "requirements.txt": "pyproject.toml",
    "requirements-dev.txt": "pyproject.toml --group local --group test --group check -c requirements.txt",
    "local/node/requirements.txt": "--group node",
    "bench/rivals/requirements.txt": "--group rivals -c requirements-dev.txt",
}


def main() -> int:
    """Write the lock files, or say which are not in step."""
    parser = argparse.ArgumentParser(description="Lock the dependencies that pyproject.toml names.")
    parser.add_argument("--check", action="store_true", help="change nothing")
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _compile(folder)
        drifted = [file for file in FILES if not _is_same(folder / file, ROOT / file)]
        for file in drifted:
            if not check:
                shutil.copyfile(folder / file, ROOT / file)
            print(f"{file} {'is not in step with pyproject.toml: run `make lock`' if check else 'written'}")
    return 1 if check and drifted else 0


def _compile(folder: Path) -> None:
    """Compile every file in a copy of the project, so that the project has either the old ones or all new ones."""
    shutil.copy(ROOT / "pyproject.toml", folder)
    for file, sources in FILES.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / file).exists():
            shutil.copyfile(ROOT / file, folder / file)
        command = [*_COMPILE.split(), *sources.split(), "-o", file]
        command[0] = str(Path(sys.executable).with_name("uv"))
        if subprocess.run(command, cwd=folder, check=False).returncode:  # noqa: S603 - the command is above
            sys.exit(f"{file} could not be compiled: see above.")


def _is_same(one: Path, other: Path) -> bool:
    return other.exists() and one.read_bytes() == other.read_bytes()


if __name__ == "__main__":
    sys.exit(main())
