"""The value rules of each VR (PS3.5 §6.2), as the service applies them to every element of a dataset.

What breaks a rule is named by a reason that does not quote the value.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable

from local.dicom_service.instances import uids

_CONTROL = re.compile(r"[\x00-\x1a\x1c-\x1f\x7f]")  # all but ESC, which switches character sets
_CONTROL_IN_TEXT = re.compile(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")  # text may have tabs and line breaks too
_DECIMAL = re.compile(r" *[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)? *", re.ASCII)
_INTEGER = re.compile(r" *[+-]?\d+ *", re.ASCII)
_TIME = re.compile(r"([01]\d|2[0-3])([0-5]\d(([0-5]\d|60)(\.\d{1,6})?)?)?", re.ASCII)
_DATE_TIME = re.compile(
    r"\d{4}((0[1-9]|1[0-2])((0[1-9]|[12]\d|3[01])(([01]\d|2[0-3])([0-5]\d(([0-5]\d|60)(\.\d{1,6})?)?)?)?)?)?"
    r"([+-][01]\d[0-5]\d)?",
    re.ASCII,
)
_BYTES_EACH = {"US": 2, "SS": 2, "UL": 4, "SL": 4, "UV": 8, "SV": 8, "FL": 4, "FD": 8, "AT": 4}

Rule = Callable[[str], "str | None"]


def broken_rule(vr: str, values: list[str]) -> str | None:
    """Return why one of the (unpadded) string values breaks the rules of its VR, or None."""
    rule = _RULES.get(vr)
    if rule is None:
        return None
    return next((reason for value in values if value and (reason := rule(value))), None)


def broken_length(vr: str, length_bytes: int) -> str | None:
    """Return why a binary value of this length cannot be of its VR, or None."""
    each = _BYTES_EACH.get(vr)
    if each is None or length_bytes % each == 0:
        return None
    return f"the length is not a multiple of {each} bytes"


def is_date(value: str) -> bool:
    """Tell whether the value is a DA of the form yyyyMMdd and a real date."""
    if re.fullmatch(r"\d{8}", value, re.ASCII) is None:
        return False
    try:
        datetime.date(int(value[:4]), int(value[4:6]), int(value[6:]))
    except ValueError:
        return False
    return True


def _text(longest: int | None, control: re.Pattern[str]) -> Rule:
    def rule(value: str) -> str | None:
        if longest is not None and len(value) > longest:
            return f"the value is longer than {longest} characters"
        return "the value holds a control character" if control.search(value) else None

    return rule


def _pattern(pattern: str | re.Pattern[str], expected: str, longest: int = 64) -> Rule:
    compiled = re.compile(pattern)

    def rule(value: str) -> str | None:
        return None if len(value) <= longest and compiled.fullmatch(value) else f"the value is not {expected}"

    return rule


def _date(value: str) -> str | None:
    return None if is_date(value) else "the value is not a date of the form yyyyMMdd"


def _integer(value: str) -> str | None:
    if len(value) <= 12 and _INTEGER.fullmatch(value) and -(2**31) <= int(value) < 2**31:
        return None
    return "the value is not an integer string"


def _uid(value: str) -> str | None:
    return None if uids.is_valid(value) else "the value is not a valid UID"


def _person_name(value: str) -> str | None:
    groups = value.split("=")
    if len(groups) > 3:
        return "the name has more than three component groups"
    if any(len(group) > 64 for group in groups):
        return "a component group is longer than 64 characters"
    if any(group.count("^") > 4 for group in groups):
        return "a component group has more than five components"
    return "the value holds a control character" if _CONTROL.search(value) else None


_RULES: dict[str, Rule] = {
    "AE": _pattern(r"[\x20-\x5b\x5d-\x7e]*", "an application entity title", 16),
    "AS": _pattern(r"[0-9]{3}[DWMY]", "an age string"),
    "CS": _pattern(r"[A-Z0-9_ ]*", "a code string", 16),
    "DA": _date,
    "DS": _pattern(_DECIMAL, "a decimal string", 16),
    "DT": _pattern(_DATE_TIME, "a date and time"),
    "IS": _integer,
    "LO": _text(64, _CONTROL),
    "LT": _text(10240, _CONTROL_IN_TEXT),
    "PN": _person_name,
    "SH": _text(16, _CONTROL),
    "ST": _text(1024, _CONTROL_IN_TEXT),
    "TM": _pattern(_TIME, "a time"),
    "UC": _text(None, _CONTROL),
    "UI": _uid,
    "UR": _text(None, _CONTROL),
    "UT": _text(None, _CONTROL_IN_TEXT),
}
