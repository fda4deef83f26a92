"""What docs/retention.md says of policies is what the code does."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest
from pydantic import BaseModel

from purge_study.policy.model import ANCHORS, AnchorList, Brakes, Condition, Head, HoldList, Policy, Rule
from purge_study.policy.policy import Doubt, State, judge
from purge_study.policy.reading import read_policy
from purge_study.policy.words import in_words
from tests.kit.studies import study, values

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/retention.md").read_text()
TABLES: dict[str, type[BaseModel]] = {
    "[policy]": Head,
    "[[rule]]": Rule,
    "[[hold]]": HoldList,
    "[[anchor]]": AnchorList,
    "[brakes]": Brakes,
}


def section(heading: str) -> str:
    return TEXT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def table(heading: str) -> list[list[str]]:
    """Return the cells of a section's first table, without its head."""
    lines = [line for line in section(heading).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def entries(place: str, model: type[BaseModel]) -> list[list[str]]:
    """Return a table's entries as the document has them: place and name, default, meaning."""
    found = []
    for name, field in model.model_fields.items():
        default = "required" if field.is_required() else "" if field.default in (None, ()) else f"`{field.default}`"
        if isinstance(field.default, tuple) and field.default:
            default = "`[" + ", ".join(f'"{item}"' for item in field.default) + "]`"
        found.append([f"`{place} {field.alias or name}`", default, field.description or ""])
    return found


def test_every_entry_of_the_policy_is_documented() -> None:
    """With its default and meaning, in the same order."""
    assert table("The policy") == [entry for place, model in TABLES.items() for entry in entries(place, model)]
    assert set(Policy.model_fields) == {place.strip("[]") for place in TABLES}


def test_every_condition_is_documented() -> None:
    """With what an editor says of it."""
    expected = [[f"`{field.alias or name}`", field.description] for name, field in Condition.model_fields.items()]
    assert table("Conditions") == expected


def test_every_date_that_dicom_knows_is_documented() -> None:
    """Those that count where a rule names none."""
    assert [row[0].strip("`") for row in table("Which dates count")] == list(ANCHORS)


def test_every_doubt_is_documented() -> None:
    """Each code that the engine gives."""
    code = "".join(file.read_text() for file in (ROOT / "purge_study/policy").glob("*.py"))
    assert {row[0].strip("`") for row in table("What is not known")} == set(re.findall(r'Doubt\(\s*"(\w+)"', code))
    assert Doubt("no_rule").code == "no_rule"


POLICY = read_policy(section("The policy").partition("```toml\n")[2].partition("```")[0].encode())
STATES = {"due": State.DUE, "kept": State.KEPT, "listed": State.UNKNOWN}
TODAY = date(2026, 3, 6)


def known(cell: str) -> str | None:
    return None if cell == "—" else cell


@pytest.mark.parametrize("row", table("Examples"), ids=" ".join)
def test_an_example_comes_true(row: list[str]) -> None:
    """By the policy of the document."""
    day, received, birth, modality, last, besides, state, last_day, _ = row
    more = dict(item.rsplit(" ", 1) for item in besides.split(", ") if item)
    age = more.pop("PatientAge", None)
    facts = study(
        known(day),
        received=known(received),
        birth=known(birth),
        modality=modality,
        last_study=known(last),
        anchors=more,
        attributes={"PatientAge": values(age)},
    )
    judgement = judge(POLICY, facts, TODAY)
    assert judgement.state is STATES[state]
    assert last_day == (
        "—" if judgement.keep_until is None else f"{'≥ ' * bool(judgement.doubts)}{judgement.keep_until}"
    )


def test_the_examples_show_all_that_can_become_of_a_study() -> None:
    """But for ever, which needs no example."""
    assert {row[6] for row in table("Examples")} == set(STATES)


def test_the_words_of_the_example_are_those_that_people_are_told() -> None:
    """Of the study whose patient came again."""
    judgement = judge(POLICY, study("2010-05-05", last_study="2020-07-01"), TODAY)
    assert f'"{in_words(POLICY, judgement)}"' in section("Examples")


def test_every_sample_is_in_the_document() -> None:
    """And the dates that its rules need from lists."""
    named = {}
    for policy, _, dates in table("Samples"):
        named[re.search(r"\((.*)\)", policy)[1]] = dates  # type: ignore[index]  # each has its link
    assert set(named) == {f"retention/{file.name}" for file in (ROOT / "docs/retention").iterdir()}
    for name, dates in named.items():
        rules = read_policy((ROOT / "docs" / name).read_bytes()).rule
        required = {anchor for rule in rules for anchor in rule.from_ if anchor not in ANCHORS}
        optional = {f"{anchor}, if known" for rule in rules for anchor in rule.from_if_known}
        assert set(dates.split("; ")) == (required | optional or {"none"})
