"""The project's documents: which there are, and what their tables, blocks and headings hold."""

from __future__ import annotations

import re
from pathlib import Path

from local.commands import ROOT

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


def block(document: str, language: str) -> str:
    """Return a document's first block of code in a language."""
    return (ROOT / document).read_text().partition(f"```{language}\n")[2].partition("```")[0]


def slugs(path: Path) -> list[str]:
    """Return the anchors of a document's headings, as GitHub makes them if no two are equal."""
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)", text, re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
