"""What may stand in a search as an attribute's value, by its VR (PS3.5 §6.2, PS3.4 §C.2.2.2); pure."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from .wildcards import MOST_CHARACTERS, has_wildcard, matches_all
from .wildcards import VRS as WILDCARD_VRS

MAX_VALUES: Final = 100

# Several may be named at once, separated by commas or backslashes.
LISTED_VRS: Final = frozenset({"UI", "CS"})
_RANGED_VRS = frozenset({"DA", "DT", "TM"})

_SEPARATOR = re.compile(r"[,\\]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

_INTEGER = r"[+-]?[0-9]{1,18}"
_NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_TIME = r"(?:[01][0-9]|2[0-3])(?:[0-5][0-9](?:(?:[0-5][0-9]|60)(?:\.[0-9]{1,6})?)?)?"
# VR → what a value looks like, what it is called. The Azure service takes no offset from UTC in a DT.
_FORMS: Final[dict[str, tuple[str, str]]] = {
    "UI": (r"[0-9.]{0,63}[0-9]", "a UID: digits and dots, ending in a digit, at most 64 characters"),
    "DA": (r"[0-9]{8}", "a date, YYYYMMDD"),
    "TM": (_TIME, "a time, HHMMSS.FFFFFF or its beginning"),
    "DT": (rf"[0-9]{{4}}(?:[0-9]{{2}}|[0-9]{{4}}(?:{_TIME})?)?", "a date and time, YYYYMMDDHHMMSS or its beginning"),
    "AS": (r"[0-9]{3}[DWMY]", "an age, such as 045Y"),
    **dict.fromkeys(("IS", "SL", "SS", "SV", "UL", "US", "UV"), (_INTEGER, "a whole number")),
    **dict.fromkeys(("DS", "FD", "FL"), (_NUMBER, "a number")),
}


def listed(vr: str, text: str) -> list[str]:
    """Return the values that a text names, each once; blanks around one in a list do not matter (PS3.5 §6.2)."""
    return list(dict.fromkeys(one.strip(" ") for one in _SEPARATOR.split(text))) if vr in LISTED_VRS else [text]


def fault_of(vr: str, text: str, *, fuzzy: bool) -> str | None:
    """Return what is wrong with a value and what is allowed, in words for the caller that do not hold it, or None.

    Args:
        vr: of its attribute; empty where nobody knows.
        text: what was asked for.
        fuzzy: with fuzzymatching=true.
    """
    if (fault := fault_of_text(text)) is not None or matches_all(text):
        return fault
    values = listed(vr, text)
    if len(values) > MAX_VALUES:
        return f"At most {MAX_VALUES} values can be named at once."
    faults = [_fault_of_form(vr, value) if vr in _FORMS else _fault_of_words(vr, value, fuzzy) for value in values]
    return next(filter(None, faults), None)


def fault_of_text(text: str) -> str | None:
    """Return what is wrong with any parameter's value, in words for the caller that do not hold it, or None."""
    if not text.replace("\0", " ").strip():
        return "It has no value; leave it out to search whatever its value."
    if _CONTROL.search(text):
        return "Control characters are not allowed."
    if "<" in text:
        return "The DICOM service takes no < in a search."
    return None


def _fault_of_words(vr: str, text: str, fuzzy: bool) -> str | None:
    if not text.strip():
        return "A list must not have an empty value."
    if "\\" in text and vr:
        return "Only one value can be searched for."
    if has_wildcard(text) and vr and vr not in WILDCARD_VRS:
        return f"Wildcards are not allowed in values of VR {vr}."
    if has_wildcard(text) and len(text) > MOST_CHARACTERS:
        return f"A value with wildcards has at most {MOST_CHARACTERS} characters."
    if vr == "PN" and fuzzy and '"' in text:
        return 'With fuzzymatching=true a " is not allowed.'
    if vr == "PN" and fuzzy and not has_wildcard(text) and not any(map(str.isalnum, text)):
        return "With fuzzymatching=true a name needs a letter or digit."
    return None


def _fault_of_form(vr: str, text: str) -> str | None:
    form, name = _FORMS[vr]
    if vr not in _RANGED_VRS:
        return None if re.fullmatch(form, text, re.ASCII) else f"It must be {name}."
    ends = text.split("-")
    given = [end for end in ends if end]
    if len(ends) > 2 or not given or not all(_is_moment(vr, form, end) for end in given):
        return f"It must be {name}; or a range of two, A-B, A- or -B."
    return None if given == sorted(given) else "The range must begin with the earlier one."


def _is_moment(vr: str, form: str, text: str) -> bool:
    if not re.fullmatch(form, text, re.ASCII):
        return False
    if vr == "TM":
        return True
    day = text[:8] + "0101"[len(text[:8]) - 4 :] if len(text) < 8 else text[:8]
    try:
        return bool(datetime.strptime(day, "%Y%m%d"))
    except ValueError:
        return False
