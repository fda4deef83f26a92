"""The documents say what the code does."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from shared.events import FIELDS
from shared.problems import PROBLEMS
from shared.settings import Settings, setting_name
from store_on_upload.verdict import REASONS, Verdict

ROOT = Path(__file__).parents[2]


def rows(document: str, heading: str) -> dict[str, list[str]]:
    """Return the table after a heading, or the file's first: the first column's code → the other columns."""
    text = (ROOT / document).read_text().partition(f"## {heading}\n" if heading else "\n")[2]
    table: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("## ") or (table and not line.startswith("|")):
            break
        if match := re.fullmatch(r"\| `([^`]+)` \|(.*)\|", line):
            table[match[1]] = [cell.strip() for cell in match[2].split("|")]
    return table


def test_the_configuration_table_is_the_settings() -> None:
    """Names, defaults and meanings, in the same order."""
    expected = {}
    for name, field in Settings.model_fields.items():
        value = " ".join(field.default) if isinstance(field.default, tuple) else field.default
        default = "required" if field.is_required() else "not set" if value is None else f"`{value}`"
        expected[setting_name(name)] = [default, field.description]
    table = rows("README.md", "Configuration")
    assert table == expected
    assert list(table) == list(expected)


def test_every_verdict_is_in_the_readme() -> None:
    """And no other."""
    assert list(rows("README.md", "Verdicts")) == [verdict.value for verdict in Verdict]


def test_every_reason_is_documented_in_its_own_words() -> None:
    """The advice in a receipt is the advice in the document."""
    assert {code: cells[0] for code, cells in rows("docs/receipts.md", "Reasons").items()} == REASONS


def test_every_problem_is_documented_with_its_status() -> None:
    """All codes that a lookup may answer with."""
    told = {code: cells[0] for code, cells in rows("docs/lookups.md", "Problems").items()}
    given = {code: str(status) for _, status, code, _ in PROBLEMS}
    assert told == {**given, "invalid-request": "400", "internal": "500"}


def test_every_event_is_documented_with_its_fields() -> None:
    """All events that the code names, and no field that may not be logged."""
    table = rows("docs/logging.md", "")
    folders = ("shared", "store_on_upload", "query_api", "purge_study")
    code = "".join(file.read_text() for folder in folders for file in (ROOT / folder).rglob("*.py"))
    named = set(re.findall(r'(?:event|failed|_run)\(\s*"(\w+)"', code))
    assert set(table) == named
    documented = {field for cells in table.values() for field in re.findall(r"`(\w+)`", cells[-1])}
    assert documented <= FIELDS


def test_every_dependency_has_its_reason() -> None:
    """Each name of pyproject.toml, and no other."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    wanted = [*project["project"]["dependencies"], *(name for group in groups.values() for name in group)]
    headings = ("At run time", "For one machine", "For tests and checks")
    documented = {name for heading in headings for name in rows("docs/dependencies.md", heading)}
    assert documented == {re.split(r"[^a-z0-9-]", name, maxsplit=1)[0] for name in wanted}


def test_links_between_documents_lead_somewhere() -> None:
    """Each relative link of a Markdown file is a file."""
    for document in [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "local").rglob("README.md")]:
        if "node_modules" in document.parts:
            continue
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_the_map_has_every_module() -> None:
    """Each file of the app's folders stands in the architecture's table, and each name of the walks in the code."""
    text = (ROOT / "docs/architecture.md").read_text()
    folders = ("shared", "store_on_upload", "query_api", "purge_study")
    modules = [file for folder in folders for file in (ROOT / folder).rglob("*.py") if file.name != "__init__.py"]
    assert {file.name for file in modules} == set(re.findall(r"(?:/|…/)(\w+\.py)`", text))
    code = "".join(file.read_text() for file in modules)
    walks = text.partition("## A blob's walk")[2].partition("## Decisions")[0]
    for name in re.findall(r"`(?:\w+\.)?(\w+)`", walks):
        assert re.search(rf"\b{name}\b", code), name


def test_the_local_service_is_laid_out_as_its_readme_says() -> None:
    """Each of its folders, and each module that is in none, stands in the table."""
    folder = ROOT / "local/dicom_service"
    layout = (folder / "README.md").read_text().partition("## How the code is laid out\n")[2]
    first_cells = re.findall(r"^\| (`.*?) \|", layout, re.MULTILINE)
    modules = {file.name for file in folder.glob("*.py")} - {"__init__.py"}
    folders = {f"{file.parent.name}/" for file in folder.glob("*/__init__.py")}
    assert {name for cell in first_cells for name in re.findall("`([^`]+)`", cell)} == modules | folders
