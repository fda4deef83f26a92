"""Lists of holds and of dates: how they may be written, and what is told of their mistakes."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from purge_study.ledger.hashing import Hasher
from purge_study.ledger.row import Patient, Reading, Row, StudyKey
from purge_study.lists.anchors import Anchors, read_anchors
from purge_study.lists.holds import COLUMNS, Holds, read_holds
from purge_study.lists.sheet import MOST_BYTES, ListFault
from purge_study.policy.dates import UNCLEAR
from purge_study.policy.policy import State
from purge_study.rulebook.judging import judge_row
from purge_study.rulebook.rulebook import Rulebook
from tests.kit.studies import policy, values

DOCUMENT = Path(__file__).parents[2] / "docs/retention.md"
HASHER = Hasher("the key of these tests")
TODAY = date(2026, 3, 5)
ALL = "study_instance_uid,accession_number,patient_id,issuer,released,released_by\n"
DATES = "patient_id,issuer,date\n"


def holds(content: str | bytes) -> Holds:
    return read_holds("holds.csv", content.encode() if isinstance(content, str) else content, HASHER, TODAY)


def anchors(content: str | bytes) -> Anchors:
    return read_anchors("anchors.csv", content.encode() if isinstance(content, str) else content, HASHER)


def patient(patient_id: str, issuer: str = "") -> Patient:
    found = HASHER.patient(patient_id, issuer)
    assert found is not None
    return found


def study(uid: str = "1.2.3", accession: str = "", patient_id: str = "", issuer: str = "") -> Row:
    number = HASHER.accession(accession)
    reading = Reading({}, HASHER.patient(patient_id, issuer), frozenset([number] if number else []), 1, None)
    return Row(StudyKey("Microsoft.Default", uid), reading=reading)


def disagreeing(*patient_ids: str) -> Row:
    """A study whose instances name several patients."""
    patients = frozenset(map(patient, patient_ids))
    return Row(StudyKey("any", "1.2.3"), reading=Reading({}, None, frozenset(), 2, None, patients, is_whole=False))


def mistakes(read: Callable[[str | bytes], object], content: str | bytes) -> tuple[str, list[str]]:
    with pytest.raises(ListFault) as raised:
        read(content)
    return raised.value.code, list(raised.value.problems)


LINES = 'Patient_ID , issuer,"accession_number"\nP1,"St. Mary",A1\n\n,,"A,2"\n  P3  ,,\n#END,3\n'


@pytest.mark.parametrize(
    "content",
    [
        LINES.encode(),
        LINES.encode("utf-8-sig"),
        LINES.encode("utf-16"),
        b"\xfe\xff" + LINES.encode("utf-16-be"),
        LINES.replace("\n", "\r\n").encode(),
        LINES.replace("\n", "\r").encode(),
        LINES.removesuffix("\n").encode(),
        LINES.upper().replace("ST. MARY", "st. mary").encode(),
        LINES.replace("#END,3", '"#end","3",').encode(),
        LINES.replace("#END,3", '"#end,3"').encode(),
        LINES.replace("#END,3", " #end , 3 ,,").encode(),
        LINES.replace("\n\n", "\n,,\n").encode(),
        LINES.replace("\nP1", ",,\nP1").encode(),
        b"\n,,\n" + LINES.encode(),
    ],
)
def test_how_a_list_may_be_written(content: bytes) -> None:
    """Editors, exports and spreadsheets write it differently; it says the same."""
    found = holds(content)
    assert found.has_end
    assert [line.patient for line in found.lines] == [patient("P1", "st. mary"), None, patient("P3")]
    assert [line.accession for line in found.lines] == [HASHER.accession("A1"), HASHER.accession("A,2"), None]


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_other_delimiters(delimiter: str) -> None:
    """What separates the header's cells separates all; an issuer may have a comma, and an id in quotation marks."""
    content = f'patient_id{delimiter}issuer\n "P,1"{delimiter}a,b\n#end{delimiter}1{delimiter}\n'
    [line] = holds(content).lines
    assert line.patient == patient("P,1", "a,b")
    assert holds(content).has_end


@pytest.mark.parametrize("end", ["#end,1", "#end;1", "#end\t1"])
def test_a_list_of_one_column(end: str) -> None:
    """Nothing tells its delimiter; its end is known by each."""
    assert holds(f"patient_id\nP1\n{end}\n").has_end


# Of holds; what is said of each mistake begins so, in this order.
OF_HOLDS: list[tuple[str | bytes, list[str]]] = [
    ("", ["line 1: it names no column; there may be"]),
    ('"patient_id\nCANARY\n', ["line 1: it names no column; there may be"]),
    ("CANARY,CANARY\n", ["line 1: it names no column; there may be"]),
    ("patient_id,CANARY,,patient_id\n", ["line 1, cell 2: an", "line 1, cell 3: an", "line 1, cell 4: the"]),
    ("issuer,released\nCANARY,\n", ["it has none of the columns study_instance_uid,"]),
    (b"patient_id\n\xff\xfe\n", ["it is not text in UTF-8, or in UTF-16 with a byte order mark"]),
    (b"patient_id\nP\x00\n", ["it is not text in UTF-8, or in UTF-16 with a byte order mark"]),
    (b"\xff\xfeabc", ["it is not text in UTF-8, or in UTF-16 with a byte order mark"]),
    ("patient_id,issuer\n,CANARY\n", ["line 2: it names no study and no patient"]),
    ("patient_id,released\n,2026-01-01\n", ["line 2: it names no study and no patient"]),
    ("patient_id\nP1\nP2,CANARY\n", ["line 3: it has more cells than there are columns"]),
    ('patient_id\n"CANARY\nP2\n', ["line 2: its quotation marks do not pair, or a cell is too"]),
    ('patient_id\n"CANARY"s\nP2\n', ["line 2: its quotation marks do not pair, or a cell is too"]),
    ("study_instance_uid\n1..2\n1.a\n", ["line 2: its study_instance_uid is", "line 3: its study_instance_uid is"]),
    ("patient_id,issuer\nP1,#N/A\n", ["line 2: its issuer was damaged by a spreadsheet: format the"]),
    ("patient_id,issuer\n'0012,\n", ["line 2: its patient_id was damaged by a spreadsheet: format"]),
    ("patient_id,issuer\nP1;St. Mary\n", ["line 2: the header is separated by commas, this line by"]),
    ("patient_id;issuer\nP1,St. Mary\n", ["line 2: the header is separated by semicolons, this line by"]),
    ("patient_id;issuer\nP1,;St. Mary\n", ["line 2: its patient_id has a comma, which does not separate"]),
    ('issuer\taccession_number\na,b\tA,1"\n', ["line 2: its accession_number has a comma, which does not"]),
    ("patient_id;issuer\n4711,0;a\n", ["line 2: its patient_id is a number that a spreadsheet wrote"]),
    ("patient_id,issuer\nP1\tSt. Mary\n", ["line 2: the header is separated by commas, this line by"]),
    ("patient_id\tissuer\nP1;St. Mary\n", ["line 2: the header is separated by tabs, this line by"]),
    ("patient_id\nP1;St. Mary\n", ["line 2: its patient_id has another separator in it than the"]),
    ("patient_id,issuer\nP1,#NV\n", ["line 2: its issuer begins with # or *: a list has no"]),
    ("patient_id,issuer\n# CANARY,\n*,\n", ["line 2: its patient_id begins", "line 3: its patient_id begins"]),
    ("accession_number\n*CANARY\n", ["line 2: its accession_number begins with # or *: a list has"]),
    ("study_instance_uid\n#1.2\n", ["line 2: its study_instance_uid begins with # or *: a list"]),
    ("study_instance_uid\n4711.0\n", ["line 2: its study_instance_uid is a number that a"]),
    ("patient_id\n4711.0\n0815.00\n", ["line 2: its patient_id is a", "line 3: its patient_id is a"]),
    ("accession_number,issuer\n4711.0,\n", ["line 2: its accession_number is a number that a spreadsheet"]),
    (f"study_instance_uid\n{'1.' * 32}1\n", ["line 2: its study_instance_uid is not a UID"]),
    (
        'patient_id,accession_number\n1.23E+10,1\n1,"1,2e+5"\n#####,\n,"=""007"""\n#REF!,1\n',
        [
            f"line {line}: its {column} was damaged by a spreadsheet"
            for line, column in enumerate(("patient_id", "accession_number") * 2 + ("patient_id",), 2)
        ],
    ),
    ("patient_id\nP\u200b1\n", ["line 2: its patient_id has a character that cannot be seen:"]),
    (
        "patient_id,accession_number,issuer\nP\ufffd1,,\n,P\ufffd,\nP,,St. \ufffd\n",
        [
            f"line {line}: its {column} has the character U+FFFD"
            for line, column in ((2, "patient_id"), (3, "accession_number"), (4, "issuer"))
        ],
    ),
    ("patient_id,issuer\n,CANARY\n#end,2\n", ["line 2: it names no study and", "#end says 2 lines, but there"]),
    *(
        (f'patient_id\n"{cell}"\n', ["line 2: its patient_id is a number that a spreadsheet wrote"])
        for cell in ("4,711.00", "4.711,0", "1 234 567.00", "4'711.0", "-4,711.00")
    ),
]
UNFINISHED: list[tuple[str, list[str]]] = [
    ("patient_id\nP1\nP2\n#end,3\n", ["#end says 3 lines, but there are 2"]),
    ("patient_id\nP1\nP2\n#end,1\n", ["#end says 1 lines, but there are 2"]),
    ("patient_id\nP1\n#end,1\nP2\n", ["line 4: it stands after #end"]),
    ("patient_id\nP1\n#end\n", ["line 3: #end does not say how many lines there are"]),
    ("patient_id\nP1\n#end,\n", ["line 3: #end does not say how many lines there are"]),
]
OF_DATES: list[tuple[str, list[str]]] = [
    ("patient_id,issuer\n", ["it has no column date"]),
    ("issuer\n", ["it has no column patient_id", "it has no column date"]),
    (DATES + ",CANARY,2020-02-03\n", ["line 2: it names no patient"]),
    (DATES + "CANARY,,\n", ["line 2: it has no date, such as 2026-03-05"]),
    (DATES + "CANARY,,2020-02-30\n", ["line 2: it has no date, such as 2026-03-05"]),
    (DATES + "CANARY,,03/05/2020\n", ["line 2: it has no date, such as 2026-03-05"]),
    (DATES + "CANARY,,20200101000000\n", ["line 2: it has no date, such as 2026-03-05"]),
    (DATES + "CANARY\n", ["line 2: it has no date, such as 2026-03-05"]),
    (DATES + "1.23E+10,,2020-01-01\n", ["line 2: its patient_id was damaged by a spreadsheet: format"]),
    (DATES + "#NV,,2020-01-01\n*,,2020-01-01\n", ["line 2: its patient_id begins", "line 3: its patient_id begins"]),
    (DATES + "4711.0,1.0,2020-01-01\n", ["line 2: its patient_id is a", "line 2: its issuer is a number"]),
    ("patient_id;date\nCANARY,;2020-01-01\nP1,H;2020-01-01\n", ["line 2: its patient_id", "line 3: its patient_id"]),
    (DATES + "P1;x;2020-01-01\n", ["line 2: the header is separated by commas, this line by"]),
    (DATES + "#REF!,=A1,2020-01-01\n", ["line 2: its patient_id was", "line 2: its issuer was damaged by"]),
]


@pytest.mark.parametrize(
    ("read", "content", "code", "problems"),
    [
        *((holds, content, "list_invalid", problems) for content, problems in OF_HOLDS),
        *((holds, content, "list_unfinished", problems) for content, problems in UNFINISHED),
        *((anchors, content, "list_invalid", problems) for content, problems in OF_DATES),
    ],
    ids=lambda value: ascii(value[:30]) if isinstance(value, str | bytes) else "",
)
def test_mistakes(read: Callable[[str | bytes], object], content: str | bytes, code: str, problems: list[str]) -> None:
    """All at once, each with its line, none with what is written there."""
    found, told = mistakes(read, content)
    assert (found, len(told)) == (code, len(problems))
    assert [one for one, begin in zip(told, problems, strict=True) if not one.startswith(begin)] == []
    assert "CANARY" not in "".join(told)


def test_a_list_that_is_too_large() -> None:
    """It is not gone through, or given up at the first line that is too much."""
    for content, said in (
        (b"patient_id\n" + b"\n" * MOST_BYTES, "it has more than 64 MiB"),
        (b"patient_id\n" + b"\n" * 1_000_000 + b"P1\n", "it has more than 1,000,000 lines"),
    ):
        assert mistakes(holds, content) == ("list_invalid", [said])


def peak_bytes(read: Callable[[], object]) -> int:
    """Return how much memory it takes at most."""
    tracemalloc.start()
    try:
        read()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_mistakes_that_are_not_told_take_no_memory() -> None:
    """A list with a mistake in each line takes no more memory than one without mistakes."""

    def damaged() -> None:
        with pytest.raises(ListFault, match="list_invalid"):
            anchors("patient_id,date\n" + "P1,2020-13-01\n" * 4_000)

    sound = peak_bytes(lambda: anchors("patient_id,date\n" + "P1,2020-12-01\n" * 4_000))
    assert peak_bytes(damaged) < sound + 100_000


@pytest.mark.parametrize(
    ("count", "last"), [(20, "line 21: it names no"), (21, "and 1 more"), (1030, "and 1,010 more")]
)
def test_a_list_of_mistakes(count: int, last: str) -> None:
    """Twenty are told, and how many more there are."""
    _, told = mistakes(holds, "patient_id,issuer\n" + ",x\n" * count)
    assert told[19].startswith("line 21: it names no study")
    assert told[-1].startswith(last)


UID_OF_64 = "1." + "1" * 62
HELD = [
    ("1.2.3,,,,,", study("1.2.3"), True),
    ("1.2.3,,,,,", study("1.2.33"), False),
    ("1.2.3,,,,,", study("9.9", "A1", "12"), False),
    (f"{UID_OF_64},,,,,", study(UID_OF_64), True),
    ("1.2.3,,,,,", Row(StudyKey("other", "1.2.3")), True),
    (",0A7,,,,", study(accession="a7"), True),
    (",a7,,,,", study(accession="0A7"), True),
    (",a7,,,,", study(accession="A70"), False),
    (",,0012,,,", study(patient_id="12"), True),
    (",,12,,,", study(patient_id="0012"), True),
    (",,12,,,", study(patient_id="12", issuer="x"), True),
    (",,12,x,,", study(patient_id="12"), True),
    (",,12,X,,", study(patient_id="12", issuer="x"), True),
    (",,12,y,,", study(patient_id="12", issuer="x"), False),
    (",,12,49,,", study(patient_id="12", issuer="0049"), True),
    (",,12,0049,,", study(patient_id="12", issuer="49"), True),
    (",,12,49,,", study(patient_id="12", issuer="490"), False),
    (",,12,,,", study(patient_id="123"), False),
    (",,12,,,", Row(StudyKey("any", "1.2.3")), False),
    ("9.9,,12,,,", study("1.2.3", patient_id="12"), True),
    ("9.9,A1,12,,,", study("9.9", "other", "other"), True),
    ("9.9,A1,12,,,", study("1.2.3", "A1", "other"), True),
    (",,12,x,,", disagreeing("11", "12"), True),
    (",,13,x,,", disagreeing("11", "12"), False),
]


@pytest.mark.parametrize(("line", "row", "expected"), HELD)
def test_what_a_line_holds(line: str, row: Row, expected: bool) -> None:
    """Every study that has any of its identifiers, leading zeros and case apart; no issuer is all."""
    found = holds(ALL + line)
    assert found.hold(row) is expected
    assert found.lines[0].matches(row) is expected


@pytest.mark.parametrize(
    ("released", "expected"),
    [
        ("2026-03-05,Dr. Who", False),
        ("20260305,Dr. Who", False),
        ("2025-12-31,K. Archivist", False),
        ("1993-01-01,Dr. 4711", False),
        ("2026-03-06,Dr. Who", True),
        ("9999-12-31,Dr. Who", True),
        ("2026-03-05,", True),
        ("2026-03-05,  ", True),
        (",Dr. Who", True),
        (",", True),
    ],
)
def test_when_a_hold_ends(released: str, expected: bool) -> None:
    """A hold ends by a day that has come and the name of who released it; with one of them blank, it holds."""
    assert holds(f"{ALL}1.2.3,,,,{released}\n").hold(study("1.2.3")) is expected


NO_DAYS = [
    *("yes", "NULL", "2026-02-30", "2026-W10-1", "05.03.2026", "2026-03-05 00:00", "٢٠٢٦٠٣٠٥", "#####", "#N/A", "=A1"),
    *("0001-01-01", "1899-12-30", "1900-01-01", "1970-01-01", "1992-12-31", "*", "46000", "46000.0", "-"),
]
# Cells of `released_by`, by what is said of them.
NO_NAMES = {
    "was damaged by a spreadsheet": ["#N/A", "#REF!", "=A1", "#####", "'Who", "1.2E+5"],
    "begins with # or *": ["#NV", "#NAME", "*"],
    "is a number that a spreadsheet wrote": ["4711.0", "4711.000", "-4711.0", "4711.00"],
    "names no person": [
        "NULL",
        "null",
        "(null)",
        "<NULL>",
        "\\N",
        "N/A",
        "n.a.",
        "NaN",
        "None",
        "nil",
        "-",
        "--",
        "?",
        "...",
        "unknown",
        "undefined",
        "TBD",
        "true",
        "Not available",
        "0",
        "NA",
        "00",
        "false",
        "2026-03-05",
        "2026-02-30",
        "2026-02-11T00:00:00Z",
        "11-Feb-26",
        "11Feb2026",
        "February 11 2026",
        "Feb 11 26",
        "99991231",
        "4711",
        "1/1/1900",
        "2026-01-01 00:00:00",
        "+A1",
        "@A1",
        "WAHR",
        "not released",
        "pending",
        "NULL NULL",
        "not yet released",
        "pending approval",
        "awaiting the court",
        "to be confirmed",
        "noch offen",
        "niemand",
        "en attente",
        "ONWAAR",
        "x",
        "ok",
    ],
    "has another separator in it": ["Dr.;Who"],
    "has a character that cannot be seen": ["Who\u200b"],
}


@pytest.mark.parametrize(
    ("column", "cell", "said"),
    [
        *(("released", cell, "is not a date after 1992") for cell in NO_DAYS),
        *(("released_by", cell, said) for said, cells in NO_NAMES.items() for cell in cells),
    ],
)
def test_a_release_that_is_none(column: str, cell: str, said: str) -> None:
    """Junk in a cell is a mistake of the list, with its line: it ends no hold, whatever the other cell has."""
    beside = (f"{cell},Dr. Who", f"{cell},") if column == "released" else (f"2026-01-01,{cell}", f",{cell}")
    code, told = mistakes(holds, ALL + "".join(f"1.2.3,,,,{cells}\n" for cells in beside))
    assert (code, len(told)) == ("list_invalid", 2)
    for number, one in zip((2, 3), told, strict=True):
        assert one.startswith(f"line {number}: its {column} {said}")


@pytest.mark.parametrize(
    "cell", ["P*1", "P#1", "P1*", "1.5", "1.05", "4711.0.1", "A4711.0", "4711.01", "4711.", ".0", "0.5"]
)
def test_identifiers_with_signs_in_them(cell: str) -> None:
    """Real identifiers have stars, hashes and dots in them: a list may name them."""
    assert holds(f"patient_id,accession_number\n{cell},{cell}\n").hold(study(patient_id=cell))
    assert anchors(f"{DATES}{cell},{cell},2020-01-01\n").date_of(patient(cell, cell))


def test_two_lines_for_a_study() -> None:
    """It is held while one of them is not released, whichever stands first."""
    lines = ["1.2.3,,P1,,2026-01-01,K. Archivist", ",,P1,,,"]
    for order in (lines, lines[::-1]):
        assert holds(ALL + "\n".join(order)).hold(study("1.2.3", patient_id="P1"))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("1.2,A1,P1,x,,", "1.2,0a1,00p1,X,2026-01-01,K. Archivist", True),
        ("1.2,A1,P1,x,,", "1.2,A1,P1,,,", False),
        (",A1,,,,", ",,A1,,,", False),
        ("1.2,,,,,", "1.3,,,,,", False),
    ],
)
def test_which_line_is_which(one: str, other: str, same: bool) -> None:
    """Its identifiers tell it, as a spreadsheet leaves them; not where it stands, nor that it is released."""
    first, second = holds(f"{ALL}{one}\n{other}\n").lines
    assert (first.key == second.key) is same


def test_the_list_in_the_document() -> None:
    """It can be read; one line of it is released, and every column is explained."""
    text = DOCUMENT.read_text().partition("### How a list is written\n")[2]
    found = holds(text.partition("```csv\n")[2].partition("```")[0])
    assert found.has_end
    assert [line.is_released for line in found.lines] == [False, False, False, True]
    assert re.findall(r"^\| `(\w+)`", text.partition("### Holds\n")[2].partition("### Dates")[0], re.M) == list(COLUMNS)


@pytest.mark.parametrize(
    ("lines", "whose", "expected"),
    [
        ("P1,,2020-02-03", patient("P1"), date(2020, 2, 3)),
        ("P1,,20200203\nP1,,2021-01-01\nP1,,2019-01-01", patient("P1"), date(2021, 1, 1)),
        ("P1,x,2020-02-03\nP1,,2021-01-01\nP1,y,2022-01-01", patient("P1", "x"), date(2021, 1, 1)),
        ("012,x,2019-01-01\n12,y,2020-02-03", patient("0012", "x"), UNCLEAR),
    ],
)
def test_a_patients_date(lines: str, whose: Patient, expected: date) -> None:
    """The latest of the lines that are not another patient's; unclear if the list spells the id in several ways."""
    assert anchors(DATES + lines).date_of(whose) == expected


@pytest.mark.parametrize("read", [holds, anchors])
def test_a_list_without_lines(read: Callable[[str], Holds | Anchors]) -> None:
    """It says that there is nothing to say."""
    found = read("patient_id,date\n#end,0\n" if read is anchors else "patient_id\n#end,0\n")
    assert found.has_end


def test_the_lines_of_dates() -> None:
    """Each patient has the number of the first line, in the order of the dates."""
    found = anchors(f"{DATES}P1,,2020-01-01\n\nP1,,2021-01-01\nP2,,2020-01-01\n")
    assert list(zip(found.dates, found.numbers, strict=True)) == [(patient("P1"), 2), (patient("P2"), 5)]


RULE = """
[[anchor]]
name = "death"
list = "dates.csv"
max_age_days = 7
[[rule]]
name = "all"
keep_years = 8
from = ["study_date"{0}]
from_if_known = [{1}]
"""


@pytest.mark.parametrize("named", [(', "death"', ""), ("", '"death"')])
@pytest.mark.parametrize(
    ("day", "state"),
    [
        ("2016-03-05", State.DUE),
        ("2026-03-06", State.KEPT),
        ("2026-03-07", State.UNKNOWN),
        ("9999-12-31", State.UNKNOWN),
        ("1900-01-01", State.UNKNOWN),
        ("0001-01-01", State.UNKNOWN),
    ],
)
def test_dates_that_tell_nothing(named: tuple[str, str], day: str, state: State) -> None:
    """What is later than tomorrow, or stands for an unknown date, keeps the study; another line does not stand in."""
    rules = policy(RULE.format(*named))
    found = anchors(f"{DATES}P1,,2014-01-01\nP1,,{day}\n" if day > "2014" else f"{DATES}P1,,{day}\n")
    rulebook = Rulebook(rules, {"policy.toml": ""}, {}, anchors={"death": found})
    attributes = {"StudyDate": values("2016-03-05")}
    received = datetime(2016, 3, 5, tzinfo=UTC)
    row = Row(StudyKey("any", "1.2"), received, Reading(attributes, patient("P1"), frozenset(), 1, None))
    judged = judge_row(rulebook, row, [], TODAY).judgement
    assert judged is not None
    assert judged.state is state
