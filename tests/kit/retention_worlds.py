"""Small random archives for retention, each with a policy and its lists: most are in order, some have a mistake."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, TypeVar

from tests.kit.retention_oracle import Odd, Study, anniversary

T = TypeVar("T")
Table = dict[str, Any]

TODAYS = [date(2026, 3, 6), date(2026, 3, 1), date(2024, 2, 29), date(2025, 12, 31), date(2026, 1, 1)]
ZONES = ["UTC", "Europe/Paris", "America/New_York", "Pacific/Auckland"]
# Each row is one family of ids that a spreadsheet, or a person, makes look alike.
FAMILIES = [["0004711", "4711", "004711"], ["P1", "p1", "0P1"], ["MRN-a", "mrn-A", "00mrn-a"], ["Ä5", "ä5"]]
ISSUERS = ["", "", "", "", "St. Mary", "ST. MARY", "North", "0049", "49"]
PLACEHOLDERS = ["0001-01-01", "1800-01-01", "1900-01-01", "9999-12-31", "1895-11-07"]
DESCRIPTIONS = ["MR_KNEE left", "left-knee", "Knees", "head and neck", "teaching file", "head", "left knee 2"]
DESCRIPTIONS += [
    "塵肺 胸部",
    "胸部塵肺健診",
    "じん肺",
    "マンモグラフィー検診",
    "ตรวจปอดประจำปี",
]  # some scripts have no word breaks
WORDS = ["knee", "left knee", "Teaching", "head", "塵肺", "じん肺", "マンモグラフィー", "ปอด"]
KEEP_YEARS = [1, 2, 5, 5, 8, 10]
# What a cell must not be, and what is no mistake but ends no hold.
JUNK = ["#N/A", "#####", "*", "*deleted", "1.23E+10", "4711.0", "#REF!", '="0012"', "'0012"]
NO_RELEASE = ["", "soon", "2026-02-30", "1900-01-01", "0001-01-01", "9999-12-31", "2026-2-1"]


@dataclass(frozen=True)
class Sheet:
    """A list as text lines, the header first, and how it is written down."""

    lines: tuple[str, ...]
    encoding: str = "utf-8"
    newline: str = "\n"

    @property
    def content(self) -> bytes:
        return self.newline.join((*self.lines, "")).encode(self.encoding)


@dataclass(frozen=True)
class World:
    """An archive with all that it is judged by."""

    policy: Table
    sheets: Mapping[str, Sheet]
    studies: tuple[Study, ...]
    today: date

    @property
    def text(self) -> str:
        """The policy in TOML."""
        parts = []
        for key, value in self.policy.items():
            for table in value if isinstance(value, list) else [value]:
                parts.append(f"[[{key}]]" if isinstance(value, list) else f"[{key}]")
                parts += [f"{name} = {toml(entry)}" for name, entry in table.items()]
        return "\n".join([*parts, ""])

    @property
    def lists(self) -> dict[str, bytes]:
        return {name: sheet.content for name, sheet in self.sheets.items()}

    def __str__(self) -> str:
        parts = [f"today: {self.today}", self.text]
        parts += [f"{name} ({sheet.encoding}):\n" + "\n".join(sheet.lines) for name, sheet in self.sheets.items()]
        for study in self.studies:
            title = f"study {study.uid} in {study.partition}, received {study.received}"
            parts += [title + (", purged" if study.is_purged else ""), *map(str, study.instances)]
        return "\n".join(parts)


# Conditions that no study meets together, unless the first value is less than the second.
EMPTY_RANGES = (
    ("study_date_from", "study_date_before"),
    ("age_at_study_from", "age_at_study_below"),
    ("age_at_study_from", "age_at_last_study_below"),
    ("age_at_last_study_from", "age_at_last_study_below"),
)


def number_of(value: int | str) -> int:
    """Return an age, or a day in either form, as a number to compare."""
    return int(str(value).replace("-", ""))


def bounds(condition: Table, key: str) -> list[int]:
    """Return the values of a key in a condition and in the conditions of its `all`."""
    own = [number_of(condition[key])] if key in condition else []
    return own + [value for part in condition.get("all", []) for value in bounds(part, key)]


def is_empty_range(condition: Table) -> bool:
    """Say whether no study can be in all ranges of a condition and of its `all`."""
    ranges = ((bounds(condition, first), bounds(condition, end)) for first, end in EMPTY_RANGES)
    return any(firsts and ends and max(firsts) >= min(ends) for firsts, ends in ranges)


def toml(value: Any) -> str:
    """Return a value as TOML, a table inline."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(entry)}" for key, entry in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


class Maker:
    """Makes one world from a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._today = self._pick(TODAYS)

    def _pick(self, items: Sequence[T]) -> T:
        return self._random.choice(items)

    def _some(self, items: Sequence[T], most: int) -> list[T]:
        return self._random.sample(items, self._random.randint(1, min(most, len(items))))

    def _chance(self, share: float) -> bool:
        return self._random.random() < share

    def world(self) -> World:
        self._families = self._some(FAMILIES, 2)
        # What is wrong in this world goes wrong at a few places only, so that most studies can be told.
        self._flaw = self._pick([0, 0, 0.03, 0.1])
        self._has_junk = self._chance(0.1)
        self._births: dict[str, date] = {}
        self._patients = [self._patient() for _ in range(self._random.randint(1, 6))]
        studies = tuple(self._study(number) for number in range(self._random.randint(1, 8)))
        self._names = ["last seen", "death", "trial ended"][: self._pick([0, 0, 1, 1, 2, 3])]
        holds = ["litigation", "inquiry"][: self._pick([0, 0, 1, 2])]
        policy: Table = {"policy": self._head()}
        policy["rule"] = [self._rule(number) for number in range(self._pick([1, 1, 2, 2, 3, 4]))]
        policy["anchor"] = [{"name": n, "list": f"anchors/{n}.csv", "max_age_days": 7} for n in self._names]
        policy["hold"] = [{"name": n, "list": f"holds/{n}.csv"} for n in holds]
        policy["brakes"] = {"min_age_days": self._pick([0, 30, 30, 365])}
        sheets = {f"anchors/{name}.csv": self._dates() for name in self._names}
        sheets |= {f"holds/{name}.csv": self._holds(studies) for name in holds}
        return World({key: value for key, value in policy.items() if value}, sheets, studies, self._today)

    # ---- Studies ----

    def _patient(self) -> tuple[str, str, date]:
        patient_id = "" if self._chance(0.04) else self._pick(self._pick(self._families))
        born = self._near(-self._pick([3, 11, 18, 19, 26, 28, 30, 36, 40, 50, 70, 100]))
        if self._chance(0.9):
            born = self._births.setdefault(patient_id, born)
        return patient_id, self._pick(ISSUERS), born

    def _near(self, years: int) -> date:
        """A day some years before today, or next to that."""
        day = anniversary(self._today, years) or self._today
        return day + timedelta(days=self._pick([-400, -90, -30, -2, -1, 0, 1, 2, 60]))

    def _study(self, number: int) -> Study:
        patient_id, issuer, born = self._pick(self._patients)
        made = max(self._near(-self._pick([1, 2, 5, 8, 9, 10, 10, 11, 15, 16, 20, 25])), born)
        common: Table = {
            "PatientID": [self._padded(patient_id)],
            "IssuerOfPatientID": [issuer],
            "PatientBirthDate": [f"{born:%Y%m%d}"],
            "StudyDate": [f"{made:%Y%m%d}"],
            "AccessionNumber": [self._pick(["A1", "00A1", "a1", "B2", "77", "0077", "C3", "D4", "E5", "F6", "", ""])],
            "Modality": [self._pick(["CT", "CT", "MG", "RTDOSE"])],
            "StudyDescription": [self._pick(DESCRIPTIONS)],
            "InstitutionName": [self._pick(["North", "SOUTH", "South "])],
            "ReferringPhysicianName": [{"Alphabetic": "Doe^Jane", "Ideographic": self._pick(["山田", "田中"])}],
            "KVP": [self._pick([80, 120, 120.0])],
            "BodyPartExamined": [self._pick(["CHEST", "KNEE"])],
        }
        if self._chance(0.3):
            years = made.year - born.year - ((made.month, made.day) < (born.month, born.day))
            common["PatientAge"] = [f"{max(years, 0):03d}Y"]
        count = self._pick([14, 31, 60]) if self._chance(0.005) else self._pick([1, 1, 2, 3])
        instances = [self._instance(common, made) for _ in range(count)]
        if count > 30:
            instances = [{**of, "AccessionNumber": [f"N{n}"]} for n, of in enumerate(instances)]
        if count > 10 and self._chance(0.5):
            instances = [{**of, "PatientID": [f"N{n}"]} for n, of in enumerate(instances[1:])] + instances[:1]
        at = datetime.combine(made, time(self._pick([0, 5, 12, 23]), 30), UTC)
        received: datetime | None = at + timedelta(days=self._pick([0, 0, 0, 0, 1, 30, 800]))
        partition = self._pick(["Microsoft.Default", "Microsoft.Default", "university"])
        # A UID may be in two partitions; in one, it is one study.
        uid = (
            f"1.2.{number - number % 2}"
            if partition == ["Microsoft.Default", "university"][number % 2]
            else f"1.3.{number}"
        )
        is_purged = self._chance(0.05)
        return Study(uid, partition, tuple(instances), None if self._wrong() else received, is_purged)

    def _wrong(self) -> bool:
        return self._chance(self._flaw)

    def _padded(self, text: str) -> str:
        return f" {text} " if text and self._wrong() else text

    def _instance(self, common: Table, made: date) -> Table:
        """Return an instance of a study, with a flaw at times."""
        found = dict(common)
        if self._wrong():
            del found[self._pick(list(found))]
        if self._wrong():
            day = self._today + timedelta(days=self._pick([0, 1, 2, 400]))
            bad = [*PLACEHOLDERS, "19010101", "20110230", "2011", "2011.03.05", "2011-03-05", "", str(day), str(made)]
            found["StudyDate"] = [self._pick(bad).replace("-", "" if self._chance(0.8) else "-")]
        day = self._pick([self._near(-30), self._near(-12)])
        if self._wrong():
            day = self._pick([self._near(-30), self._near(-12), made + timedelta(days=30), date(1870, 1, 1)])
            found["PatientBirthDate"] = [
                self._pick([*PLACEHOLDERS, "1901-01-01", "1970-02-30", str(day), str(day)]).replace("-", "")
            ]
        if self._chance(self._flaw / 3):
            unread = [f"{day:%Y.%m.%d}", f"{day:%Y%m}00", f"{day:%Y}", "unknown", f"{day:%Y%m}\ufffd", str(day)]
            found["PatientBirthDate"] = [self._pick([*unread, Odd("LO", f"{day:%Y%m%d}"), Odd("DT", f"{day:%Y%m%d}")])]
        if self._wrong():
            found["PatientAge"] = [self._pick(["000Y", "012Y", "030Y", "006M", "010W", "003D", "12", "soon"])]
            if self._chance(0.5):
                found["PatientAge"] = [self._pick(["0Y", "12Y", "012y", "12 Y", "0012Y", "30Y", "030y", "6M", "012Y5"])]
        if self._chance(self._flaw / 3):
            keyword = self._pick(
                ["PatientID", "IssuerOfPatientID", "AccessionNumber", "PatientBirthDate", "PatientAge"]
            )
            found[keyword] = [self._pick([4711, 77.0, 20110230, "4711\\P1", {"Alphabetic": "4711"}, 12, 47.5])]
        if self._chance(self._flaw / 3):
            found["PatientID"] = [self._pick(self._pick(self._families))]
        if "PatientID" in found and self._chance(self._flaw / 3):
            found["PatientID"] = [self._in_another_form(found["PatientID"][0])]
        if self._chance(self._flaw / 3):
            found["IssuerOfPatientID"] = [self._pick(ISSUERS)]
        if self._wrong():
            found["Modality"] = [self._pick(["MG", "", "RTPLAN"])]
        if self._wrong():
            found["StudyDescription"] = [self._pick([*DESCRIPTIONS, ""])]
            if self._chance(0.3):
                found["StudyDescription"] = self._pick([["MR left", "knee"], ["knee", "left"], ["teaching", "file"]])
        for keyword in list(found):
            if self._chance(self._flaw / 6):
                found[keyword] = [self._unclear(found[keyword][0])]
        return found

    def _unclear(self, value: Any) -> Any:
        """What metadata have of a value that was not decoded, has another VR, or has characters that nobody sees."""
        text = str(value)
        odd = [f"{text}\ufffd", f"\x1b$B{text}", f"{text}\\x", Odd("UT", text), Odd("UT", f"x\\{text}"), 120, 47.5]
        return self._pick([*odd, {"Alphabetic": f"{text}\ufffd"}, f"{text}\u3164", f"{text}\u200b", "\u2800", "\u200b"])

    def _in_another_form(self, patient_id: Any) -> Any:
        """What metadata have of an id that a file has in another VR."""
        text = str(patient_id).strip()
        if text.isdigit():
            return self._pick([int(text), float(text), 47.5])
        return self._pick([f"{text}\\x", {"Alphabetic": text}, 47.5])

    # ---- The policy ----

    def _head(self) -> Table:
        head: Table = {"time_zone": self._pick(ZONES)}
        if self._chance(0.3):
            head["placeholder_birth_dates"] = ["19010101"]
        if self._chance(0.2):
            head["received_counts_from"] = self._day(self._near(-self._pick([2, 8, 10])))
        return head

    def _day(self, day: date) -> str:
        return str(day) if self._chance(0.5) else f"{day:%Y%m%d}"

    def _rule(self, number: int) -> Table:
        rule: Table = {"name": f"rule {number}"}
        if self._chance(0.2 if number == 0 else 0.8):
            rule["when"] = self._when(2)
        kind = self._random.random()
        if kind < 0.02:
            return {**rule, "keep_forever": True}
        if kind < 0.2:
            rule["keep_until_age"] = self._pick([18, 20, 25, 28])
        else:
            rule["keep_years"] = self._pick([*KEEP_YEARS, *KEEP_YEARS, *KEEP_YEARS, *KEEP_YEARS, 9999])
            if self._chance(0.5):
                # A list in `from` knows few patients.
                names = self._some(["study_date", "received", "patient_last_study"], 3)
                rule["from"] = names + (self._some(self._names, 1) if self._names and self._chance(0.3) else [])
            if self._names and self._chance(0.5):
                rest = [name for name in self._names if name not in rule.get("from", [])]
                rule["from_if_known"] = self._some(rest, 2) if rest else []
        if self._chance(0.2):
            rule["round_to"] = "year_end"
        return rule

    def _when(self, depth: int) -> Table:
        choices: Table = {
            "modality": lambda: self._some(["CT", "mg", "RTDOSE", "US"], 2),
            "study_date_before": lambda: self._day(self._near(-self._pick([5, 10]))),
            "study_date_from": lambda: self._day(self._near(-self._pick([5, 10]))),
            "age_at_study_below": lambda: self._pick([2, 10, 18]),
            "age_at_study_from": lambda: self._pick([10, 18]),
            "age_at_last_study_below": lambda: self._pick([10, 18]),
            "age_at_last_study_from": lambda: self._pick([10, 18]),
            "description_words": lambda: self._some(WORDS, 2),
            "institution": lambda: self._some(["north", "South", "West"], 2),
            "referring_physician": lambda: self._some(["Doe^Jane", "山田", "Roe^Jim"], 1),
            "partition": lambda: self._some(["Microsoft.Default", "university"], 1),
            "attribute": lambda: self._pick(
                [{"KVP": ["120"]}, {"KVP": ["80.0"]}, {"BodyPartExamined": ["chest"], "KVP": ["80"]}]
            ),
        }
        if depth:
            choices["all"] = choices["any"] = lambda: [self._when(depth - 1) for _ in range(self._random.randint(1, 2))]
            choices["not"] = lambda: self._when(depth - 1)
        names = [*choices, "description_words", "age_at_study_below"]
        found = {key: choices[key]() for key in self._some(names, 2)}
        # A policy with an empty range is refused.
        if is_empty_range({"all": found.get("all", [])}):
            found["all"] = found["all"][:1]
        if is_empty_range(found) and len(found) > 1 and "all" in found:
            del found["all"]
        for first, end in EMPTY_RANGES:
            if first in found and end in found and number_of(found[first]) >= number_of(found[end]):
                del found[first]
        return found

    # ---- Lists ----

    def _id(self) -> tuple[str, str]:
        """Whom a line names: a patient of the archive, at times in another spelling or with another issuer."""
        patient_id, issuer, _ = self._pick(self._patients)
        if self._chance(0.25) or not patient_id:
            patient_id = self._pick(self._pick(self._families))
        return patient_id, self._pick(ISSUERS) if self._chance(0.2) else self._pick(["", issuer])

    def _dates(self) -> Sheet:
        rows = []
        for _ in range(self._random.randint(0, 6)):
            patient_id, issuer = self._id()
            day = self._day(self._near(-self._pick([1, 2, 5, 8, 10, 12, 16])))
            if self._chance(0.06):
                future = self._today + timedelta(days=self._pick([0, 1, 2, 500]))
                day = self._pick([*PLACEHOLDERS, str(future), "19010101"])
            if self._chance(self._flaw / 6):
                day = self._pick(["", "soon", "2011-02-30", "5.3.2016"])
            rows.append({"patient_id": patient_id, "issuer": issuer, "date": day})
        return self._sheet(["patient_id", "issuer", "date"], rows)

    def _holds(self, studies: Sequence[Study]) -> Sheet:
        columns = ["study_instance_uid", "accession_number", "patient_id", "issuer", "released", "released_by"]
        rows = []
        for _ in range(self._pick([0, 1, 1, 2, 3])):
            row = dict.fromkeys(columns, "")
            if self._chance(0.4):
                row["study_instance_uid"] = self._pick([studies[0].uid, studies[-1].uid, "1.2.97", "1.2.98", "1.2.99"])
            if self._chance(0.3):
                row["accession_number"] = self._pick(["A1", "0B2", "c3", "77", "Z9", "Z8"])
            if self._chance(0.25) or not any(row.values()):
                row["patient_id"], row["issuer"] = self._id()
            if self._chance(0.75):
                row["released"] = self._day(self._today - timedelta(days=self._pick([-30, -1, 0, 1, 30, 400, 400])))
                row["released_by"] = "C. Counsel"
            if row["released"] and self._chance(0.15):
                row[self._pick(["released", "released_by"])] = self._pick(["", *NO_RELEASE])
            if row["released"] and self._has_junk and self._chance(0.3):
                row[self._pick(["released", "released_by"])] = self._pick(JUNK)
            if self._chance(self._flaw / 10):
                row.update(study_instance_uid="", accession_number="", patient_id="")
            rows.append(row)
        return self._sheet(columns, rows)

    def _sheet(self, columns: Sequence[str], rows: Sequence[dict[str, str]]) -> Sheet:
        """Return a list as a person, a spreadsheet or an export writes it."""
        separator = self._pick([",", ",", ";", "\t"])
        order = self._random.sample(columns, len(columns))
        header = [self._pick([column, column, column.upper()]) for column in order]
        if self._chance(self._flaw / 10):
            header.append("remarks")
        lines = []
        for row in rows:
            if self._chance(self._flaw / 6):
                row[self._pick(columns)] = self._pick(JUNK)
            cells = [row[column] for column in order]
            lines.append(separator.join(map(self._cell, cells)))
        if self._chance(self._flaw / 6):
            lines.append(separator.join(['"1;2"'] * len(columns)))
        if self._chance(self._flaw / 6):
            lines.append("#end")
            lines.append(lines[0])
        filled = len([line for line in lines if line.strip(f'{separator}" ')])
        if self._chance(0.2):
            lines.insert(self._random.randint(0, len(lines)), self._pick(["", separator * (len(columns) - 1)]))
        if self._chance(0.3):
            lines.append(f"#end{separator}{filled + (1 if self._wrong() else 0)}")
        encoding, newline = self._pick(["utf-8", "utf-8", "utf-8-sig", "utf-16"]), self._pick(["\n", "\r\n"])
        return Sheet((separator.join(header), *lines), encoding, newline)

    def _cell(self, text: str) -> str:
        doubled = text.replace('"', '""')
        return f'"{doubled}"' if self._chance(0.1) else self._padded(text)


def smaller(world: World) -> list[World]:
    """Return worlds that lack one part of a world: what a failing one is made smaller by."""
    found = [replace(world, studies=world.studies[:at] + world.studies[at + 1 :]) for at in range(len(world.studies))]
    for name, sheet in world.sheets.items():
        for at in range(1, len(sheet.lines)):
            fewer = replace(sheet, lines=sheet.lines[:at] + sheet.lines[at + 1 :])
            found.append(replace(world, sheets={**world.sheets, name: fewer}))
    for key, value in world.policy.items():
        if isinstance(value, list):
            for at, table in enumerate(value):
                found.append(_with(world, key, value[:at] + value[at + 1 :]))
                for entry in table:
                    found.append(_with(world, key, [*value[:at], _without(table, entry), *value[at + 1 :]]))
        else:
            found += [_with(world, key, _without(value, entry)) for entry in value]
    for at, study in enumerate(world.studies):
        for instances in _fewer(study.instances):
            made = replace(study, instances=instances)
            found.append(replace(world, studies=(*world.studies[:at], made, *world.studies[at + 1 :])))
    return found


def _fewer(instances: tuple[Mapping[str, Any], ...]) -> list[tuple[Mapping[str, Any], ...]]:
    found = [instances[:at] + instances[at + 1 :] for at in range(len(instances)) if len(instances) > 1]
    for keyword in sorted({keyword for instance in instances for keyword in instance}):
        found.append(tuple(_without(dict(instance), keyword) for instance in instances))
    return found


def _without(table: Table, key: str) -> Table:
    return {name: value for name, value in table.items() if name != key}


def _with(world: World, key: str, value: Any) -> World:
    used = {**world.policy, key: value}
    lists = {table["list"] for kind in ("anchor", "hold") for table in used.get(kind, ()) if "list" in table}
    return replace(world, policy=used, sheets={name: sheet for name, sheet in world.sheets.items() if name in lists})
