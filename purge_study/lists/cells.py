"""What stands in a cell of a list: an identifier that can be trusted, a date, or a person's name (pure).

Each check says what is wrong with a cell and what to do about it, never what stands in it.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Final

# What spreadsheets make of long numbers (1.23E+10), of formulas that they do not compute, and of narrow columns.
_DAMAGED = re.compile(r"[+-]?\d+([.,]\d*)?E[+-]\d+|=.*|#+|#[A-Z0-9/]+[!?]|#N/A|'.*", re.IGNORECASE | re.ASCII)
# Also with signs between the thousands: 4,711.00
_WITH_DECIMALS = re.compile(r"-?[0-9]+([., '\u2019][0-9]{3})*[.,]0+")
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_LONGEST_UID = 64  # PS3.5 §9.1
_DATE = re.compile(r"\d{4}-\d\d-\d\d|\d{8}", re.ASCII)
# DICOM's first year: no hold on its studies ended before. Systems write older days, such as 1900-01-01 and
# 1970-01-01, where they know none.
_FIRST_RELEASE: Final = date(1993, 1, 1)
# What exports and people write where there is no name, in small letters. A cell of such words alone names no person.
_NO_NAMES: Final = frozenset(
    (
        "a",
        "applicable",
        "available",
        "be",
        "confirmed",
        "determined",
        "falsch",
        "false",
        "falso",
        "faux",
        "given",
        "in",
        "ja",
        "n",
        "na",
        "nan",
        "nein",
        "nil",
        "no",
        "non",
        "none",
        "null",
        "ok",
        "onwaar",
        "open",
        "oui",
        "personne",
        "progress",
        "released",
        "si",
        "to",
        "true",
        "undefined",
        "verdadero",
        "vero",
        "vrai",
        "waar",
        "wahr",
        "x",
        "y",
        "yes",
    )
)
# A cell with one of these words does not either: "not yet released", "pending approval by the court".
_NOT_YET: Final = frozenset(
    (
        "attente",
        "ausstehend",
        "awaiting",
        "desconocido",
        "inconnu",
        "nadie",
        "nessuno",
        "niemand",
        "nobody",
        "noch",
        "not",
        "offen",
        "onbekend",
        "pending",
        "tba",
        "tbc",
        "tbd",
        "unbekannt",
        "undetermined",
        "unknown",
        "yet",
    )
)
STRAY_COMMA: Final = (
    "has a comma, which does not separate the cells here: remove it, or put the cell in quotation marks"
)
_EXPORT_AGAIN: Final = "format the column as text and export the list again"


def identifier_problem(text: str) -> str | None:
    """Say what is wrong with an identifier; None where nothing can be told."""
    if _DAMAGED.fullmatch(text):
        return f"was damaged by a spreadsheet: {_EXPORT_AGAIN}"
    if _WITH_DECIMALS.fullmatch(text):
        return f"is a number that a spreadsheet wrote with decimals: {_EXPORT_AGAIN}"
    if text.startswith(("#", "*")):
        return "begins with # or *: a list has no comments and no wildcards; write the whole value, one line for each"
    if "\ufffd" in text:
        return (
            "has the character U+FFFD, which an export writes for a letter that it does not know: "
            "export the list again in UTF-8"
        )
    if set(text) & set(";\t"):
        return "has another separator in it than the first line: save the file with one separator"
    return None if text.isprintable() else "has a character that cannot be seen: remove it"


def uid_problem(text: str) -> str | None:
    """Say what is wrong with a UID; None for a good one."""
    if problem := identifier_problem(text):
        return problem
    return None if len(text) <= _LONGEST_UID and _UID.fullmatch(text) else "is not a UID"


def release_problem(text: str) -> str | None:
    """Say what is wrong with the day on which a hold ended; None for a day that can be, one to come included."""
    day = read_date(text)
    if day is None or day < _FIRST_RELEASE:
        return "is not a date after 1992: write a day such as 2026-02-11, or leave the cell blank"
    return None


def name_problem(text: str) -> str | None:
    """Say what is wrong with a person's name; None where nothing can be told."""
    if problem := identifier_problem(text):
        return problem
    words = set(re.findall(r"[^\W\d_]+", text.casefold()))
    is_no_name = words <= _NO_NAMES | _NOT_YET or not words.isdisjoint(_NOT_YET)
    # Days are written in many ways: 11-Feb-26, February 11 2026.
    may_be_day = text[:1].isdigit() or len(re.findall(r"\d+", text)) > 1
    if may_be_day or text.startswith(("+", "-", "@")) or is_no_name:
        return "names no person: write who released the hold, or leave the cell blank"
    return None


def read_date(text: str) -> date | None:
    """Read a date, `2026-03-05` or `20260305`; None where it is no day of the calendar."""
    if not _DATE.fullmatch(text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
