"""Commands out of the documents, run in a shell that has nothing but what it is given.

What is Azure's is answered by stand-ins for its command-line tools; everything else is real, or is not there. A command
that is neither is noted, wherever it stands in its line.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local.commands import ROOT, no_proxy
from local.stack import Stack
from tests.conftest import APPROVAL_KEY, REPLAY_KEY

# Needs Azure or a package index: answered with nothing, but for what the pages go on with.
AZURE = ("az", "azd", "azcopy", "uv")
# Real ones. So are curl, git and make; but they are led to this machine's stack, to a clone that nobody needs, and to
# those of our targets that are for here.
REAL = (
    "bash",
    "cat",
    "cp",
    "date",
    "find",
    "flock",
    "grep",
    "head",
    "ls",
    "mkdir",
    "mv",
    "openssl",
    "python3",
    "rm",
    "sed",
    "sleep",
    "sort",
)
# Our own commands that are run here; the others with what runs them.
TARGETS = ("reconcile", "purge-preview")
TARGETS_ELSEWHERE = {
    "test": ".ci/run",
    "check": ".ci/run",
    "demo": ".ci/run",
    "audit": "tests/component/test_audit.py",
}
_AZURE = """\
case "$*" in
    "functionapp keys list "*masterKey*) echo "$MASTER_KEY" ;;
    "functionapp keys list "*) echo "$FUNCTION_KEY" ;;
    "keyvault secret show "*" replay-key "*) echo "$REPLAY" ;;
    "keyvault secret show "*" approval-key "*) echo "$APPROVAL" ;;
    "account get-access-token "*) echo "$DICOM_TOKEN" ;;
    "env get-values") cat "$TOLD/outputs" ;;
esac
"""
_CURL = """\
headers=$(mktemp)
trap 'rm -f "$headers"' EXIT
curl --noproxy '*' --silent --show-error --dump-header "$headers" "$@"
code=$?
{ read -r _ status _ && echo "$status"; } < "$headers" >> "$TOLD/statuses"
exit $code
"""
_GIT = 'git -C "$CLONE" "$@"'
# What the runbooks' own `reconcile` is given leads to Azure.
_MAKE = """\
unset DICOM_STORAGE__blobServiceUri DICOM_STORAGE__queueServiceUri
case " $HERE " in *" $1 "*) exec env PATH="$OUTER_PATH" make -s -C "$ROOT" PYTHON="$PYTHON" VENV="$VENV" "$@" ;; esac
case " $ELSEWHERE " in *" $1 "*) exit 0 ;; esac
echo "make $1" >> "$TOLD/unknown"
exit 127
"""
_BEGIN = """\
set -eo pipefail
command_not_found_handle() { echo "$1" >> "$TOLD/unknown"; return 127; }
export -f command_not_found_handle
"""


@dataclass(frozen=True)
class Ran:
    """What came of some commands.

    Args:
        code: the shell's exit code.
        output: what they printed.
        errors: what they complained of.
        statuses: what each curl was answered with.
        unknown: commands that are neither Azure's nor here.
    """

    code: int
    output: str
    errors: str
    statuses: tuple[str, ...]
    unknown: tuple[str, ...]


def blocks(text: str, language: str = "bash") -> list[str]:
    """Return the blocks of a page in a language, without the indentation of a list around them."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", block, flags=re.MULTILINE) for indent, block in found]


class Shell:
    """A shell with a stack in Azure's place.

    Args:
        stack: what the addresses in the pages lead to.
        folder: where the commands run, and what they are given lies beside it; in it, `data` is that of `make up`.
        outputs: what the deployment tells of itself, by the names of infra/.
        programs: others that there are, by name, or in the place of Azure's.
    """

    def __init__(
        self,
        stack: Stack,
        folder: Path,
        outputs: Mapping[str, str],
        *,
        programs: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder / "work"
        self.data = self.folder / "data"
        self._told, self._bin = folder / "told", folder / "bin"
        for each in (self.folder, self._told, self._bin):
            each.mkdir(parents=True)
        self._stack = stack
        known = {"INGEST_URL": stack.host_url, "LOOKUPS_URL": stack.app_url, "DICOM_SERVICE_URL": stack.dicom_url}
        lines = (f'{name}="{known.get(name, value)}"\n' for name, value in outputs.items())
        (self._told / "outputs").write_text("".join(lines))
        scripts = {**dict.fromkeys(AZURE, _AZURE), "curl": _CURL, "git": _GIT, "make": _MAKE, **(programs or {})}
        for name, script in scripts.items():
            (self._bin / name).write_text(f'#!/bin/bash\nPATH="$OUTER_PATH"\n{script}')
            (self._bin / name).chmod(0o755)
        for name in REAL:
            (self._bin / name).symlink_to(sys.executable if name == "python3" else shutil.which(name) or name)
        self._clone = _clone(folder)

    def environment(self) -> dict[str, str]:
        """Return what the commands find in it."""
        return {
            **self._stack.environment(),
            **no_proxy(),
            "PATH": str(self._bin),
            "OUTER_PATH": os.environ["PATH"],
            "TOLD": str(self._told),
            "CLONE": str(self._clone),
            "ROOT": str(ROOT),
            "PYTHON": sys.executable,
            "VENV": sys.prefix,
            "HERE": " ".join(TARGETS),
            "ELSEWHERE": " ".join(TARGETS_ELSEWHERE),
            "FUNCTION_KEY": self._stack.function_key,
            "MASTER_KEY": self._stack.master_key,
            "APPROVAL": APPROVAL_KEY,
            "REPLAY": REPLAY_KEY,
            "DICOM_TOKEN": self._stack.token(),
            "LOCAL_DATA_DIR": str(self.data),
            "FEED_LAG_SECONDS": "0",
        }

    def run(self, *commands: str, filled_in: Mapping[str, str] | None = None) -> Ran:
        """Run blocks one after the other in one shell, which ends at the first failure.

        Args:
            commands: the blocks.
            filled_in: what stands for `<…>`; a word for all others.
        """
        for name in ("statuses", "unknown"):
            (self._told / name).write_text("")
        script = _BEGIN + "\n".join(self._here(block, filled_in or {}) for block in commands)
        environment = {
            name: value for name, value in self.environment().items() if not name.startswith(("MAKE", "MFLAGS"))
        }
        done = subprocess.run(
            ["/bin/bash", "-c", script],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
        statuses, unknown = ((self._told / name).read_text().split("\n")[:-1] for name in ("statuses", "unknown"))
        return Ran(done.returncode, done.stdout, done.stderr, tuple(statuses), tuple(unknown))

    def _here(self, block: str, filled_in: Mapping[str, str]) -> str:
        block = re.sub(r"https://\$\w+\.azurewebsites\.net", self._stack.host_url, block)
        block = block.replace("https://<workspace>-<service>.dicom.azurehealthcareapis.com/v2", self._stack.dicom_url)
        return re.sub(r"<([a-z][^<>|\n]*)>", lambda found: filled_in.get(found[1], "word"), block)


def _clone(folder: Path) -> Path:
    """Make a repository with one commit, and return a clone of it, for commands that check out versions."""
    origin, clone = folder / "origin", folder / "clone"
    as_somebody = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    commands: tuple[list[str | Path], ...] = (
        ["init", "--quiet", origin],
        ["-C", origin, *as_somebody, "commit", "--quiet", "--allow-empty", "--message", "first"],
        ["clone", "--quiet", origin, clone],
    )
    for command in commands:
        subprocess.run(["git", *command], check=True, capture_output=True)
    return clone
