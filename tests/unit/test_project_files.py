"""What holds for the files of the project as such."""

from __future__ import annotations

import json
import os
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from local.lock import FILES

ROOT = Path(__file__).resolve().parents[2]


def files() -> Iterator[Path]:
    """Yield the files of the project, without what is installed or left by tools."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name == ".ci" or (name[0] != "." and name != "node_modules")]
        yield from (Path(folder, name) for name in names if not name.endswith(".pyc"))


def names(lock: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9._-]+)==", (ROOT / lock).read_text(), re.MULTILINE))


def test_no_file_names_a_package_registry() -> None:
    """Every lock works behind any mirror: no file says where packages come from."""
    # Put together here, for this file is one of them.
    hosts = [".".join(parts).encode() for parts in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"))]
    assert [path for path in files() if any(host in path.read_bytes() for host in hosts)] == []


def test_azure_installs_no_local_tool() -> None:
    """requirements.txt has the run-time packages and none of the tools; the development lock pins the same."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    del groups["rivals"]  # they are measured beside the app, with packages of its own among them
    tools = {re.split(r"[^a-z0-9._-]", line)[0] for group in groups.values() for line in group}
    needed_by_the_app_too = {"pyjwt"}  # azure-identity's msal
    assert names("requirements.txt") & tools <= needed_by_the_app_too
    assert names("requirements.txt") <= names("requirements-dev.txt")


def test_azure_runs_the_worker_library_that_the_tests_run() -> None:
    """From Python 3.13 on the deployed lock pins it, or Azure would take a default of its own."""
    pins = [
        re.findall(r"^azure-functions-runtime==(\S+) ; python_full_version >= '3.13'", (ROOT / lock).read_text(), re.M)
        for lock in ("requirements.txt", "requirements-dev.txt")
    ]
    assert len(pins[0]) == 1
    assert pins[0] == pins[1]
    if sys.version_info >= (3, 13):
        assert version("azure-functions-runtime") == pins[0][0]


def test_every_locked_package_has_hashes() -> None:
    """No package is installed that is not the one that was locked."""
    for lock in FILES:
        for entry in re.split(r"\n(?=\S)", (ROOT / lock).read_text().strip()):
            assert "--hash=sha256:" in entry, entry.partition("\n")[0]


def test_the_hosts_own_lines_name_no_blob() -> None:
    """The host says at information which blob fired a trigger; our own lines keep that level."""
    levels = json.loads((ROOT / "host.json").read_text())["logging"]["logLevel"]
    assert levels["Function.store_on_upload"] == "Warning"
    assert levels["Function.store_on_upload.User"] == "Information"


def test_no_run_is_longer_than_the_sweep_believes() -> None:
    """The blueprints see to it, for the host would count answers, too; and five attempts are what the documents say."""
    host = json.loads((ROOT / "host.json").read_text())
    assert host["functionTimeout"] == "-1"
    assert host["extensions"]["queues"]["messageEncoding"] == "none"
    assert host["extensions"]["queues"]["maxDequeueCount"] == 5
    assert host["extensions"]["blobs"]["poisonBlobThreshold"] == 5
    assert host["extensions"]["http"]["routePrefix"] == "api"


def test_only_the_app_is_deployed() -> None:
    """What Azure gets is host.json, requirements.txt, function_app.py and the folders that it imports."""
    ignored = {line.rstrip("/") for line in (ROOT / ".funcignore").read_text().splitlines()}
    deployed = {path.name for path in ROOT.iterdir() if path.name[0] != "."}
    deployed -= ignored | {"local.settings.sample.json", "local.settings.json"}
    folders = {"store_on_upload", "query_api", "purge_study", "shared"}
    assert deployed == {"host.json", "requirements.txt", "function_app.py", *folders}
    assert "local.settings*.json" in ignored


def test_no_pattern_needs_a_newer_python() -> None:
    """No group has a possessive quantifier: Python before 3.11.5 lets such a group match too much."""
    possessive = re.compile(r"\)(?:[*+?]|\{[\d,]+\})\+")
    sources = [path for path in files() if path.suffix == ".py"]
    assert sources
    assert [str(path.relative_to(ROOT)) for path in sources if possessive.search(path.read_text())] == []


def test_the_app_is_no_fastapi_app_to_the_worker() -> None:
    """A newer worker runs an app whose function_app.py has one of these words in another way, comments included."""
    text = (ROOT / "function_app.py").read_text()
    assert "FunctionApp" in text
    assert [words for words in ("FastAPI()", "from fastapi import") if words in text] == []
