"""From the file to the policy, or to all that is wrong with it."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from pydantic import ValidationError

from .mistakes import mistakes
from .model import Policy

_DEEPEST = 16
_IN_WORDS = {
    "extra_forbidden": "there is no such entry",
    "missing": "it is missing",
    "too_short": "it is empty",
    "tuple_type": "it must be an array",
}


class PolicyError(Exception):
    """The policy is no good: each mistake with its place, such as `rule 2, keep_years: …`; never a value."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("the retention policy needs attention: " + "; ".join(problems))
        self.problems = problems


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
        raise PolicyError([*_problems(error), *mistakes(tables)]) from None
    if problems := list(mistakes(tables)):
        raise PolicyError(problems)
    return policy


def _read_toml(content: bytes) -> dict[str, Any]:
    try:
        tables = tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise PolicyError(["it is not UTF-8"]) from None
    except RecursionError:
        raise PolicyError(["its tables are nested too deeply"]) from None
    except ValueError as error:  # TOMLDecodeError is one; a number of thousands of digits is another
        raise PolicyError([f"it is no TOML{_where(error)}"]) from None
    if _is_deeper(tables, _DEEPEST):
        raise PolicyError(["its tables are nested too deeply"])
    return tables


def _where(error: ValueError) -> str:
    found = re.search(r"\((at line \d+, column \d+|at end of document)\)$", str(error))
    return f" ({found[1]})" if found else ""


def _is_deeper(value: object, levels: int) -> bool:
    """Say whether tables and arrays are nested more than some levels deep."""
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(part, levels - 1) for part in inner)


def _problems(error: ValidationError) -> list[str]:
    errors = error.errors(include_url=False, include_input=False, include_context=False)
    around = {problem["loc"][:depth] for problem in errors for depth in range(len(problem["loc"]))}
    return [
        f"{_place(problem['loc'])}: {_IN_WORDS.get(problem['type'], problem['msg'].removeprefix('Value error, '))}"
        for problem in errors
        # An array is called empty, too, whose items are all wrong.
        if problem["type"] != "too_short" or problem["loc"] not in around
    ]


def _place(location: tuple[int | str, ...]) -> str:
    """Say where in the file: `rule 2, when, modality 1`; the first of several is number 1."""
    place = ""
    for part in location:
        if isinstance(part, int):
            place += f" {part + 1}"
        elif part != "[key]":
            place += (", " if place else "") + (part if re.fullmatch(r"[\w-]{1,64}", part) else "…")
    return place
