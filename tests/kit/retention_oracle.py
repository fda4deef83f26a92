"""A second engine of retention, written from docs/retention.md alone, to compare the app with.

It shares no code with the app. If the document can be read in two ways, it takes the one that keeps the study.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from calendar import isleap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

FIRST_X_RAY = date(1895, 11, 8)
PLACEHOLDERS = {date(1, 1, 1), date(1800, 1, 1), date(1900, 1, 1), date(9999, 12, 31)}
KEYWORDS = {"modality": "Modality", "institution": "InstitutionName", "referring_physician": "ReferringPhysicianName"}
NUMBERS = {"KVP", "SeriesNumber"}  # of the attributes that the studies of the test have
NO_WORD_BREAKS = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005\u3040-\u30ff\u3400-\u9fff]")
NAMES = {"ReferringPhysicianName"}
LOOKS_BLANK = "\u2800\u3164\uffa0\ufffc"
AGE = re.compile(r"0*([0-9]{1,3}) ?([DWMYdwmy])")
MUST_BE_TEXTS = ("PatientID", "IssuerOfPatientID", "AccessionNumber", "PatientBirthDate", "PatientAge")
# A cell that a spreadsheet or a person left in a form that says nothing: it makes the whole list invalid.
JUNK = re.compile(r"[#*=']|[0-9]+\.0+$|[0-9]+([.,][0-9]+)?[eE]\+?[0-9]+$")
HOLD_COLUMNS = ("study_instance_uid", "accession_number", "patient_id", "issuer", "released", "released_by")
DATE_COLUMNS = ("patient_id", "issuer", "date")
NOBODY = {"null", "none", "n/a", "na", "nil", "unknown"}
FIRST_RELEASE = date(1993, 1, 1)
ZERO_DAYS = {"1899-12-30", "1899-12-31", "1901-01-01", "1904-01-01", "1969-12-31", "1970-01-01"}  # of a blank cell

# A date, or why it is not known; whether a condition holds, or why that is not known.
DayOrReason = date | str
AnswerOrReason = bool | str
Line = Mapping[str, str]  # a line of a list: its cells by column, without blanks at their ends


@dataclass(frozen=True)
class Odd:
    """A value that a file has in another VR than DICOM has for the attribute."""

    vr: str
    value: Any

    def __str__(self) -> str:
        return str(self.value)


@dataclass(frozen=True)
class Study:
    """A study: one mapping of keywords to values for each instance."""

    uid: str
    partition: str
    instances: tuple[Mapping[str, Any], ...]
    received: datetime | None
    is_purged: bool = False


def as_day(text: str) -> date | None:
    """Return the day that eight digits, or digits with two dashes, are; None if they are no day."""
    try:
        return date.fromisoformat(text) if re.fullmatch("[0-9]{8}|[0-9]{4}-[0-9]{2}-[0-9]{2}", text) else None
    except ValueError:
        return None


def anniversary(day: date, years: int) -> date | None:
    """Return the same day some years later; 1 March if there is no 29 February; None if that is beyond 9999."""
    year = day.year + years
    if year > 9999:
        return None
    return date(year, 3, 1) if (day.month, day.day) == (2, 29) and not isleap(year) else day.replace(year=year)


def age(since: date, until: date, unit: str = "Y") -> int:
    """Return an age in completed years, or in another unit of PatientAge: months, weeks or days."""
    months = (until.year - since.year) * 12 + until.month - since.month - (until.day < since.day)
    days = (until - since).days
    return {"Y": months // 12, "M": months, "W": days // 7, "D": days}[unit]


def texts(study: Study, keyword: str) -> Iterator[tuple[str, ...]]:
    """Yield the values of each instance: of a name each of its groups; blank values are none."""
    for instance in study.instances:
        values: list[str] = []
        for value in instance.get(keyword, ()):
            values += value.values() if isinstance(value, dict) else [str(value)]
        yield tuple(value.strip() for value in values if seen(value))


def seen(text: str) -> str:
    """Return what a person sees of a text: no format characters, and a blank for what looks like one."""
    kinds = ((sign, unicodedata.category(sign)) for sign in text)
    shown = (" " if kind == "Cc" or sign in LOOKS_BLANK else sign for sign, kind in kinds if kind != "Cf")
    return "".join(shown).strip()


def readable(study: Study, keyword: str) -> Iterator[tuple[str, ...]]:
    """Yield the values of each instance; one that cannot be read counts as missing."""
    for instance in study.instances:
        values = tuple(value for value in instance.get(keyword, ()) if is_readable(keyword, value))
        yield next(texts(replace(study, instances=({keyword: values},)), keyword))


def is_readable(keyword: str, value: Any) -> bool:
    """Say whether a value has the form that DICOM has for the attribute, and could be decoded."""
    if keyword in NUMBERS:
        return isinstance(value, int | float)
    if keyword in NAMES:
        return isinstance(value, dict) and all(map(is_text, value.values()))
    return is_text(value)


def only_day(study: Study, keyword: str) -> DayOrReason:
    """Return the one day that all instances have."""
    of_each = list(readable(study, keyword))
    values = {value for values in of_each for value in values}
    if not all(of_each) or len(values) != 1:
        return f"{keyword}: missing or not agreed"
    return next((as_day(value) for value in values if value.isdigit()), None) or f"{keyword}: no day"


class Oracle:
    """Says why each study of an archive is kept; `today` is the day in the policy's time zone."""

    def __init__(self, policy: str, lists: Mapping[str, bytes], studies: Sequence[Study], today: date) -> None:
        self.policy = tomllib.loads(policy)
        self.head = self.policy["policy"]
        self.today = today
        self.studies = studies
        self.no_births = {*PLACEHOLDERS, None, *map(as_day, self.head.get("placeholder_birth_dates", ()))}
        self.mistake = ""
        self.holds: list[Line] = []
        self.dates: dict[str, list[Line]] = {}
        try:
            for table in self.policy.get("hold", ()):
                self.holds += read_list(lists[table["list"]], HOLD_COLUMNS)
            for table in self.policy.get("anchor", ()):
                self.dates[table["name"]] = read_list(lists[table["list"]], DATE_COLUMNS)
        except ValueError as mistake:
            self.mistake = str(mistake)

    def why_kept(self, study: Study) -> list[str]:
        """Return each reason for which a study is kept; none if it may be deleted."""
        if self.mistake:
            return [f"list invalid: {self.mistake}"]
        reasons = []
        if len(patients_of(study)) > 1 or len({n for of in texts(study, "AccessionNumber") for n in of}) > 30:
            reasons.append("not whole")
        if any(
            not is_text(value) for of in study.instances for keyword in MUST_BE_TEXTS for value in of.get(keyword, ())
        ):
            reasons.append("not whole: not text")
        received = self.day_received(study)
        if received is None:
            reasons.append("undated: received")
        elif received + timedelta(days=self.policy.get("brakes", {}).get("min_age_days", 30)) >= self.today:
            reasons.append("received lately")
        reasons += ["held" for line in self.holds if self.is_held_by(study, line)][:1]
        told = [(rule, self.holds_for(rule.get("when", {}), study)) for rule in self.policy.get("rule", ())]
        reasons += [f"rule: {answer}" for _, answer in told if isinstance(answer, str)]
        if all(answer is False for _, answer in told):
            reasons.append("no rule")
        for rule in (rule for rule, answer in told if answer is True):
            end = self.last_day(rule, study)
            if isinstance(end, str):
                reasons.append(end)
            elif end >= self.today:
                reasons.append("not over")
        return reasons

    def last_day(self, rule: Mapping[str, Any], study: Study) -> DayOrReason:
        """Return the last day on which a rule that is for a study keeps it."""
        if rule.get("keep_forever"):
            return "forever"
        if "keep_until_age" in rule:
            start, years = self.birth_date(study), rule["keep_until_age"]
        else:
            start, years = self.latest(rule, study), rule["keep_years"]
        if isinstance(start, str):
            return f"undated: {start}"
        end = anniversary(start, years)
        if end is None:
            return "forever"
        return date(end.year, 12, 31) if rule.get("round_to") == "year_end" else end

    def latest(self, rule: Mapping[str, Any], study: Study) -> DayOrReason:
        """Return the latest of the dates from which a rule counts; each one must be known."""
        found: list[DayOrReason | None] = []
        for name in rule.get("from", ["study_date", "received", "patient_last_study"]):
            if name == "study_date":
                found.append(self.study_date(study))
            elif name == "patient_last_study":
                found.append(self.last_study(study))
            elif name == "received":
                received, since = (
                    self.day_received(study),
                    as_day(self.head.get("received_counts_from", "")) or date.min,
                )
                found += [received or "received"] if received is None or received >= since else []
            else:
                found.append(self.listed_date(name, study) or "the list has no date")
        if not found:
            return "nothing to count from"
        found += [self.listed_date(name, study) for name in rule.get("from_if_known", ())]
        unknown = [day for day in found if isinstance(day, str)]
        return unknown[0] if unknown else max(day for day in found if isinstance(day, date))

    def day_received(self, study: Study) -> date | None:
        return study.received and study.received.astimezone(ZoneInfo(self.head["time_zone"])).date()

    def is_possible(self, day: date) -> bool:
        """Say whether something can have happened on a day: no placeholder, no day to come, an X-ray existed."""
        return FIRST_X_RAY <= day <= self.today + timedelta(days=1) and day not in PLACEHOLDERS

    def study_date(self, study: Study) -> DayOrReason:
        day = only_day(study, "StudyDate")
        return day if isinstance(day, str) or self.is_possible(day) else "StudyDate: cannot be"

    def others_of(self, study: Study) -> Iterator[Study]:
        """Yield all studies of the patient, this one included: equal ids whose issuers do not contradict."""
        mine = patients_of(study)
        for other in self.studies:
            theirs = patients_of(other)
            are_equal = any(a[0] == b[0] != "" and agree(a[1], b[1]) for a in mine for b in theirs)
            may_be_equal = any(
                folded(a[0]) == folded(b[0]) and agree(a[1], b[1]) for a in mine for b in alike_in(other)
            )
            if other is study or are_equal or may_be_equal or is_anybodys(other):
                yield other

    def last_study(self, study: Study) -> DayOrReason:
        if not patients_of(study)[0][0]:
            return "patient_last_study: no patient"
        days = [self.study_date(other) for other in self.others_of(study)]
        unknown = [day for day in days if isinstance(day, str)]
        return "patient_last_study: " + unknown[0] if unknown else max(day for day in days if isinstance(day, date))

    def birth_date(self, study: Study) -> DayOrReason:
        born, made = only_day(study, "PatientBirthDate"), self.study_date(study)
        if isinstance(born, str) or isinstance(made, str):
            return f"birth date: {born if isinstance(born, str) else made}"
        if not patients_of(study)[0][0]:
            return "birth date: no patient, so nobody can tell which studies must agree"
        if born in self.no_births or born > made or made > (anniversary(born, 130) or date.max):
            return "birth date: cannot be"
        for value in (value for values in texts(study, "PatientAge") for value in values):
            told = AGE.fullmatch(value)
            if not told or abs(int(told[1]) - age(born, made, told[2].upper())) > 1:
                return "birth date: contradicts PatientAge, or that cannot be read"
        for other in self.others_of(study):
            for instance in other.instances:
                for value in instance.get("PatientBirthDate", ()):
                    text = seen(str(value))
                    day = as_day(text) if text.isdigit() and is_text(value) else None
                    if text and (day is None or day not in {*self.no_births, born}):
                        return "birth date: contradicts another study's, or that cannot be read"
        return born

    def holds_for(self, when: Mapping[str, Any], study: Study) -> AnswerOrReason:
        """Say whether all keys of a condition hold."""
        return every(self.holds_one(key, value, study) for key, value in when.items())

    def holds_one(self, key: str, value: Any, study: Study) -> AnswerOrReason:
        match key:
            case "all":
                return every(self.holds_for(when, study) for when in value)
            case "any":
                return opposite(every(opposite(self.holds_for(when, study)) for when in value))
            case "not":
                return opposite(self.holds_for(value, study))
            case "partition":
                return study.partition in value
            case "study_date_before" | "study_date_from":
                made, limit = self.study_date(study), as_day(value) or date.max
                return made if isinstance(made, str) else (made < limit) == key.endswith("before")
            case "description_words":
                return description_has(study, value)
            case "attribute":
                return every(has_value(study, keyword, values) for keyword, values in value.items())
            case _ if key in KEYWORDS:
                return has_value(study, KEYWORDS[key], value)
        born = self.birth_date(study)
        on = self.last_study(study) if key.startswith("age_at_last_study") else self.study_date(study)
        if isinstance(born, str) or isinstance(on, str):
            return born if isinstance(born, str) else str(on)
        return bool(age(born, on) < value) == key.endswith("below")

    def is_held_by(self, study: Study, line: Line) -> bool:
        """Say whether a line that has not ended matches any of the study's identifiers."""
        ended = as_day(line["released"])
        if ended and ended <= self.today and line["released_by"]:
            return False
        numbers = {folded(number) for values in texts(study, "AccessionNumber") for number in values}
        named = [name for name, issuer in patients_of(study) if name and agree(line["issuer"], issuer)]
        return (
            line["study_instance_uid"] == study.uid
            or (line["accession_number"] != "" and folded(line["accession_number"]) in numbers)
            or (line["patient_id"] != "" and folded(line["patient_id"]) in map(folded, named))
        )

    def listed_date(self, name: str, study: Study) -> DayOrReason | None:
        """Return the date that a list has for the patient of a study; None if it has none."""
        mine, issuer = patients_of(study)[0]  # a study of several is kept in any case
        if not mine:
            return "list: no patient, so it is unclear whose dates these are" if self.dates[name] else None
        alike = [line for line in self.dates[name] if folded(line["patient_id"]) == folded(mine)]
        lines = [line for line in alike if agree(line["issuer"], issuer)]
        if not lines:
            return None
        in_archive = {who for other in self.studies for who in patients_of(other) if folded(who[0]) == folded(mine)}
        spellings = {who[0] for who in in_archive}
        issuers = {who[1] for who in in_archive if who[0] == mine}
        issuers |= {issuer_of(line["issuer"]) for line in alike if line["patient_id"] == mine}
        if len(issuers - {""}) > 1 and not issuer:
            return "list: owner unclear, the study names no issuer of several"
        own = [line for line in lines if line["patient_id"] == mine]
        certain = [line for line in own if line["issuer"] or len(issuers - {""}) < 2]
        if own and not certain:
            return "list: owner unclear, the line names no issuer of several"
        if not own and (len({line["patient_id"] for line in alike}) > 1 or spellings != {mine}):
            return "list: owner unclear, several spellings in list or archive"
        # Beside a line that is certain, one counts as well that may be the patient's: it can only be later.
        counted = own + [line for line in lines if line["patient_id"] not in spellings]
        days = [as_day(line["date"]) or date.min for line in counted]
        are_possible = all(map(self.is_possible, days)) and ZERO_DAYS.isdisjoint(map(str, days))
        return max(days) if are_possible else "list: a date that cannot be"


def every(answers: Iterable[AnswerOrReason]) -> AnswerOrReason:
    """Say whether all hold: one that does not decides, and otherwise one of which nobody can tell."""
    found = list(answers)
    return False if False in found else next((answer for answer in found if answer is not True), True)


def opposite(answer: AnswerOrReason) -> AnswerOrReason:
    return answer if isinstance(answer, str) else not answer


def description_has(study: Study, rows: Sequence[str]) -> AnswerOrReason:
    """Say whether any description has one of some rows of words; they may go on from one value to the next."""
    joined = [" ".join(values) for values in readable(study, "StudyDescription")]
    if any(has_words(text, row) for text in joined for row in rows):
        return True
    return False if joined and all(joined) else "StudyDescription is missing"


def any_value(study: Study, keyword: str, is_meant: Any) -> AnswerOrReason:
    """Say whether any instance has a value that is meant; an instance without a value might have it."""
    of_each = list(readable(study, keyword))
    if any(is_meant(value) for values in of_each for value in values):
        return True
    return False if of_each and all(of_each) else f"{keyword} is missing"


def has_value(study: Study, keyword: str, named: Sequence[str]) -> AnswerOrReason:
    """Say whether any instance has one of these values, compared as numbers or as whole texts in any case."""
    form: Any = Decimal if keyword in NUMBERS else lambda text: seen(text).casefold()
    return any_value(study, keyword, lambda text: form(text) in map(form, named))


def has_words(text: str, row: str) -> bool:
    """Say whether a text has a row of words in it; a script without word breaks has no words, only characters."""
    if NO_WORD_BREAKS.search(row):
        return row.casefold().strip() in text.casefold()
    words, meant = (re.findall(r"[^\W_]+", part.casefold()) for part in (text, row))
    return any(words[at : at + len(meant)] == meant for at in range(len(words)))


def patients_of(study: Study) -> list[tuple[str, str]]:
    """Return whom the instances name, as id and issuer; both blank where an instance names nobody."""
    named = zip(texts(study, "PatientID"), issuers_of(study), strict=True)
    found = ((name, issuer) for names, issuers in named for name in names or [""] for issuer in issuers or [""])
    return sorted({(name, issuer_of(issuer) if name else "") for name, issuer in found})


def issuers_of(study: Study) -> Iterator[tuple[str, ...]]:
    """Yield the issuers that each instance names; one that is not text counts as none."""
    for instance, issuers in zip(study.instances, texts(study, "IssuerOfPatientID"), strict=True):
        yield issuers if all(map(is_text, instance.get("IssuerOfPatientID", ()))) else ()


def alike_in(study: Study) -> Iterator[tuple[str, str]]:
    """Yield the ids that can be read but are not written as text, as digits or parts, each with its issuer."""
    for instance, issuers in zip(study.instances, issuers_of(study), strict=True):
        for value in instance.get("PatientID", ()):
            if not is_text(value):
                whole = list(value.values()) if isinstance(value, dict) else [str(value).removesuffix(".0")]
                yield from ((part, issuer) for one in whole for part in one.split("\\") for issuer in issuers or [""])


def is_anybodys(study: Study) -> bool:
    """Say whether a study counts for every patient.

    A number with a fraction is no id, nor is a text that was not decoded, and 51 patients are too many.
    """
    values = [value for instance in study.instances for value in instance.get("PatientID", ())]
    unclear = (not is_decoded(str(value)) or (isinstance(value, float) and value % 1) for value in values)
    return any(unclear) or len(patients_of(study)) > 50


def is_text(value: Any) -> bool:
    return isinstance(value, str) and "\\" not in value and is_decoded(value)


def is_decoded(text: str) -> bool:
    return not {"\ufffd", "\x1b"} & set(text)


def folded(identifier: str) -> str:
    """Return an identifier without leading zeros and in small letters."""
    return seen(identifier).casefold().lstrip("0") or "0"


def agree(issuer: str, other: str) -> bool:
    return not seen(issuer) or not seen(other) or issuer_of(issuer) == issuer_of(other)


def issuer_of(text: str) -> str:
    folded = seen(text).casefold()
    return folded.lstrip("0") or folded[:1]


def read_list(content: bytes, columns: Sequence[str]) -> list[Line]:
    """Read a list; raise ValueError at the first mistake."""
    rows = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig").splitlines()
    separator = next((sign for sign in ",;\t" if rows and sign in rows[0]), ",")
    table = [cells for row in rows if any(cells := cells_of(row, separator))]
    header = [cell.lower() for cell in table.pop(0)] if table else []
    if not header or set(header) - set(columns):
        raise ValueError("its columns")
    if table and table[-1][0] == "#end":
        end = table.pop()
        if end[1:2] != [str(len(table))]:
            raise ValueError("#end does not count its lines")
    stray = {"patient_id", "accession_number"} if separator != "," else set()
    for row in rows:
        if any(
            name in stray and "," in plain for name, (_, plain) in zip(header, raw_cells(row, separator), strict=False)
        ):
            raise ValueError("a comma in an id")
    lines: list[Line] = [dict.fromkeys(columns, "") | dict(zip(header, cells, strict=False)) for cells in table]
    for line in lines:
        if any(JUNK.match(cell) or set(cell) & set(";\t") for cell in line.values()):
            raise ValueError("a cell of junk")
        if "date" in line and (not line["patient_id"] or as_day(line["date"]) is None):
            raise ValueError("a line without a patient, or without a day")
        day, name = line.get("released"), line.get("released_by")
        if (day and (as_day(day) or date.min) < FIRST_RELEASE) or (name and not is_name(name)):
            raise ValueError("a release that is none")
        if "date" not in line and not any(line[column] for column in HOLD_COLUMNS[:3]):
            raise ValueError("a line without an identifier")
    return lines


def is_name(text: str) -> bool:
    """Say whether a cell can be a name: it has a letter, and is not what exports write for nobody."""
    return text.casefold() not in NOBODY and any(map(str.isalpha, text))


def cells_of(row: str, separator: str) -> list[str]:
    """Return the cells of a line, those in quotation marks without them."""
    return [(quoted.replace('""', '"') or plain).strip() for quoted, plain in raw_cells(row, separator)]


def raw_cells(row: str, separator: str) -> list[tuple[str, str]]:
    """Return what each cell of a line has in quotation marks, and what it has without them."""
    return re.findall(rf'(?:^|{separator}) *(?:"((?:[^"]|"")*)" *|([^{separator}]*))(?={separator}|$)', row)
