"""From the file to the policy, or to all that is wrong with it."""

from __future__ import annotations

import codecs
import re
import tomllib
from typing import Any, Final

from pydantic import ValidationError

from .error_words import in_words
from .mistakes import mistakes
from .model import Policy

MOST_BYTES: Final = 64 * 1024
TOO_LARGE: Final = f"it has more than {MOST_BYTES // 1024} KiB: shorten it, for example by taking out comments"
_DEEPEST = 16
# The time and memory that tomllib takes grow with the square of a key's dots.
_MOST_DOTS: Final = 16
# Strings and comments as tomllib ends them, and what ends a key. Nothing is tried twice: linear time.
_TOKEN = re.compile(
    r'''
    \#[^\n]*+
    | """(?:[^"\\]|\\.|"(?!""))*(?:"{3,5}+)?
    | \'{3}(?:[^']|'(?!''))*(?:'{3,5}+)?
    | "(?:[^"\\\n]|\\[^\n])*"?
    | '[^'\n]*+'?
    | (?P<end>[\[\]{}=,\n])
    | (?P<dot>\.)
    ''',
    re.DOTALL | re.VERBOSE,
)
_MOST_PROBLEMS: Final = 50
_TOO_DEEP: Final = "its tables are nested too deeply: write conditions with fewer levels"
_TWICE: Final = "{what} is written twice: keep one of them"
# By the beginnings of tomllib's messages, which may have parts of the file in them.
_TOML_IN_WORDS: Final = {
    "Cannot overwrite a value": _TWICE,
    "Cannot declare": _TWICE,
    "Cannot mutate": _TWICE,
    "Duplicate inline table key": _TWICE,
    "Invalid date or datetime": "this is not a day of the calendar",
    "Invalid value": "this is not a value of TOML: write texts in straight quotation marks, days as 2026-01-31",
    "Unterminated string": "a text does not end: close its quotation marks",
    "Illegal character": "a text does not end on its line, or has a character that cannot be seen",
}
_NO_TOML: Final = "see whether a quotation mark, a bracket or an equals sign is missing there, or is too much"


class PolicyError(Exception):
    """The policy has mistakes: each mistake with its place, such as `rule 2, keep_years: …`; never a value.

    Of very many mistakes the first are told, and how many more there are.
    """

    def __init__(self, problems: list[str]) -> None:
        more = len(problems) - _MOST_PROBLEMS
        self.problems = problems if more <= 0 else [*problems[:_MOST_PROBLEMS], f"and {more:,} more"]
        super().__init__("the retention policy needs attention: " + "; ".join(self.problems))


def read_policy(content: bytes) -> Policy:
    """Read a policy.

    Args:
        content: TOML in UTF-8, with a byte order mark or without.

    Raises:
        PolicyError: something in it is wrong: all that is.
    """
    tables = _read_toml(content)
    try:
        policy = Policy.model_validate(tables)
    except ValidationError as error:
        found = in_words(error.errors(include_url=False, include_input=False))
        raise PolicyError([*found, *mistakes(tables)]) from None
    if problems := list(mistakes(tables)):
        raise PolicyError(problems)
    return policy


def _read_toml(content: bytes) -> dict[str, Any]:
    if len(content) > MOST_BYTES:
        raise PolicyError([TOO_LARGE])
    text = _text(content)
    _check_dots(text)
    try:
        tables = tomllib.loads(text)
    except RecursionError:
        raise PolicyError([_TOO_DEEP]) from None
    except ValueError as error:  # TOMLDecodeError is one; a number of thousands of digits is another
        raise PolicyError([_of_toml(text, str(error))]) from None
    if _is_deeper(tables, _DEEPEST):
        raise PolicyError([_TOO_DEEP])
    return tables


def _text(content: bytes) -> str:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in content:
        raise PolicyError(["it is UTF-16, or not text: save the file as UTF-8"])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise PolicyError(["it is not UTF-8: save the file as UTF-8"]) from None


def _check_dots(text: str) -> None:
    """Refuse a key with too many dots before it is read; numbers and times have one at most."""
    dots, line = 0, 1
    for token in _TOKEN.finditer(text):
        if token["end"]:
            dots = 0
        elif token["dot"]:
            dots += 1
            if dots > _MOST_DOTS:
                remedy = "write its tables with heads of their own, such as [rule.when]"
                raise PolicyError([f"line {line}: a key has more than {_MOST_DOTS} dots: {remedy}"])
        line += token[0].count("\n")


def _of_toml(text: str, message: str) -> str:
    """Say why a text is not TOML, and where."""
    found = re.search(r"\(at (?:line (\d+), column \d+|end of document)\)$", message)
    lines = text.splitlines() or [""]
    line = lines[int(found[1]) - 1 : int(found[1])] if found and found[1] else lines[-1:]
    why = next((why for beginning, why in _TOML_IN_WORDS.items() if message.startswith(beginning)), _NO_TOML)
    return f"it is not TOML{f' {found[0]}' if found else ''}: {why.format(what=_written_in(''.join(line)))}"


def _written_in(line: str) -> str:
    """Say what a line of TOML writes: a key, or the head of a table; its name only if it looks like one."""
    if found := re.match(r"\s*(\[{1,2}) *([\w.-]{1,64}) *\]", line):
        return f"the table {found[2]}, perhaps once in single and once in double brackets,"
    found = re.match(r"\s*([\w.-]{1,64})\s*=", line)
    return f"the key {found[1]}" if found else "a key"


def _is_deeper(value: object, levels: int) -> bool:
    """Say whether tables and arrays are nested more than some levels deep."""
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(part, levels - 1) for part in inner)
