"""The documents: reference pages are what the code says, links lead somewhere, and examples can be read."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from local.commands import ROOT
from shared.sources import Source, read_sources
from store_on_upload.receipts.document import Document
from tests.kit.documents import PAGES, block, slugs
from tests.reference import FOLDER, pages


def test_the_reference_pages_are_what_the_code_says() -> None:
    """If not: run `make docs`."""
    committed = {path.name: path.read_text() for path in FOLDER.glob("*.md") if path.name != "glossary.md"}
    differing = [name for name, text in pages().items() if committed.get(name) != text]
    assert (differing, set(committed) - set(pages())) == ([], set()), "run make docs"


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_somewhere(page: Path) -> None:
    """Each relative link is a file, and has the heading that the link names, once; each file that is named is there."""
    document = ROOT / page
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", text):
        path = document.parent / target if target else document
        assert path.exists(), target
        assert not anchor or slugs(path).count(anchor) == 1, f"{target}#{anchor}"
    folders = "docs|infra|local|purge_study|query_api|shared|store_on_upload|tests"
    for name in re.findall(rf"`((?:{folders})/[\w./-]+)`", text):
        assert (ROOT / name).exists() or document.parent.joinpath(name).exists(), name


def test_the_receipt_in_the_document_is_one() -> None:
    """It can be read, and written again it is the same, field by field and in the same order."""
    example = json.loads(block("docs/receipts.md", "json"))
    written = json.loads(json.dumps(Document.from_json(example).to_json()))
    assert written == example
    assert list(written) == list(example)


def test_the_sources_in_the_document_can_be_read(tmp_path: Path) -> None:
    """And they show each setting that a source can have."""
    file = tmp_path / "sources.toml"
    file.write_text(block("docs/ingest.md", "toml"))
    assert {field for one in read_sources(str(file)) for field in one.model_fields_set} == set(Source.model_fields)


def test_make_targets_are_there() -> None:
    """Each `make …` that a document names."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        (str(page), target)
        for page in PAGES
        for target in re.findall(r"(?:`|^ *)make ([a-z-]+)", (ROOT / page).read_text(), re.MULTILINE)
    }
    assert len(named) > 20
    assert {(page, target) for page, target in named if target not in targets} == set()
