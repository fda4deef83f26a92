"""docs/tutorial.md, typed in line by line, gives what it says; and `make tutorial` opens and ends."""

from __future__ import annotations

import ast
import builtins
import codeop
import inspect
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from local.ports import is_free
from local.samples import tutorial
from local.stack import Stack
from shared.dicomweb import DICOMwebClient

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/tutorial.md").read_text()
MICROSOFTS = ROOT.parent / "shared" / "data" / "tutorial"
TUTORIAL = [sys.executable, "-m", "local.tutorial"]
MAKE = ["make", "-s", f"PYTHON={sys.executable}", f"VENV={sys.prefix}", "tutorial"]
# make's own variables must not reach the make under test.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}


def steps() -> list[tuple[str, str]]:
    """Return each block of Python with the text that should come back, empty if none should."""
    found: list[tuple[str, str]] = []
    for match in re.finditer(r"^```python\n(.*?)^```\n(?:```text\n(.*?)^```\n)?", PAGE, re.MULTILINE | re.DOTALL):
        found.append((match[1], match[2] or ""))
    assert PAGE.count("```text\n") == sum(bool(text) for _, text in found), "each ```text follows its ```python"
    return found


class Prompt:
    """What `python -m asyncio` does with the lines that are typed into it; `names` are its globals."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {"__builtins__": builtins}
        self._compile = codeop.CommandCompiler()
        self._compile.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT

    async def type(self, block: str) -> str:
        """Type a block and an empty line; return what was printed."""
        typed: list[str] = []
        with redirect_stdout(StringIO()) as printed:
            for line in [*block.splitlines(), ""]:
                typed.append(line)
                code = self._compile("\n".join(typed))
                if code is not None:
                    typed.clear()
                    result = eval(code, self.names)
                    if inspect.iscoroutine(result):
                        await result
        assert not typed, "a statement without its end"
        return printed.getvalue()


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A DICOM service and a token endpoint of their own, and the settings that lead to them."""
    stack = Stack(tmp_path / "stack")
    try:
        stack.start_dicom_service()
        for name, value in stack.environment().items():
            monkeypatch.setenv(name, value)
        yield
    finally:
        stack.stop()


async def assert_the_page_holds() -> None:
    prompt = Prompt()
    try:
        for code, text in steps():
            assert await prompt.type(code) == text, code
    finally:
        for name in ("client", "auth"):
            if name in prompt.names:
                await prompt.names[name].aclose()


@pytest.mark.usefixtures("service")
async def test_the_page_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every block prints what stands under it, and nothing where nothing does; and so again on the same day."""
    for name, content in tutorial().items():
        (tmp_path / name).write_bytes(content)
    monkeypatch.setenv("TUTORIAL_FOLDER", str(tmp_path))
    await assert_the_page_holds()
    await assert_the_page_holds()


@pytest.mark.skipif(not MICROSOFTS.is_dir(), reason="Microsoft's tutorial files are not beside this checkout")
@pytest.mark.usefixtures("service")
async def test_the_page_holds_for_the_tutorials_own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same comes back with Microsoft's three files as with the drawn ones."""
    for path in MICROSOFTS.glob("*.dcm"):
        shutil.copy(path, tmp_path)
    monkeypatch.setenv("TUTORIAL_FOLDER", str(tmp_path))
    await assert_the_page_holds()


def test_no_transaction_is_left_out() -> None:
    """The page shows or names everything that the client stores, searches, retrieves and deletes with."""
    prefixes = ("store_", "search_for_", "iter_studies", "retrieve_", "delete_")
    offered = {name for name in dir(DICOMwebClient) if name.startswith(prefixes)}
    assert offered <= set(re.findall(r"\w+", PAGE))


def test_the_page_needs_only_what_the_app_needs() -> None:
    """It imports Python's own modules, ours, and packages of requirements.txt."""
    packages = {"azure": "azure-identity", "pydicom": "pydicom"}
    locked = re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert set(packages.values()) <= set(locked)
    imported = re.findall(r"^(?:from|import) (\w+)", "".join(code for code, _ in steps()), re.MULTILINE)
    assert set(imported) <= sys.stdlib_module_names | packages.keys() | {"shared"}


def test_make_tutorial_opens_a_python_and_ends_with_it(tmp_path: Path) -> None:
    """The page's first block works there, against an empty service; the end of the input ends it all: exit code 0."""
    lines = [
        *(line for line in steps()[0][0].splitlines() if line),
        "print(sorted(os.listdir(folder)), await client.search_for_studies())",
        "await client.aclose()",
        "await auth.aclose()",
    ]
    done = run(MAKE, "\n".join(lines), TMPDIR=str(tmp_path), PYTHONWARNINGS="default")
    assert done.returncode == 0, done.stderr
    assert "['blue-circle.dcm', 'green-square.dcm', 'red-triangle.dcm'] []\n" in done.stdout
    assert not re.search("Traceback|Warning", done.stderr)
    assert list(tmp_path.glob("dicom-tutorial-*")) == []
    assert is_free(port_of(done.stdout))


def test_a_service_elsewhere(tmp_path: Path) -> None:
    """With an address nothing is started: it is handed on, with the credential of `az login` and the named folder."""
    names = ("DICOM_SERVICE_URL", "AZURE_TOKEN_CREDENTIALS", "TUTORIAL_FOLDER")
    script = f"import os\nprint([os.environ[name] for name in {names}])\n"
    done = run([*TUTORIAL, "--url", "http://127.0.0.1:1/v2"], script, TUTORIAL_FOLDER=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert str(["http://127.0.0.1:1/v2", "AzureCliCredential", str(tmp_path)]) in done.stdout


def test_sigterm_ends_all(tmp_path: Path) -> None:
    """Told to end, it ends its Python and the service, and removes its folder."""
    environment = {**ENVIRONMENT, "TMPDIR": str(tmp_path)}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        TUTORIAL, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True
    ) as opened:
        try:
            assert opened.stdout is not None
            port = port_of(opened.stdout.readline())
            assert not is_free(port)
        finally:
            opened.terminate()
        assert opened.wait(60) == 128 + signal.SIGTERM
    assert is_free(port)
    assert list(tmp_path.glob("dicom-tutorial-*")) == []


def run(command: list[str], script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**ENVIRONMENT, **environment},
        input=script,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def port_of(welcome: str) -> int:
    found = re.search(r"http://127\.0\.0\.1:(\d+)/v2", welcome)
    assert found, welcome
    return int(found[1])
