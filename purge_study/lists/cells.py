"""What stands in a cell of a list: an identifier that can be trusted, or a date (pure)."""

from __future__ import annotations

import re
from datetime import date

# What spreadsheets make of long numbers (1.23E+10), of formulas that they do not compute, and of narrow columns.
_DAMAGED = re.compile(r"[+-]?\d+([.,]\d*)?E[+-]\d+|=.*|#+|#[A-Z0-9/]+[!?]|#N/A", re.IGNORECASE | re.ASCII)
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_LONGEST_UID = 64  # PS3.5 §9.1
_DATE = re.compile(r"\d{4}-\d\d-\d\d|\d{8}", re.ASCII)


def identifier_problem(text: str) -> str | None:
    """Say what is wrong with an identifier; None where nothing can be told."""
    if _DAMAGED.fullmatch(text) or text.startswith("'"):
        return "has been damaged by a spreadsheet"
    if set(text) & set(";\t"):
        return "has another separator in it than the first line"
    return None if text.isprintable() else "has a character that cannot be seen"


def uid_problem(text: str) -> str | None:
    """Say what is wrong with a UID; None for a good one."""
    return None if len(text) <= _LONGEST_UID and _UID.fullmatch(text) else "is no UID"


def read_date(text: str) -> date | None:
    """Read a date, `2026-03-05` or `20260305`; None where it is no day of the calendar."""
    if not _DATE.fullmatch(text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
