"""The policy as it is read: what may stand in it, and what is said of the rest."""

from __future__ import annotations

import json
import tomllib
from datetime import date
from pathlib import Path

import jsonschema
import pytest

from purge_study.policy.entries import IDENTIFIERS
from purge_study.policy.model import Policy
from purge_study.policy.policy import needed_keywords
from purge_study.policy.reading import PolicyError, read_policy
from purge_study.policy.schema import schema

ROOT = Path(__file__).parents[2]
HEAD = '[policy]\ntime_zone = "Europe/Paris"\n'
FULL = """
[policy]
time_zone = "Europe/Paris"
placeholder_birth_dates = ["19000101", 1901-01-01]
received_counts_from = 2020-01-01

[[rule]]
name = "mammography"
when = { modality = ["MG"] }
keep_years = 10
from = ["study_date", "received", "patient_last_study"]

[[rule]]
name = "children"
when = { age_at_study_below = 18 }
keep_until_age = 25

[[rule]]
name = "everything else"
keep_years = 8
round_to = "year_end"

[[rule]]
name = "teaching"
when.attribute = { BodyPartExamined = ["KNEE"], SeriesNumber = ["1"] }
when.any = [{ description_words = ["teaching"] }, { not = { institution = ["General"] } }]
when.all = [{ partition = ["site-a"] }, { referring_physician = ["Doe^Jane"] }]
when.study_date_from = "20000101"
when.study_date_before = 2010-01-01
when.age_at_last_study_from = 3
when.age_at_last_study_below = 90
when.age_at_study_from = 3
keep_forever = true

[[rule]]
name = "radiotherapy"
when = { modality = ["RTPLAN", "RTDOSE", "RTSTRUCT", "RTIMAGE"] }
keep_years = 30
from = ["study_date", "last seen"]
from_if_known = ["death"]

[[hold]]
name = "litigation"
list = "holds/litigation.csv"

[[anchor]]
name = "last seen"
list = "anchors/last_contact.csv"
max_age_days = 7

[[anchor]]
name = "death"
list = "anchors/deaths.csv"
max_age_days = 31

[brakes]
per_night = 100
max_share = 0.01
max_times_usual = 4
min_age_days = 60
"""


def problems(text: str | bytes) -> list[str]:
    with pytest.raises(PolicyError) as refused:
        read_policy(text if isinstance(text, bytes) else text.encode())
    return refused.value.problems


def problem(text: str) -> str:
    [only] = problems(text)
    return only


def test_everything_that_may_stand_in_a_policy_is_read() -> None:
    """Every key, and days in both forms."""
    policy = read_policy(FULL.encode())
    assert policy.policy.placeholder_birth_dates == (date(1900, 1, 1), date(1901, 1, 1))
    assert policy.rule[1].from_ == ("study_date", "received", "patient_last_study")
    assert policy.rule[3].keep_forever is True
    assert [hold.list for hold in policy.hold] == ["holds/litigation.csv"]
    assert [anchor.max_age_days for anchor in policy.anchor] == [7, 31]
    assert policy.brakes.max_times_usual == 4
    assert str(policy.zone) == "Europe/Paris"


def test_what_is_left_out_has_its_default() -> None:
    """The brakes above all."""
    policy = read_policy(HEAD.encode())
    assert (policy.rule, policy.hold, policy.anchor) == ((), (), ())
    brakes = policy.brakes
    assert (brakes.per_night, brakes.max_share, brakes.max_times_usual, brakes.min_age_days) == (500, 0.02, 3, 30)


def test_a_byte_order_mark_is_read_over() -> None:
    """Editors of Windows write one."""
    assert read_policy(b"\xef\xbb\xbf" + HEAD.encode()) == read_policy(HEAD.encode())


def test_every_mistake_is_told_at_once_with_its_place() -> None:
    """Those of single entries and those between tables."""
    told = problems("""
        [policy]
        time_zone = "Europe/Nowhere"
        colour = "CANARY"
        [[rule]]
        name = "one"
        keep_years = 0
        [[rule]]
        name = "one"
        keep_years = 5
        keep_forever = true
        from = ["last CANARY"]
        when = { modality = [], any = [{ not = { age_at_study_below = "CANARY" } }] }
        [[rules]]
        [brakes]
        per_night = 0
    """)
    assert told == [
        "policy, time_zone: this is no time zone of the IANA database, such as Europe/Paris",
        "policy, colour: there is no such entry",
        "rule 1, keep_years: Input should be greater than or equal to 1",
        "rule 2, when, modality: it is empty",
        "rule 2, when, any 1, not, age_at_study_below: Input should be a valid integer",
        "brakes, per_night: Input should be greater than or equal to 1",
        "rules: there is no such entry",
        "rule 2, name: another rule has it",
        "rule 2: it needs one of keep_years, keep_until_age, keep_forever, and only one",
        "rule 2, from 1: no [[anchor]] table has this name",
    ]


@pytest.mark.parametrize(
    ("rule", "mistake"),
    [
        ("", ": it needs one of keep_years, keep_until_age, keep_forever, and only one"),
        ("keep_forever = false", ", keep_forever: Input should be True"),
        ("keep_years = true", ", keep_years: Input should be a valid integer"),
        ("keep_years = 10.0", ", keep_years: Input should be a valid integer"),
        ('keep_years = "10"', ", keep_years: Input should be a valid integer"),
        ("keep_years = 10000", ", keep_years: Input should be less than or equal to 9999"),
        ("keep_until_age = 201", ", keep_until_age: Input should be less than or equal to 200"),
        ('keep_years = 1\nround_to = "month_end"', ", round_to: Input should be 'year_end'"),
        ('keep_forever = true\nround_to = "year_end"', ", round_to: it goes with keep_years or keep_until_age"),
        ('keep_until_age = 9\nfrom = ["received"]', ", from: it goes with keep_years"),
        ("keep_forever = true\nfrom_if_known = []", ", from_if_known: it goes with keep_years"),
        ("keep_years = 1\nfrom = []", ", from: it is empty"),
        ('keep_years = 1\nfrom_if_known = ["received"]', ", from_if_known 1: no [[anchor]] table has this name"),
        ("keep_years = 1\nwhen = {}", ", when: there is no condition in it"),
        ("keep_years = 1\nwhen = { not = {} }", ", when, not: there is no condition in it"),
        ("keep_years = 1\nwhen = { any = [] }", ", when, any: it is empty"),
        ('keep_years = 1\nwhen = { modality = [" "] }', r", when, modality 1: String should match pattern '\S'"),
        ('keep_years = 1\nwhen = { modality = "MG" }', ", when, modality: it must be an array"),
        (
            'keep_years = 1\nwhen = { description_words = ["-_"] }',
            ", when, description_words 1: there is no word in this",
        ),
        (
            "keep_years = 1\nwhen = { study_date_from = 20000101 }",
            ', when, study_date_from: this is no day; write yyyy-mm-dd, or "yyyymmdd"',
        ),
        (
            "keep_years = 1\nwhen = { study_date_from = 2000-01-01T00:00:00 }",
            ', when, study_date_from: this is no day; write yyyy-mm-dd, or "yyyymmdd"',
        ),
        (
            'keep_years = 1\nwhen = { study_date_from = "20010229" }',
            ', when, study_date_from: this is no day; write yyyy-mm-dd, or "yyyymmdd"',
        ),
        (
            'keep_years = 1\nwhen = { attribute = { Colour = ["a"] } }',
            ", when, attribute, Colour: this is no keyword of DICOM's dictionary",
        ),
        (
            'keep_years = 1\nwhen = { attribute = { "CANARY^JANE" = ["a"] } }',
            ", when, attribute, …: this is no keyword of DICOM's dictionary",
        ),
        ('name = "zero"', ": it needs one of keep_years, keep_until_age, keep_forever, and only one"),
    ],
)
def test_a_rule_that_is_none_is_refused(rule: str, mistake: str) -> None:
    """Each mistake by itself, with its place; no value in it."""
    name = "" if rule.startswith("name") else 'name = "rule"\n'
    assert problem(f"{HEAD}[[rule]]\n{name}{rule}") == f"rule 1{mistake}"


@pytest.mark.parametrize("keyword", sorted(IDENTIFIERS))
def test_no_rule_can_ask_for_what_identifies_a_patient(keyword: str) -> None:
    """The ledger does not keep it, and the mistake says so."""
    told = problem(f'{HEAD}[[rule]]\nname = "a"\nkeep_years = 1\nwhen = {{ attribute = {{ {keyword} = ["1"] }} }}')
    assert told == (
        f"rule 1, when, attribute, {keyword}: this identifies patients, and is not kept: no rule can ask for it"
    )


@pytest.mark.parametrize(
    "keyword",
    ["PixelData", "ReferencedStudySequence", "TransferSyntaxUID", "ModalitiesInStudy", "NumberOfStudyRelatedInstances"],
)
def test_no_rule_can_ask_for_what_no_instance_tells(keyword: str) -> None:
    """It would be unknown of every study for ever."""
    told = problem(f'{HEAD}[[rule]]\nname = "a"\nkeep_years = 1\nwhen = {{ attribute = {{ {keyword} = ["1"] }} }}')
    assert told.endswith("the service has no value of this among an instance's metadata")


@pytest.mark.parametrize(
    "zone", ["", "Europe", "/etc/passwd", "../UTC", "localtime", "europe/paris", "A" * 5000, "\x00"]
)
def test_a_time_zone_is_one(zone: str) -> None:
    """By its name in the IANA database, whatever files there are."""
    assert "no time zone" in problem(f"[policy]\ntime_zone = {json.dumps(zone)}")


@pytest.mark.parametrize("name", ["study_date", "received", "patient_last_study", "birth_date", "minimum_age"])
def test_no_list_is_called_as_a_date_that_dicom_knows(name: str) -> None:
    """One could be taken for the other."""
    told = problem(f'{HEAD}[[anchor]]\nname = "{name}"\nlist = "a.csv"\nmax_age_days = 7')
    assert told == "anchor 1, name: dates of another kind are called so"


@pytest.mark.parametrize("kind", ["hold", "anchor"])
def test_names_of_lists_are_unique(kind: str) -> None:
    """Within their kind."""
    table = f'[[{kind}]]\nname = "a"\nlist = "a.csv"\n' + ("max_age_days = 7\n" if kind == "anchor" else "")
    assert problem(HEAD + table * 2) == f"{kind} 2, name: another {kind} has it"


@pytest.mark.parametrize("name", ["", " a", "a ", "a\nb", "x" * 101, "\x1b[0m"])
def test_names_can_be_printed(name: str) -> None:
    """They stand in plans and in answers."""
    assert problem(f"{HEAD}[[rule]]\nname = {json.dumps(name)}\nkeep_years = 1").startswith(
        "rule 1, name: String should"
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe", "it is not UTF-8"),
        (b"[policy", "it is no TOML (at end of document)"),
        (b'[policy]\ntime_zone = "UTC"\ntime_zone = "CANARY"\n', "it is no TOML (at line 3, column 21)"),
        (b"a = " + b"9" * 5000, "it is no TOML"),
        (b"a = " + b"[" * 5000, "its tables are nested too deeply"),
        (b"a = " + b"[" * 17 + b"]" * 17, "its tables are nested too deeply"),
        (b"[" + b"a." * 5000 + b"a]", "its tables are nested too deeply"),
        (b'[[rule]]\nname="a"\nkeep_years=1\n[rule.when' + b".not" * 3000 + b"]", "its tables are nested too deeply"),
        (b"", "policy: it is missing"),
    ],
)
def test_what_is_no_policy_is_refused(content: bytes, said: str) -> None:
    """Whatever it is, it is told in words, without a value."""
    assert problems(content) == [said]


@pytest.mark.parametrize("entry", ["max_share = nan", "max_share = 0", "max_share = 1.1", "max_times_usual = inf"])
def test_no_brake_can_be_taken_off(entry: str) -> None:
    """By a number that is none, or that is beyond all."""
    assert problem(f"{HEAD}[brakes]\n{entry}").startswith(f"brakes, {entry.split()[0]}: ")


def test_the_needed_attributes_are_those_that_rules_name() -> None:
    """Besides those that every study is judged by."""
    always = {"StudyDate", "PatientBirthDate", "PatientAge", "Modality"}
    assert needed_keywords(read_policy(HEAD.encode())) == always
    assert needed_keywords(read_policy(FULL.encode())) == always | {
        "BodyPartExamined",
        "SeriesNumber",
        "StudyDescription",
        "InstitutionName",
        "ReferringPhysicianName",
    }


def test_the_published_schema_is_the_codes() -> None:
    """`python -m purge_study.policy.schema > docs/retention-policy.schema.json` writes it anew."""
    assert json.loads((ROOT / "docs/retention-policy.schema.json").read_text()) == schema()


def plain(content: object) -> object:
    """Return what TOML has read as editors see it: days as texts."""
    if isinstance(content, dict):
        return {key: plain(value) for key, value in content.items()}
    if isinstance(content, list):
        return [plain(value) for value in content]
    return content.isoformat() if isinstance(content, date) else content


def test_an_editor_takes_what_is_read_and_no_more() -> None:
    """By the schema, which refuses what it can tell."""
    validator = jsonschema.Draft202012Validator(schema())
    validator.check_schema(schema())
    content = plain(tomllib.loads(FULL))
    assert not list(validator.iter_errors(content))
    for wrong in (
        '[[rule]]\nname = "a"',
        '[[rule]]\nname = "a"\nkeep_years = 1\nkeep_forever = true',
        '[[rule]]\nname = "a"\nkeep_years = 1\nwhen = { colour = ["a"] }',
        '[[rule]]\nname = "a"\nkeep_years = "1"',
        "[brakes]\nper_night = 0",
        "[rules]",
    ):
        assert list(validator.iter_errors(plain(tomllib.loads(HEAD + wrong)))), wrong


def test_equal_files_are_equal_policies() -> None:
    """Read twice."""
    assert read_policy(FULL.encode()) == read_policy(FULL.encode())
    assert isinstance(read_policy(FULL.encode()), Policy)
