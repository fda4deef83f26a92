"""Imports run one way: function_app → function folders → shared → shared.dicomweb; `local` is for tests alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FUNCTION_FOLDERS = ("store_on_upload", "query_api", "purge_study")

# Folder → what its files may import of our own, and of Azure. A file of its own folder is always allowed.
OWN = {
    "shared/dicomweb": set[str](),
    "shared": {"shared"},
    "store_on_upload": {"shared", "store_on_upload"},
    "query_api": {"shared", "query_api"},
    "purge_study": {"shared", "purge_study"},
    "function_app.py": {"shared", *FUNCTION_FOLDERS},
    "local": {"local", "shared"},
}


def files(place: str) -> list[Path]:
    path = ROOT / place
    found = [path] if path.is_file() else sorted(path.rglob("*.py"))
    inner = [other for other in OWN if other.startswith(f"{place}/")]
    return [
        file
        for file in found
        if "node_modules" not in file.parts and not any((ROOT / other) in file.parents for other in inner)
    ]


def imported(file: Path) -> Iterator[str]:
    """Yield the absolute modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module


@pytest.mark.parametrize("place", OWN)
def test_our_own_folders_are_imported_downwards_only(place: str) -> None:
    """Never upward, never sideways, and nothing that is deployed imports a stand-in or a test."""
    ours = {"function_app", "shared", "local", "tests", "bench", *FUNCTION_FOLDERS}
    assert files(place)
    for file in files(place):
        roots = {module.partition(".")[0] for module in imported(file)} & ours
        assert roots <= OWN[place], file


def test_the_contract_knows_no_service() -> None:
    """It speaks plain HTTP: nothing of ours but what starts the stand-in, and what tests share."""
    found = list((ROOT / "tests/contract").glob("*.py"))
    assert found
    for file in found:
        ours = {module for module in imported(file) if module.split(".")[0] in ("local", "shared", *FUNCTION_FOLDERS)}
        assert not ours or file.name == "conftest.py", file
        assert not [module for module in imported(file) if module.startswith("tests.component")], file


def test_the_client_knows_nothing_of_azure() -> None:
    """It could be lifted out: credentials arrive as an httpx.Auth."""
    for file in files("shared/dicomweb"):
        assert not [module for module in imported(file) if module.startswith("azure")], file


@pytest.mark.parametrize("place", [*FUNCTION_FOLDERS, "shared"])
def test_one_module_of_a_folder_knows_azure_functions(place: str) -> None:
    """A trigger is turned into one call there, and nowhere else."""
    knowing = [
        file
        for file in files(place)
        if any(m.startswith(("azure.functions", "azurefunctions")) for m in imported(file))
    ]
    assert len(knowing) == 1, knowing


def test_only_settings_read_the_environment() -> None:
    """Everything else is handed its settings."""
    for place in OWN:
        for file in files(place) if place != "local" else []:
            assert "environ" not in file.read_text() or str(file).startswith(str(ROOT / "shared/settings")), file
