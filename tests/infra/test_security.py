"""docs/security.md says what infra/ lets each identity do, and shows what it says; so do the documents beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from .apps import ACCESS, ROOT, queue_roles

DOCUMENTS = {
    name: (ROOT / name).read_text()
    for name in ("SECURITY.md", "CONTRIBUTING.md", "docs/security.md", "docs/feeding-the-inbox.md")
}
TEXT = DOCUMENTS["docs/security.md"]
WORDS = {
    "read": "read",
    "append": "append",
    "add": "read, append",
    "keep": "read, write",
    "change": "read, write, delete",
    "take": "take, send",
    "send": "send",
    "store": "read, store",
    "purge": "read, delete",
}

in_each = pytest.mark.parametrize("name", DOCUMENTS)


def table(heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading, its head included."""
    lines = TEXT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return [row for row in rows if set(row[0]) != {"-"}]


def rights(app: str) -> Iterator[tuple[str, str]]:
    """Yield all that an app may use, with what it may do there."""
    granted = ACCESS[app]
    yield "the DICOM service", WORDS[granted["dicom"][0]]
    for item in granted["dataContainers"] + granted["recordsContainers"]:
        yield f"`{item['name']}`", WORDS[item["role"]]
    for name, roles in queue_roles(app).items():
        yield f"queue `{name}`", ", ".join(WORDS[role] for role in roles)
    if granted["tables"]:
        yield "the ledger's table", WORDS["change"]
    for secret in granted["secrets"]:
        yield f"secret `{secret}`", WORDS["read"]


def test_who_may_do_what() -> None:
    """Each thing that an app may use, and nothing else."""
    told = {app: dict(rights(app)) for app in ACCESS}
    things = dict.fromkeys(thing for of_app in told.values() for thing in of_app)
    head, *rows = table("Who may do what")
    assert head == ["what", *(f"`{app}`" for app in ACCESS)]
    expected = [[thing, *(told[app].get(thing, "") for app in ACCESS)] for thing in things]
    assert sorted(rows) == sorted(expected)


def test_each_answer_to_a_threat_is_shown() -> None:
    """By a file: a test, the code, or a page."""
    _, *rows = table("Threats, and what answers them")
    assert len(rows) > 20
    for threat, _, shown in rows:
        assert re.search(r"`[\w./-]+`", shown), threat


@in_each
def test_the_files_that_are_named_are_there(name: str) -> None:
    """Whatever is written like a path of this repository."""
    folders = "|".join(path.name for path in ROOT.iterdir() if path.is_dir() and path.name[0] != ".")
    named = re.findall(rf"`((?:{folders})/[\w./-]*)`", DOCUMENTS[name])
    assert named or name == "docs/feeding-the-inbox.md"
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_nobody_is_told_to_write_to_an_address_that_nobody_reads() -> None:
    """Reports go by the platform that hosts the repository."""
    assert "@" not in DOCUMENTS["SECURITY.md"]
    assert "*Report a vulnerability*" in DOCUMENTS["SECURITY.md"]


def test_make_targets_are_there() -> None:
    """Each that the documents name."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for text in DOCUMENTS.values():
        assert set(re.findall(r"(?:`|^)make ([a-z-]+)", text, re.MULTILINE)) <= targets
