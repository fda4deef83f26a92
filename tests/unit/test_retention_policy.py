"""The policy as it is read: what may stand in it, and what is said of the rest."""

from __future__ import annotations

import json
import tomllib
from datetime import date
from pathlib import Path

import jsonschema
import pytest

from purge_study.policy.entries import IDENTIFIERS
from purge_study.policy.mistakes import future_days
from purge_study.policy.policy import needed_keywords
from purge_study.policy.reading import PolicyError, read_policy
from purge_study.policy.schema import schema

ROOT = Path(__file__).parents[2]
HEAD = '[policy]\ntime_zone = "Europe/Paris"\n'
YEAR = "keep_years = 1\n"
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


def problem(text: str | bytes) -> str:
    [only] = problems(text)
    return only


def rule_of(entries: str) -> str:
    return f'{HEAD}[[rule]]\nname = "CANARY"\n{entries}\n'


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


# Files as a whole, and entries of tables: what is said of them begins so.
FILES: list[tuple[str | bytes, str]] = [
    ("policy = 1", "policy: write it as a table [policy], with these brackets"),
    ('[[policy]]\ntime_zone = "UTC"', "policy: write it as a table [policy], with these brackets"),
    ('time_zone = "UTC"', "time_zone: there is no such entry here; it belongs in [policy]"),
    ("[policy]", "policy, time_zone: it is missing: write time_zone = …"),
    ("[policy]\ntime_zone = 1", "policy, time_zone: it must be a text: write it in quotation marks"),
    (HEAD + "timezone = 'CANARY'", "policy, timezone: there is no such entry; did you mean time_zone?"),
    (HEAD + "min_age_days = 9", "policy, min_age_days: there is no such entry here; it belongs in [brakes]"),
    (HEAD + "placeholder_birth_dates = 'CANARY'", "policy, placeholder_birth_dates: it must be an array: write"),
    (HEAD + "placeholder_birth_dates = ['CANARY']", "policy, placeholder_birth_dates 1: this is not a day: write"),
    (HEAD + "received_counts_from = 2020", "policy, received_counts_from: this is not a day: write yyyy-mm-dd"),
    (HEAD + "received_counts_from = '-2020-01-01'", "policy, received_counts_from: this is not a day: write"),
    (HEAD + "[rule]\nname = 'CANARY'", "rule: write it as a table [[rule]], with these brackets"),
    (HEAD + "[hold]\nname = 'CANARY'", "hold: write it as a table [[hold]], with these brackets"),
    (HEAD + "[anchor]\nname = 'CANARY'", "anchor: write it as a table [[anchor]], with these brackets"),
    (HEAD + "[[brakes]]\nper_night = 1", "brakes: write it as a table [brakes], with these brackets"),
    ("rule = ['CANARY']\n[policy]\ntime_zone = \"Europe/Paris\"\n", "rule 1: it must be a table: write [[rule]]"),
    (HEAD + "[[rule]]\nkeep_years = 1", "rule 1, name: it is missing: write name = …"),
    (HEAD + "[[hold]]\nname = 'a'", "hold 1, list: it is missing: write list = …"),
    (HEAD + "[[hold]]\nname = 'a'\nlist = ''", "hold 1, list: this is not the name of a blob: write it as it is"),
    (HEAD + "[[hold]]\nname = 'a'\nlist = ['CANARY']", "hold 1, list: it must be a text: write it in quotation"),
    (HEAD + "[[anchor]]\nname = 'a'\nlist = 'b'", "anchor 1, max_age_days: it is missing: write max_age_days = …"),
    (HEAD + "[[anchor]]\nname = 'a'\nlist = 'b'\nmax_age_days = 0", "anchor 1, max_age_days: it must be 1 or"),
    (HEAD + '[[rule]]\nname = "CANARY"\nkeep_years = -1\n\n', "rule 1, keep_years: it must be 1 or more"),
    (HEAD + "[brakes]\nper_night = 1.5", "brakes, per_night: it must be a whole number: write"),
    (HEAD + "[brakes]\nmax_share = '2 %'", "brakes, max_share: it must be a number: write it in digits"),
    (HEAD + "[brakes]\nmax_share = true", "brakes, max_share: it must be a number: write it in digits"),
    (HEAD + "[brakes]\nmax_share = 0", "brakes, max_share: it must be more than 0"),
    (HEAD + "[brakes]\nmax_times_usual = inf", "brakes, max_times_usual: it must be a number that is not"),
    (HEAD + "[brakes]\nmin_age_days = true", "brakes, min_age_days: it must be a whole number: write"),
    (HEAD + "[[rule]]\nname = 'a'\nkeep_forever = 1", "rule 1, keep_forever: write true without quotation marks"),
    (HEAD + "[[rule]]\nname = 'a'\nkeep_forever = 1.0", "rule 1, keep_forever: write true without quotation"),
    (HEAD + "[[rule]]\nname = 'a'\nkeep_forever = 'true'", "rule 1, keep_forever: write true without quotation"),
    (HEAD + "[[rule]]\nname = 'a'\nkeep_forever = 'CANARY'", "rule 1, keep_forever: write true without"),
    (HEAD + "[[rule]]\nname = 'a'\nkeep_forever = [true]", "rule 1, keep_forever: write true without quotation"),
    (b'[policy]\ntime_zone = "CANARY\xc4/Paris"\n', "it is not UTF-8: save the file as UTF-8"),
    (b"[policy", "it is not TOML (at end of document): see whether a quotation mark, a bracket or an equals"),
    (b'[policy]\ntime_zone = "CANARY\n', "it is not TOML (at line 2, column 20): a text does not end on its"),
    (b"[policy]\ntime_zone = CANARY\n", "it is not TOML (at line 2, column 13): this is not a value of TOML:"),
    (b"[policy]\nreceived_counts_from = 2026-02-30\n", "it is not TOML (at line 2, column 24): this is not a"),
    (b'[policy]\ntime_zone = "UTC"\n[policy]\n', "it is not TOML (at line 3, column 8): the table policy,"),
    (b'[rule]\nname = "CANARY"\n[[rule]]\n', "it is not TOML (at line 3, column 7): the table rule, perhaps"),
    (b'time zone = "CANARY"\n', "it is not TOML (at line 1, column 6): see whether a quotation mark, a bracket"),
    (b'[policy]\ntime_zone = "UTC"\ntime_zone = "CANARY"\n', "it is not TOML (at line 3, column 21): the key"),
    (b"a = [[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]", "its tables are nested too deeply: write conditions with fewer"),
    (b"", "policy: it is missing: write it as a table [policy], with these brackets"),
    (b"# CANARY\n", "policy: it is missing: write it as a table [policy], with these brackets"),
    (HEAD + f"[brakes]\nper_night = 0x{'F' * 5000}", "brakes, per_night: it must be 1000000000 or less"),
    (HEAD + "[brakes]\nmax_share = nan", "brakes, max_share: "),
    (HEAD + "[brakes]\nmax_share = 1.1", "brakes, max_share: "),
    (b"\xff\xfe", "it is UTF-16, or not text: save the file as UTF-8"),
    *(
        (f"{bom}{HEAD}".encode(encoding), "it is UTF-16, or not text: save the file as UTF-8")
        for bom in ("", "\ufeff")
        for encoding in ("utf-16-le", "utf-16-be")
    ),
    (b"a = " + b"9" * 5000, "it is not TOML: see whether a quotation mark"),
    (b"a = " + b"[" * 5000, "its tables are nested too deeply"),
    (b"[" + b"a." * 5000 + b"a]", "line 1: a key has more than 16 dots"),
    ("[" + "a." * 16 + "a]\n", "its tables are nested too deeply"),
    (b'[[rule]]\nname="a"\nkeep_years=1\n[rule.when' + b".not" * 3000 + b"]", "line 4: a key has more than 16 dots"),
    (b'[[rule]]\nname="a"\nkeep_years=1\n[rule.when' + b".not" * 15 + b"]", "its tables are nested too deeply"),
    (HEAD.encode() + b"#" * (64 * 1024 - len(HEAD) + 1), "it has more than 64 KiB"),
    (b"\xff" * (64 * 1024 + 1), "it has more than 64 KiB"),
    *(
        (f"[policy]\ntime_zone = {json.dumps(zone)}", "policy, time_zone: this is not a time zone of the IANA database")
        for zone in ("", "Europe", "/etc/passwd", "../UTC", "localtime", "europe/paris", "A" * 5000, "\x00")
    ),
    *(
        (
            f'{HEAD}[[anchor]]\nname = "{name}"\nlist = "a.csv"\nmax_age_days = 7',
            "anchor 1, name: dates of another kind",
        )
        for name in ("study_date", "received", "patient_last_study", "birth_date", "minimum_age")
    ),
    (HEAD + '[[hold]]\nname = "a"\nlist = "a.csv"\n' * 2, "hold 2, name: another hold has it"),
    (HEAD + '[[anchor]]\nname = "a"\nlist = "a.csv"\nmax_age_days = 7\n' * 2, "anchor 2, name: another anchor has it"),
    *(
        (f"{HEAD}[[rule]]\nname = {json.dumps(name)}\nkeep_years = 1", "rule 1, name: this is not a name")
        for name in ("", " a", "a ", "a\nb", "\x1b[0m")
    ),
    (f'{HEAD}[[rule]]\nname = "{"x" * 101}"\nkeep_years = 1', "rule 1, name: it has more than 100 characters"),
]
# Entries of a rule.
RULES = [
    (YEAR + "keep_months = 6", "keep_months: there is no such entry; there may be name, when, keep_years,"),
    (YEAR + "modality = ['CANARY']", "modality: there is no such entry here; it belongs in a condition"),
    (YEAR + "colour = 'CANARY'", "colour: there is no such entry; there may be name, when, keep_years,"),
    (YEAR + "from = 'received'", "from: it must be an array: write from = [ … ]"),
    (YEAR + "from = { CANARY = 1 }", "from: it must be an array: write from = [ … ]"),
    (YEAR + "round_to = true", 'round_to: write "year_end", or leave it out'),
    (YEAR + "when = 'CANARY'", "when: it must be a table: write when = { … }"),
    (YEAR + "when = ['CANARY']", "when: it must be a table: write when = { … }"),
    (YEAR + "when.any = ['CANARY']", "when, any 1: it must be a table: write { … }"),
    (YEAR + "when.any = { modality = ['MG'] }", "when, any: it must be an array: write any = [ … ]"),
    (YEAR + "when.not = ['CANARY']", "when, not: it must be a table: write not = { … }"),
    (YEAR + "when.modalities = ['CANARY']", "when, modalities: there is no such entry; did you mean"),
    (YEAR + "when.modality = [1]", "when, modality 1: it must be a text: write it in quotation marks"),
    (YEAR + "when.attribute = ['CANARY']", "when, attribute: it must be a table: write attribute = { … }"),
    (YEAR + "when.attribute = {}", "when, attribute: it is empty: write one value or more"),
    (YEAR + "when.attribute.StationName = 'CANARY'", "when, attribute, StationName: it must be an array:"),
    (YEAR + "when.description_words = [5]", "when, description_words 1: it must be a text: write it in"),
    (YEAR + "when.age_at_study_below = '18'", "when, age_at_study_below: it must be a whole number: write"),
    ("", "it has no period, or several: write one of keep_years, keep_until_age, keep_forever, and only one"),
    ("keep_forever = false", "keep_forever: write true without quotation marks, or leave it out"),
    ("keep_years = true", "keep_years: it must be a whole number: write it in digits alone, without quotation"),
    ("keep_years = 10.0", "keep_years: it must be a whole number: write it in digits alone, without quotation"),
    ('keep_years = "10"', "keep_years: it must be a whole number: write it in digits alone, without quotation"),
    ("keep_years = 10000", "keep_years: it must be 9999 or less"),
    ("keep_until_age = 201", "keep_until_age: it must be 200 or less"),
    (YEAR + 'round_to = "month_end"', 'round_to: write "year_end", or leave it out'),
    ('keep_forever = true\nround_to = "year_end"', "round_to: it goes with keep_years or keep_until_age: leave it"),
    ('keep_until_age = 9\nfrom = ["received"]', "from: it goes with keep_years alone: leave it out"),
    ("keep_forever = true\nfrom_if_known = []", "from_if_known: it goes with keep_years alone: leave it out"),
    (YEAR + "from = []", "from: it is empty: write one value or more, or leave from out"),
    (YEAR + 'from_if_known = ["received"]', "from_if_known 1: no [[anchor]] table has this name: write"),
    (YEAR + "when = {}", "when: there is no condition in it: write one, or leave it out"),
    (YEAR + "when = { not = {} }", "when, not: there is no condition in it: write one, or leave it out"),
    (YEAR + "when = { any = [] }", "when, any: it is empty: write one value or more, or leave any out"),
    (YEAR + 'when = { modality = [" "] }', "when, modality 1: it is blank: write the value that you"),
    (YEAR + 'when = { modality = "MG" }', "when, modality: it must be an array: write modality = [ … ]"),
    (YEAR + 'when = { description_words = ["-_"] }', "when, description_words 1: there is no word in"),
    (YEAR + "when = { study_date_from = 20000101 }", "when, study_date_from: this is not a day: write"),
    (YEAR + "when = { study_date_from = 2000-01-01T00:00:00 }", "when, study_date_from: this is not a"),
    (YEAR + 'when = { study_date_from = "20010229" }', "when, study_date_from: this is not a day: write"),
    (YEAR + 'when = { attribute = { Colour = ["a"] } }', "when, attribute, Colour: this is not a keyword"),
    (YEAR + 'when = { attribute = { "CANARY^JANE" = ["a"] } }', "when, attribute, …: this is not a"),
    *(
        (
            f"{YEAR}when.attribute.{keyword} = ['1']",
            f"when, attribute, {keyword}: no rule can ask for this, because {why}",
        )
        for keywords, why in (
            (sorted(IDENTIFIERS), "it identifies patients"),
            (["PixelData", "ReferencedStudySequence", "TransferSyntaxUID"], "the service's metadata of an instance"),
            (["ModalitiesInStudy", "NumberOfStudyRelatedInstances"], "the service's metadata of an instance"),
        )
        for keyword in keywords
    ),
]
# Conditions that no study can meet: their rule would keep nothing, and nobody would notice.
IMPOSSIBLE = [
    ("modality = ['MG', 'RT*']", "modality 2: no study has this "),
    ("modality = ['MG', 'RT.*']", "modality 2: no study has this "),
    ("modality = ['MG', 'M?']", "modality 2: no study has this "),
    ("modality = ['MG', 'RTDOSE,RTPLAN']", "modality 2: no study has this "),
    ("modality = ['MG', 'RTDOSE;RTPLAN']", "modality 2: no study has this "),
    ("modality = ['MG', 'X-RAY']", "modality 2: no study has this "),
    ("modality = ['MG', 'RADIOTHERAPY PLAN']", "modality 2: no study has this "),
    ("modality = ['MG', 'CT\\\\MR']", "modality 2: no study has this "),
    ("institution = ['A\\B']", "institution 1: no study has this value, because a backslash separates values"),
    ("institution = ['H�pital']", "institution 1: no study has this value, because it has the character U+FFFD"),
    ("description_words = ['h�pital']", "description_words 1: no study has this value, because it has the"),
    ("attribute = { BodyPartExamined = ['KNEE', 'HAND*'] }", "attribute, BodyPartExamined 2: no study has this"),
    ("attribute = { SOPClassUID = ['1.2.840.*'] }", "attribute, SOPClassUID 1: no study has this value"),
    ("attribute = { AcquisitionDate = ['2019-06-01'] }", "attribute, AcquisitionDate 1: no study has this value"),
    ("attribute = { PatientAge = ['018Y', '18Y'] }", "attribute, PatientAge 2: no study has this value, because"),
    ("attribute = { SOPClassUID = ['CT Image Storage'] }", "attribute, SOPClassUID 1: no study has this value"),
    ("modality = ['CT'], not = { modality = ['MR', 'ct'] }", "not: no study meets this: every modality that"),
    ("partition = ['microsoft.default']", "partition 1: no study is in this partition: write Microsoft.Default"),
    ("partition = ['site a']", "partition 1: no partition has such a name"),
    ("age_at_study_from = 18, age_at_study_below = 18", "age_at_study_from: no study is in this range"),
    ("age_at_last_study_from = 19, age_at_last_study_below = 18", "age_at_last_study_from: no study is in this"),
    ("age_at_study_from = 18, age_at_last_study_below = 18", "age_at_study_from: no study is in this range"),
    ("age_at_study_from = 131", "age_at_study_from: no patient is that old: write 130 or less"),
    ("study_date_from = 2020-01-01, study_date_before = '20200101'", "study_date_from: no study is in this range"),
    (
        "all = [{ study_date_before = 2020-01-01 }, { modality = ['CT'] }, { study_date_from = 2020-01-01 }]",
        "all 3, study_date_from:",
    ),
    (
        "study_date_before = 2020-01-01, all = [{ all = [{ study_date_from = '20200101' }] }]",
        "all 1, all 1, study_date",
    ),
    ("all = [{ age_at_study_from = 18 }, { age_at_last_study_below = 18 }]", "all 1, age_at_study_from: no study"),
    ("study_date_before = 1895-11-08", "study_date_before: no study is that old: write a day after 1895-11-08"),
    ("not = { modality = ['RT*'] }", "not, modality 1: no study has this "),
    ("any = [{ modality = ['MG'] }, { all = [{ modality = ['RT*'] }] }]", "any 2, all 1, modality 1: no study has"),
    ("attribute = { SliceThickness = ['1,5'] }", "attribute, SliceThickness 1: no study has this value, because"),
    ("attribute = { SliceThickness = ['thin'] }", "attribute, SliceThickness 1: no study has this value, because"),
    ("attribute = { SliceThickness = ['NaN'] }", "attribute, SliceThickness 1: no study has this value, because"),
    ("attribute = { TimeRange = ['1_0'] }", "attribute, TimeRange 1: no study has this value, because it is not a"),
    ("attribute = { SeriesNumber = ['two'] }", "attribute, SeriesNumber 1: no study has this value, because it is"),
    ("attribute = { SeriesNumber = ['1.5'] }", "attribute, SeriesNumber 1: no study has this value, because it is"),
    ("attribute = { SeriesNumber = ['2147483648'] }", "attribute, SeriesNumber 1: no study has this value,"),
    ("attribute = { Rows = ['512 px'] }", "attribute, Rows 1: no study has this value, because it is not a number"),
    ("attribute = { Rows = ['-1'] }", "attribute, Rows 1: no study has this value, because its VR has no such"),
    ("attribute = { Rows = ['1e9999999'] }", "attribute, Rows 1: no study has this value, because its VR has no"),
    ("attribute = { SmallestImagePixelValue = ['70000'] }", "attribute, SmallestImagePixelValue 1: no study has"),
    ("attribute = { FrameIncrementPointer = ['(0018,1063)'] }", "attribute, FrameIncrementPointer 1: no study has"),
    ("attribute = { StudyTime = ['noon'] }", "attribute, StudyTime 1: no study has this value, because DICOM"),
    ("attribute = { StudyTime = ['2500'] }", "attribute, StudyTime 1: no study has this value, because DICOM"),
    ("attribute = { AcquisitionDateTime = ['2020-01-01 12:00'] }", "attribute, AcquisitionDateTime 1: no study"),
    ("attribute = { AcquisitionDate = ['20190230'] }", "attribute, AcquisitionDate 1: no study has this value,"),
    ("attribute = { ReferringPhysicianName = ['^^'] }", "attribute, ReferringPhysicianName 1: no study has this"),
    ("institution = ['\u200b']", "institution 1: no study has this value, because it has no visible character"),
    ("modality = ['ㅤ']", "modality 1: no study has this value, because it has no visible character"),
    ("all = [{ modality = ['MG'] }, { not = { modality = ['MG'] } }]", "all 2, not: no study meets this: every"),
    ("attribute = { Modality = ['mg'] }, not = { modality = ['MG'] }", "not: no study meets this: every modality"),
    ("modality = ['MG'], not = { any = [{ modality = ['CT'] }, { modality = ['MG'] }] }", "not, any 2: no study"),
    ("institution = ['A'], not = { institution = ['a', 'B'] }", "not: no study meets this: every value"),
    ("referring_physician = ['A^B'], not = { referring_physician = ['a^b^'] }", "not: no study meets this: every"),
    ("attribute = { KVP = ['80'] }, not = { attribute = { KVP = ['80.0'] } }", "not: no study meets this: every"),
    ("description_words = ['a'], not = { description_words = ['A'] }", "not: no study meets this: every phrase"),
    ("description_words = ['left knee'], not = { description_words = ['knee'] }", "not: no study meets this:"),
    ("description_words = ['a', 'mammo*']", "description_words 2: no study has this value, because rules know no"),
    ("description_words = ['m?mmo']", "description_words 1: no study has this value, because rules know no"),
    ("description_words = ['胸部塵肺健診'], not = { description_words = ['塵肺'] }", "not: no study meets this: every"),
    (
        "study_date_from = 2010-01-01, any = [{ any = [{ study_date_before = 2001-01-01 }, "
        "{ study_date_before = 2002-01-01 }] }, { study_date_before = 2003-01-01 }]",
        "any: no study meets this",
    ),
    ("partition = ['u'], not = { partition = ['u', 'v'] }", "not: no study meets this: every partition"),
    ("partition = ['u'], all = [{ partition = ['v'] }]", "all 1, partition: no study meets this: a study is in one"),
    ("age_at_study_below = 18, not = { age_at_study_below = 18 }", "not, age_at_study_below: no study is in this"),
    ("age_at_study_below = 18, not = { age_at_study_below = 20 }", "not, age_at_study_below: no study is in this"),
    ("not = { any = [{ age_at_study_below = 18 }, { age_at_study_from = 18 }] }", "not, any 1, age_at_study_below:"),
    ("not = { age_at_study_below = 131 }", "not, age_at_study_below: no study is in this range"),
    ("age_at_last_study_below = 18, not = { age_at_study_below = 18 }", "not, age_at_study_below: no study is in"),
    ("not = { study_date_from = 1895-11-08 }", "not, study_date_from: no study is in this range"),
    ("study_date_from = 2020-01-01, not = { study_date_from = 2020-01-01 }", "study_date_from: no study is in"),
    ("modality = ['CT'], any = [{ not = { modality = ['CT'] } }]", "any 1, not: no study meets this: every"),
    (
        "study_date_from = 2020-01-01, any = [{ study_date_before = 2019-01-01 }, { study_date_before = 2020-01-01 }]",
        "any: no study meets this",
    ),
    (
        "modality = ['CT'], partition = ['a'], "
        "not = { any = [{ not = { modality = ['CT'], partition = ['a'] } }, { partition = ['a'] }] }",
        "not, any 2: no study",
    ),
    (
        "modality = ['CT'], age_at_study_below = 18, "
        "not = { all = [{ modality = ['CT'] }, { age_at_study_below = 20 }] }",
        "not, all: no study meets",
    ),
]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        *FILES,
        *(
            (rule_of(rule), f"rule 1{':' if said.startswith('it has no period') else ','} {said}")
            for rule, said in RULES
        ),
        *((rule_of(f"{YEAR}when = {{ {when} }}"), f"rule 1, when, {said}") for when, said in IMPOSSIBLE),
    ],
    ids=lambda text: text[:40] if isinstance(text, str) else "bytes",
)
def test_a_mistake_is_told_in_a_sentence(text: str | bytes, said: str) -> None:
    """It names the entry and says what to write, in the app's words, without a value of the file."""
    [*others, told] = sorted(problems(text), key=lambda one: one.startswith(said))
    assert told.startswith(said)
    assert not others or text == 'time_zone = "UTC"'
    everything = " ".join([*others, told])
    assert "CANARY" not in everything
    for foreign in ("Input should", "String should", "Field required", "valid dictionary", "instance of", "validation"):
        assert foreign not in everything


def test_every_mistake_is_told_at_once_with_its_place() -> None:
    """Those of single entries and those between tables, fifty at most, and how many more there are."""
    told = problems(
        HEAD.replace("Paris", "Nowhere")
        + """colour = "CANARY"
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
        """
    )
    assert [one.partition(": ")[0] for one in told] == [
        *("policy, time_zone", "policy, colour", "rule 1, keep_years", "rule 2, when, modality"),
        *("rule 2, when, any 1, not, age_at_study_below", "brakes, per_night", "rules", "rule 2, name", "rule 2"),
        "rule 2, from 1",
    ]
    many = problems(HEAD + "[[rule]]\n" * 40)
    assert (len(many), many[49].partition(":")[0], many[50]) == (51, "rule 10", "and 30 more")


@pytest.mark.parametrize(
    "text",
    [
        "a." * 17 + "a = 1",
        "a . " * 17 + "a = 1",
        "'a'.\"b.c\".d." * 6 + "a = 1",
        "[" + "a." * 17 + "a]",
        "[[" + "a." * 17 + "a]]",
        "[a]\n" + "a." * 17 + "a = 1",
        "a = { b = 1, " + "a." * 17 + "a = 1 }",
        "a = [[{ b = 'c', " + "a." * 17 + "a = 1 }]]",
        "a = 'b\\' # c\n" + "a." * 17 + "a = 1",
        'a = "b\\"" # "\n' + "a." * 17 + "a = 1",
        *(f"a = {{ b = {quotes}c{quotes}{more}, {'a.' * 17}a = 1 }}" for quotes, more in (('"""', '""'), ("'''", "'"))),
        'a = """\\"""\\\n"""\n' + "a." * 17 + "a = 1",
        "a = ''\nb = \"\"\n\"\".''." + "a." * 15 + "a = 1",
        "a.a = " * 3 + "a." * 17,
    ],
)
def test_a_key_has_a_limit_of_dots(text: str) -> None:
    """In heads and inline tables too, whatever strings and comments stand around it; it is found before it is read."""
    line = text.count("\n") + 1
    dots = "a key has more than 16 dots: write its tables with heads of their own, such as [rule.when]"
    assert problems(f"{text}\n= no TOML") == [f"line {line}: {dots}"]


def test_dots_in_texts_and_comments_are_not_counted() -> None:
    """Nor those of numbers and of several keys together, nor sixteen in one key."""
    dots = "." * 40
    read = read_policy(
        f"""# {dots}
{HEAD}# "{dots}
[[rule]] # {dots}
name = "a \\" # {dots}"
keep_years = 1
when.attribute."BodyPartExamined" = ["{dots}", '{dots}', '''
{dots}''''', \"\"\"\\\"{dots}\"\"\"\"\"]
when.all = [{{ not.modality = ["MR"] }}, {", ".join(["{ not.not.modality = ['MG'] }"] * 20)}]
[brakes]
max_share = 0.5
""".encode()
    )
    assert read.rule[0].name == f'a " # {dots}'
    assert read_policy(HEAD.encode() + b"#" * (64 * 1024 - len(HEAD))) == read_policy(HEAD.encode())


@pytest.mark.parametrize(
    "when",
    [
        "modality = ['rtdose', ' CT ', 'RT_DOSE']",
        "institution = ['Praxis * Dr. Who?']",
        "attribute = { AcquisitionDate = ['20190601', '2019.06.01'], ImageComments = ['A\\B'] }",
        "attribute = { BodyPartExamined = ['C-SPINE', 'knee/leg'] }",
        "attribute = { SliceThickness = ['5', ' +5.0e0 ', '.5', '1e9999999'] }",
        "attribute = { Rows = ['512', '5.12e2', '65535'], SmallestImagePixelValue = ['-32768', '65535'] }",
        "attribute = { StudyTime = ['12', '120000', '120000.123456', '12:00:00'], SeriesNumber = ['-1'] }",
        "attribute = { AcquisitionDateTime = ['2020', '20200101120000.5+0100'], FrameIncrementPointer = ['0018106A'] }",
        "attribute = { StudyDescription = ['teaching'] }, not = { description_words = ['knee'] }",
        "description_words = ['knee'], not = { description_words = ['left knee'] }",
        "description_words = ['left knee', 'hip'], not = { description_words = ['knee'] }",
        "description_words = ['knees'], not = { description_words = ['knee'] }",
        "description_words = ['CT塵肺'], not = { description_words = ['T塵肺'] }",
        "study_date_from = 2010-01-01, any = [{ any = [{ study_date_before = 2001-01-01 }, { modality = ['CT'] }] }]",
        "all = [{ modality = ['CT'] }, { modality = ['MG'] }]",
        "any = [{ modality = ['CT'] }, { modality = ['MG'] }], not = { modality = ['CT'] }",
        "modality = ['CT'], not = { all = [{ modality = ['CT'] }, { age_at_study_below = 18 }] }",
        "modality = ['CT'], not = { not = { modality = ['CT'] } }",
        "partition = ['u', 'v'], not = { partition = ['u'] }",
        "partition = ['u', 'v'], all = [{ partition = ['v', 'w'] }]",
        "age_at_study_below = 18, not = { age_at_study_below = 17 }",
        "age_at_study_below = 18, not = { age_at_last_study_below = 18 }",
        "not = { study_date_from = 1895-11-09 }",
        "not = { age_at_study_below = 130 }",
        "referring_physician = ['=A']",
        "attribute = { SOPClassUID = ['1.2.840.10008.5.1.4.1.1.2'] }",
        "attribute = { PatientAge = ['018Y', '003m', '010W', '001D'] }",
        "all = [{ study_date_from = 2020-01-01 }, { study_date_before = 2020-01-02 }]",
        "study_date_from = 2020-01-01, any = [{ study_date_before = 2020-01-01 }, { modality = ['CT'] }]",
        "study_date_from = 2020-01-01, not = { study_date_before = 2020-01-01 }",
        "modality = ['CT', 'MG'], not = { modality = ['CT'] }",
        "modality = ['CT'], not = { modality = ['CT'], partition = ['a'] }",
        "age_at_study_from = 17, age_at_study_below = 18",
        "age_at_last_study_from = 18, age_at_study_below = 18",
        "age_at_last_study_from = 131",  # a birth date is believed by the age at this study, not at the last one
        "study_date_from = 2020-01-01, study_date_before = 2020-01-02",
        "partition = ['Microsoft.Default', 'site-a_1.x']",
    ],
)
def test_a_condition_that_a_study_can_meet(when: str) -> None:
    """It is read, however rare such a study may be."""
    assert read_policy(rule_of(f"{YEAR}when = {{ {when} }}").encode()).rule[0].when


@pytest.mark.parametrize(("day", "is_refused"), [("2026-03-06", False), ("2026-03-07", True), ("9999-12-31", True)])
def test_receptions_count_from_a_day_that_has_come(day: str, is_refused: bool) -> None:
    """Somewhere it is tomorrow already; from a later day on no reception would count, and rules would end early."""
    policy = read_policy(f"{HEAD}received_counts_from = {day}".encode())
    assert bool(future_days(policy, date(2026, 3, 5))) is is_refused


@pytest.mark.parametrize(
    ("when", "place"),
    [
        ("study_date_from = 2036-03-05", None),
        ("study_date_from = 2036-03-06", "study_date_from"),
        ("any = [{ modality = ['CT'] }, { study_date_from = 9999-12-31 }]", "any 2, study_date_from"),
        ("all = [{ not = { study_date_from = 2206-01-01 } }]", "all 1, not, study_date_from"),
        ("not = { study_date_before = 2036-03-05 }", None),
        ("not = { study_date_before = 2036-03-06 }", "not, study_date_before"),
        ("any = [{ not = { all = [{ study_date_before = 2126-01-01 }] } }]", "any 1, not, all 1, study_date_before"),
        ("not = { not = { study_date_before = 2126-01-01 } }", None),
        ("study_date_before = 2126-01-01", None),
    ],
)
def test_a_condition_that_no_study_meets_for_years(when: str, place: str | None) -> None:
    """A rule may be written for a law to come; one for studies of more than ten years ahead is a typing error."""
    policy = read_policy(rule_of(f"{YEAR}when = {{ {when} }}").encode())
    said = [f"rule 1, when, {place}: it is more than 10 years ahead: write an earlier day"]
    assert future_days(policy, date(2026, 3, 5)) == (said if place else [])


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
