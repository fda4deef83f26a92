"""The documents say what the code does."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from purge_study.policy import policy
from purge_study.requests import answering as retention
from purge_study.requests.telling import TONIGHT
from query_api import refusals
from query_api.openapi.document import document as openapi_document
from query_api.routes import ROUTES
from query_api.searching.adaptations import ADAPTATIONS
from shared import queues
from shared.events import FIELDS
from shared.problems import CODES
from shared.settings import Settings, setting_name
from shared.sources import Source, read_sources
from shared.telemetry.measuring import METRICS, NAMESPACE
from store_on_upload.receipts.document import Document
from store_on_upload.receipts.receipt import Receipt, State
from store_on_upload.reconcile.report import MEANINGS
from store_on_upload.requests.answering import REFUSALS
from store_on_upload.requests.replay_request import ReplayRequest
from store_on_upload.verdict import OTHER_WARNING, REASONS, WARNINGS, Replaced, Verdict

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path.relative_to(ROOT)
    for pattern in ("*.md", "docs/**/*.md", "bench/*.md", "local/*.md", "local/*/*.md", "shared/*/*.md", "tests/*/*.md")
    for path in ROOT.glob(pattern)
)


def rows(document: str, heading: str) -> dict[str, list[str]]:
    """Return the table after a heading, or the file's first: the first column's code → the other columns."""
    return table_in((ROOT / document).read_text().partition(f"## {heading}\n" if heading else "\n")[2])


def table_in(text: str) -> dict[str, list[str]]:
    """Return the first table of a text."""
    table: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("## ") or (table and not line.startswith("|")):
            break
        if match := re.fullmatch(r"\| `([^`]+)` \|(.*)\|", line):
            table[match[1]] = [cell.strip() for cell in match[2].split("|")]
    return table


def test_the_configuration_table_is_the_settings() -> None:
    """Names, defaults and meanings, in the same order; `tests/infra` holds what azd sets instead of a default."""
    expected = {}
    for name, field in Settings.model_fields.items():
        value = " ".join(field.default) if isinstance(field.default, tuple) else field.default
        value = str(value).lower() if isinstance(value, bool) else value
        default = "required" if field.is_required() else "not set" if value is None or value == {} else f"`{value}`"
        expected[setting_name(name)] = [default, field.description]
    table = rows("README.md", "Configuration")
    assert {name: [default.partition(" (azd")[0], meaning] for name, (default, meaning) in table.items()} == expected
    assert list(table) == list(expected)


def test_every_verdict_is_in_the_readme() -> None:
    """And no other."""
    for document in ("README.md", "docs/ingest.md"):
        assert list(rows(document, "Verdicts")) == [verdict.value for verdict in Verdict]


def test_every_reason_is_documented_in_its_own_words() -> None:
    """The advice in a receipt is the advice in the document."""
    assert {code: cells[0] for code, cells in rows("docs/ingest.md", "Reasons").items()} == REASONS


def test_every_warning_is_documented_in_its_own_words() -> None:
    """The advice in a receipt is the advice in the document."""
    documented = {code: cells[0] for code, cells in rows("docs/ingest.md", "Warnings").items()}
    assert documented == {str(code): text for code, text in WARNINGS.items()} | {"other": OTHER_WARNING}


def block(document: str, language: str) -> str:
    """Return a document's first block of code in a language."""
    return (ROOT / document).read_text().partition(f"```{language}\n")[2].partition("```")[0]


def test_the_receipt_in_the_document_is_one() -> None:
    """It can be read, and written again it is the same, field by field and in the same order."""
    example = json.loads(block("docs/receipts.md", "json"))
    written = json.loads(json.dumps(Document.from_json(example).to_json()))
    assert written == example
    assert list(written) == list(example)


def test_every_field_of_a_receipt_is_documented() -> None:
    """In the order in which they stand in one that has a reason."""
    receipt = Receipt("a.dcm", "0x1", 1, "2026-11-24T14:39:58Z", reason="empty")
    assert list(rows("docs/receipts.md", "Fields")) == list(Document(receipt).to_json())


def test_the_parts_of_a_receipt_are_documented() -> None:
    """Of what gave way to a file, and of the verdicts that a replay has replaced, each field; and each state."""
    table = rows("docs/receipts.md", "Fields")
    receipt = Receipt("a.dcm", "0x1", 1, "2026-11-24T14:39:58Z", verdict=Verdict.CONFLICT)
    [superseded] = replace(receipt, verdict=Verdict.STORED).superseding(receipt).superseded
    for field, names in (
        ("superseded", superseded),
        ("replaced", Replaced.__dataclass_fields__),
        ("state", list(State)),
    ):
        assert set(names) <= set(re.findall(r"`(\w+)`", table[field][0]))


def test_every_refusal_is_documented_with_its_status() -> None:
    """All codes that a request about receipts or the quarantine may be answered with, but those of lookups."""
    told = {code: cells[0] for code, cells in rows("docs/receipts.md", "Over HTTP").items()}
    assert told == {code: str(status) for code, (status, _) in REFUSALS.items()}


def told_of_retention(heading: str) -> dict[str, list[str]]:
    """Return the first table of a part of what is said of requests about retention, or the one with this first cell."""
    text = (ROOT / "docs/retention.md").read_text().partition("## Over HTTP\n")[2].partition("\n## ")[0]
    return table_in(text.partition(f"| {heading} |")[2])


def test_every_route_of_retention_is_documented() -> None:
    """Those of the blueprint, in its order, with their methods."""
    source = (ROOT / "purge_study/blueprint.py").read_text()
    routes = [f"{method} /api/{path}" for path, method in re.findall(r'route\("([^"]+)", methods=\["(\w+)"\]', source)]
    assert list(told_of_retention("route")) == routes


def test_every_refusal_of_retention_is_documented() -> None:
    """All codes that a request about retention may be answered with, but those of lookups."""
    told = {code: cells[0] for code, cells in told_of_retention("code").items()}
    assert told == {code: str(status) for code, (status, _) in retention.REFUSALS.items()}


def test_every_state_of_a_study_is_documented() -> None:
    """Of what it will come to, and of tonight."""
    assert set(told_of_retention("state")) == {*(state.value for state in policy.State), "unread", "purged"}
    assert list(told_of_retention("tonight")) == list(TONIGHT)


def test_the_body_of_a_replay_is_documented() -> None:
    """Each field that it may have."""
    named = {re.sub(r"\W.*", "", field.lstrip('"')) for field in rows("docs/ingest.md", "Replay")}
    assert named == set(ReplayRequest.model_fields)


def test_the_sources_in_the_document_can_be_read(tmp_path: Path) -> None:
    """And each setting that a source can have stands in them."""
    file = tmp_path / "sources.toml"
    file.write_text(block("docs/ingest.md", "toml"))
    sources = read_sources(str(file))
    assert {field for source in sources for field in source.model_fields_set} == set(Source.model_fields)


def test_every_queue_is_documented() -> None:
    """All that the app writes to or reads."""
    constants = (value for name, value in vars(queues).items() if name.isupper() and isinstance(value, str))
    assert set(rows("docs/ingest.md", "Queues")) == set(constants)


def test_every_difference_is_documented_in_its_own_words() -> None:
    """What the command prints is what the document says."""
    told = {kind: cells[0][:1].lower() + cells[0][1:] for kind, cells in rows("docs/ingest.md", "Reconcile").items()}
    assert told == {str(kind): meaning for kind, meaning in MEANINGS.items()}


def test_every_problem_is_documented_with_its_status() -> None:
    """All codes that a lookup may answer with."""
    told = {code: cells[0] for code, cells in rows("docs/query-api.md", "Problems").items()}
    assert told == {code: str(status) for code, (status, _) in {**CODES, **refusals.REFUSALS}.items()}


def test_every_adaptation_is_documented() -> None:
    """All of searches, in the code's order."""
    assert list(rows("docs/query-api.md", "Adaptations")) == list(ADAPTATIONS)


def test_every_route_is_documented() -> None:
    """All but those below a partition, in the table's order, and no other."""
    routes = [f"/{route.path}" for route in ROUTES if "{partition}" not in route.path]
    assert list(rows("docs/query-api.md", "Routes")) == routes


def test_every_answer_is_documented() -> None:
    """Which statuses each kind of lookup can have, in the document for people as in the one for machines."""
    paths = openapi_document(ROUTES, "", host_asks_for_key=True)["paths"]
    described: dict[str, set[str]] = {}
    for route in ROUTES:
        described.setdefault(route.transaction, set()).update(paths[f"/{route.path}"]["get"]["responses"])
    table = rows("docs/query-api.md", "Answers")
    for column, transaction in enumerate(("search", "retrieve", "changes", "openapi")):
        told = {status for status, cells in table.items() if cells[column] == "yes"}
        assert told == described.pop(transaction), transaction
    assert not described


def events_of(*folders: str) -> set[str]:
    """Return the names of the events that the code of some folders writes."""
    code = "".join(file.read_text() for folder in folders for file in (ROOT / folder).rglob("*.py"))
    return set(re.findall(r'(?:event|failed|_run)\(\s*"(\w+)"', code))


def test_whoever_is_on_call_finds_every_event_of_ingest() -> None:
    """What it means, and what to do."""
    assert set(rows("docs/ingest.md", "At three in the morning")) == events_of("store_on_upload") | {"request"}


def test_every_event_is_documented_with_its_fields() -> None:
    """All events that the code names, and no field that may not be logged."""
    table = rows("docs/logging.md", "")
    folders = ("shared", "store_on_upload", "query_api", "purge_study")
    assert set(table) == events_of(*folders)
    documented = {field for cells in table.values() for field in re.findall(r"`(\w+)`", cells[-1])}
    assert documented <= FIELDS


def test_every_metric_is_documented() -> None:
    """With its unit and its dimensions, and no other."""
    told = {
        name.removeprefix(f"{NAMESPACE}."): [unit.strip("`"), re.findall(r"`(\w+)`", dimensions)]
        for name, (unit, dimensions, _) in rows("docs/telemetry.md", "Metrics").items()
    }
    assert told == {metric.name: [metric.unit, list(metric.dimensions)] for metric in METRICS}


def test_every_dependency_has_its_reason() -> None:
    """Each name of pyproject.toml, and no other."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    wanted = [*project["project"]["dependencies"], *(name for group in groups.values() for name in group)]
    headings = ("At run time", "For one machine", "For tests and checks", "Measured beside ours")
    documented = {name for heading in headings for name in rows("docs/dependencies.md", heading)}
    assert documented == {re.split(r"[^a-z0-9-]", name, maxsplit=1)[0] for name in wanted}


def slugs(path: Path) -> list[str]:
    """Return the anchors of a document's headings, as GitHub makes them where no two are equal."""
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)", text, re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_between_documents_lead_somewhere(page: Path) -> None:
    """Each relative link of a Markdown file is a file, and has the heading that the link names."""
    document = ROOT / page
    for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", document.read_text()):
        path = document.parent / target if target else document
        assert path.exists(), target
        assert not anchor or anchor in slugs(path), f"{target}#{anchor}"


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=str)
def test_no_document_has_a_heading_twice(page: Path) -> None:
    """So a link to a heading leads to one part only; a changelog repeats its headings for each version."""
    found = slugs(ROOT / page)
    assert [slug for slug in found if found.count(slug) > 1] == []


def test_the_map_has_every_module() -> None:
    """Each file of the app's folders stands in the architecture's table, and each name of the walks in the code."""
    text = (ROOT / "docs/architecture.md").read_text()
    folders = ("shared", "store_on_upload", "query_api", "purge_study")
    modules = [file for folder in folders for file in (ROOT / folder).rglob("*.py") if file.name != "__init__.py"]
    assert {file.name for file in modules} == set(re.findall(r"(?:/|…/)(\w+\.py)`", text))
    words = {word for file in modules for word in re.findall(r"\w+", file.read_text())}
    walks = text.partition("## A blob's walk")[2].partition("## Decisions")[0]
    assert set(re.findall(r"`(?:\w+\.)?(\w+)`", walks)) <= words


def test_the_local_service_is_laid_out_as_its_readme_says() -> None:
    """Each of its folders, and each module that is in none, stands in the table."""
    folder = ROOT / "local/dicom_service"
    layout = (folder / "README.md").read_text().partition("## How the code is laid out\n")[2]
    first_cells = re.findall(r"^\| (`.*?) \|", layout, re.MULTILINE)
    modules = {file.name for file in folder.glob("*.py")} - {"__init__.py"}
    folders = {f"{file.parent.name}/" for file in folder.glob("*/__init__.py")}
    assert {name for cell in first_cells for name in re.findall("`([^`]+)`", cell)} == modules | folders
