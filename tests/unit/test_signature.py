"""The table for a signature: what it says, and that nothing in it is a formula."""

from __future__ import annotations

import csv
from io import StringIO

import pytest

from purge_study.ledger.row import StudyKey
from purge_study.planning.plan import Plan, plan_id
from purge_study.planning.signature import to_csv
from tests.kit.plans import MADE_AT, POLICY_HASH, item, plan


def rows_of(of: Plan) -> list[list[str]]:
    content = b"".join(to_csv(of, plan_id(of, MADE_AT))).decode("utf-8-sig")
    return list(csv.reader(StringIO(content, newline="")))


def test_the_head_and_a_line_a_study() -> None:
    """What is signed says what is done before, how many studies it is about, by which policy, with room to sign."""
    of = plan(
        [item(1), item(2, held_by=("litigation", "inquiry")), item(3, modalities=("CT", "SR"))], before_delete="none"
    )
    rows = rows_of(of)
    head = {row[0]: row[1] for row in rows if len(row) == 2}
    assert rows[0] == ["Before a deletion", "NONE. Nothing is copied: what is deleted cannot be brought back."]
    assert head["Studies to be deleted"] == "2"
    assert (head["Policy (SHA-256)"], head["Plan (SHA-256)"]) == (POLICY_HASH, of.hash)
    assert {"Name", "Date", "Signature"} <= head.keys()
    table = rows[[row[:1] for row in rows].index(["number"]) + 1 :]
    assert [row[1] for row in table] == [one.key.uid for one in of.items]
    assert [row[-1] for row in table] == ["", "litigation; inquiry", ""]
    assert table[2][7] == "CT SR"


@pytest.mark.parametrize("beginning", ["=", "+", "-", "@", "\t=", "\r=", " =", "\n=", "＝", "＋"])  # noqa: RUF001
def test_nothing_is_a_formula(beginning: str) -> None:
    """A rule, a partition or a hold may be called anything; a spreadsheet shows it, and computes nothing."""
    name = f'{beginning}HYPERLINK("http://example.org","a,b")'
    changed = item(
        1, rule=name, key=StudyKey(name, "1.2.3"), held_by=(name,), modalities=(name,), dates={name: MADE_AT.date()}
    )
    row = rows_of(plan([changed]))[-1]
    assert row[3] == f"'{name}"
    assert [cell for cell in row if cell.strip()[:1] in "=+-@＝＋"] == []  # noqa: RUF001


def test_nothing_is_a_formula_between_semicolons() -> None:
    """Where spreadsheets have cells end at `;`, a name that holds some makes several cells."""
    name = "a;=1+1; @b"
    changed = item(1, rule=name, modalities=(name,), dates={"=c": MADE_AT.date(), "=d": MADE_AT.date()})
    line = b"".join(to_csv(plan([changed]), "an id")).decode().splitlines()[-1]
    assert [cell for cell in line.split(";") if cell.strip()[:1] in "=+-@"] == []


def test_lines_end_as_the_standard_says() -> None:
    """RFC 4180 ends lines with CR LF; spreadsheets know UTF-8 by its mark."""
    content = b"".join(to_csv(plan(2), "20260305T030002Z-0f1e2d3c"))
    assert content.startswith(b"\xef\xbb\xbf")
    assert content.count(b"\n") == content.count(b"\r\n")
