"""Values of KQL with their types: what they come to for a row, and what there is to do with them."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

Row = Mapping[str, Any]

COMPARISONS: Final = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)  # that `bin` counts from


class NotKnown(Exception):
    """The query has something that is not known here, or that is refused there."""


@dataclass(frozen=True)
class Value:
    """What has a value for each row.

    Args:
        type: in KQL's words.
        of: what it is for a row; None is null, which strings do not know.
    """

    type: str
    of: Callable[[Row], Any]


def literal(kind: str, text: str) -> Value:
    """Return what stands in the query itself."""
    values: dict[str, Callable[[], object]] = {
        "string": lambda: text,
        "int": lambda: int(text),
        "timespan": lambda: timedelta(**{_UNITS[text[-1]]: int(text[:-1])}),
    }
    if kind == "word" and text in ("true", "false"):
        kind, values = "bool", {"bool": lambda: text == "true"}
    if kind not in values:
        raise NotKnown(f"{text or kind} where there should be a value")
    value = values[kind]()
    return Value(kind, lambda row: value)


def as_condition(value: Value) -> Value:
    """Return a value, which has to be a condition."""
    if value.type != "bool":
        raise NotKnown(f"{value.type} where there should be a condition")
    return value


def joined(word: str, values: Sequence[bool | None]) -> bool | None:
    """Join conditions by `and` or `or`; what is null could be either."""
    decisive = word == "or"
    if decisive in values:
        return decisive
    return None if None in values else not decisive


def _on(values: Sequence[Value], make: Callable[..., object]) -> Callable[[Row], Any]:
    """Return what makes something of values, and null of null."""

    def of(row: Row) -> object:
        given = [value.of(row) for value in values]
        return None if None in given else make(*given)

    return of


def compared(left: Value, sign: str, right: Value) -> Value:
    """Compare two values of one type, or what is dynamic with a text."""
    kinds = (left.type, right.type)
    is_equality = sign in ("==", "!=")
    if kinds == ("dynamic", "string") and sign == "==":
        return Value("bool", _on([left, right], lambda one, other: type(one) is str and one == other))
    if left.type != right.type or left.type not in ("int", "datetime", *(("string", "bool") if is_equality else ())):
        raise NotKnown(f"{left.type} {sign} {right.type}")
    return Value("bool", _on([left, right], COMPARISONS[sign]))


def searched(value: Value, sign: str, part: str) -> Value:
    """Say whether a text begins with a part or contains it, or does not, whatever the case of its letters."""
    if value.type != "string":
        raise NotKnown(f"{value.type} {sign}")
    find = str.startswith if sign.endswith("startswith") else str.__contains__
    return Value("bool", lambda row: find(value.of(row).lower(), part.lower()) is not sign.startswith("!"))


def is_among(value: Value, sign: str, texts: Sequence[str]) -> Value:
    """Look for a text among others, or for it not to be there."""
    if value.type != "string":
        raise NotKnown(f"{value.type} {sign}")
    return Value("bool", lambda row: (value.of(row) in texts) is not sign.startswith("!"))


def multiplied(left: Value, right: Value) -> Value:
    """Multiply two numbers."""
    if (left.type, right.type) != ("int", "int"):
        raise NotKnown(f"{left.type} * {right.type}")
    return Value("int", _on([left, right], operator.mul))


def running_sum(value: Value) -> Value:
    """Return what a number comes to with those of the rows before; each row is to be asked for once, in order."""
    if value.type != "int":
        raise NotKnown(f"a sum of {value.type}")
    total = 0

    def of(row: Row) -> int:
        nonlocal total
        total += value.of(row) or 0
        return total

    return Value("int", of)


def member(value: Value, name: str) -> Value:
    """Return what something dynamic has under a name; null where it has nothing."""
    if value.type != "dynamic":
        raise NotKnown(f"a member of {value.type}")
    return Value("dynamic", _on([value], lambda found: found.get(name) if isinstance(found, dict) else None))


def called(name: str, arguments: Sequence[Value], now: datetime) -> Value:
    """Return what a function makes of its arguments."""

    def ago(span: timedelta) -> datetime:
        return now - span

    functions: dict[tuple[str, ...], tuple[str, Callable[..., object]]] = {
        ("parse_json", "string"): ("dynamic", _parse_json),
        ("toint", "string"): ("int", _toint),
        ("toint", "dynamic"): ("int", _toint),
        ("tobool", "dynamic"): ("bool", _tobool),
        ("isnotempty", "string"): ("bool", bool),
        ("not", "bool"): ("bool", operator.not_),
        ("ago", "timespan"): ("datetime", ago),
        ("bin", "datetime", "timespan"): ("datetime", _bin),
    }
    kinds = (name, *(argument.type for argument in arguments))
    if kinds == ("tostring", "dynamic"):  # the one that makes something of null
        return Value("string", lambda row: _tostring(arguments[0].of(row)))
    if kinds == ("iff", "bool", "int", "int"):  # null is not so
        condition, one, other = arguments
        return Value("int", lambda row: (one if condition.of(row) else other).of(row))
    if kinds not in functions:
        raise NotKnown(f"{name} of {', '.join(kinds[1:])}")
    kind, function = functions[kinds]
    return Value(kind, _on(arguments, function))


def _parse_json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text  # a dynamic value that is a text


def _tostring(value: object) -> str:
    if isinstance(value, dict | list | float):
        raise NotKnown("the text of what is no plain value")
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _tobool(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise NotKnown("the truth of what is neither true nor false")


def _toint(value: object) -> int | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, str) and "." not in value:
        return int(value) if re.fullmatch(r"-?\d+", value) else None
    raise NotKnown("the number of what is no plain value")


def _bin(when: datetime, span: timedelta) -> datetime:
    return when - (when - _BEGINNING) % span
