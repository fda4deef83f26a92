"""Queries of alerts over rows that a test has: as much of KQL as infra/modules/alerts.bicep uses, put into Python.

Anything else raises. Whether Log Analytics takes a query's types, tests/live/test_kusto.py asks Microsoft's parser.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

Row = Mapping[str, Any]

# Of each table, the columns that are asked for.
TABLES: Mapping[str, Mapping[str, type]] = {
    "AppTraces": {"TimeGenerated": datetime, "Message": str},
    "AppRequests": {"TimeGenerated": datetime, "Name": str, "ResultCode": str},
    "AppAvailabilityResults": {"TimeGenerated": datetime, "Name": str, "Success": bool},
}
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_QUOTED = re.compile(r'("[^"]*")')
_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)  # that `bin` counts from


def run(query: str, tables: Mapping[str, Iterable[Row]], now: datetime) -> Sequence[Row]:
    """Return the rows that a query comes to, at a time, over tables whose rows have all columns that `TABLES` says."""
    name, *steps = _split(query, "|")
    rows = [dict(row) for row in tables[name]]
    for row in rows:
        if {column: type(value) for column, value in row.items()} != TABLES[name]:
            raise ValueError(f"a row of another form: {row}")
    for step in steps:
        operator, _, rest = step.partition(" ")
        rows = _STEPS[operator](rows, rest, lambda text: _expression(text, now))
    return rows


Read = Callable[[str], Callable[[Row], Any]]
_Rows = list[dict[str, Any]]


def _where(rows: _Rows, text: str, read: Read) -> _Rows:
    condition = read(text)
    return [row for row in rows if condition(row) is True]


def _extend(rows: _Rows, text: str, read: Read) -> _Rows:
    for name, value in (part.split(" = ", 1) for part in _split(text, ",")):
        summed = re.fullmatch(r"row_cumsum\((.*)\)", value)
        of, total = read(summed[1] if summed else value), 0
        for row in rows:
            if name in row:
                raise ValueError(f"there is a column {name} already")
            row[name] = of(row)
            if summed:
                total += row[name]
                row[name] = total
    return rows


def _sorted(rows: _Rows, text: str, _: Read) -> _Rows:
    count, column = re.fullmatch(r"(?:(\d+) )?by (TimeGenerated)(?: desc)?", text).groups()  # type: ignore[union-attr]
    return sorted(rows, key=lambda row: row[column], reverse=True)[: int(count) if count else None]


def _summarize(rows: _Rows, text: str, read: Read) -> _Rows:
    sums, _, keys = f" {text}".partition(" by ")
    by = {"TimeGenerated" if "(" in key else key: read(key) for key in _split(keys, ",") if key}
    groups: dict[tuple[Any, ...], _Rows] = {} if by else {(): []}
    for row in rows:
        groups.setdefault(tuple(of(row) for of in by.values()), []).append(row)
    found = [(dict(zip(by, key, strict=True)), group) for key, group in groups.items()]
    for name, value in (part.split(" = ", 1) for part in _split(sums, ",") if part):
        function, inner = re.fullmatch(r"(count|countif|dcount)\((.*)\)", value).groups()  # type: ignore[union-attr]
        of = read(inner or "true")
        for key, group in found:
            values = [of(row) for row in group]
            key[name] = len(set(values)) if function == "dcount" else values.count(True)
    return [key for key, _ in found]


_STEPS: Mapping[str, Callable[[_Rows, str, Read], _Rows]] = {
    "where": _where,
    "extend": _extend,
    "order": _sorted,
    "top": _sorted,
    "summarize": _summarize,
    "count": lambda rows, *_: [{"Count": len(rows)}],
}


def _split(text: str, sign: str) -> list[str]:
    """Return the parts between signs that are neither in quotes nor in brackets."""
    parts, depth, quoted = [""], 0, False
    for letter in text:
        quoted ^= letter == '"'
        depth += 0 if quoted else (letter == "(") - (letter == ")")
        if letter == sign and not depth and not quoted:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def _expression(text: str, now: datetime) -> Callable[[Row], Any]:
    """Return what computes an expression for a row; what a line lacks fulfils no comparison, and is empty as a text."""
    text = re.sub(r'(\w+) (!?)(contains|startswith) ("[^"]*")', r"(\2\3(\1, \4))", text)
    source = "".join(part if part.startswith('"') else _in_python(part) for part in _QUOTED.split(text))
    functions: dict[str, Any] = {
        "__builtins__": {},
        "timedelta": timedelta,
        "parse_json": _parse_json,
        "tostring": _tostring,
        "toint": lambda value: math.nan if value in (None, "") else int(value),
        "tobool": {True: True, False: False}.__getitem__,
        "isnotempty": bool,
        "iff": lambda condition, one, other: one if condition else other,
        "ago": lambda span: now - span,
        "bin": lambda when, span: when - (when - _BEGINNING) % span,
        "contains": lambda value, part: part.lower() in value.lower(),
        "startswith": lambda value, part: value.lower().startswith(part.lower()),
    }
    code = compile(source.strip(), "query", "eval")
    return lambda row: eval(code, functions, dict(row))


def _in_python(text: str) -> str:
    text = re.sub(r"\b(\d+)([smhd])\b", lambda found: f"timedelta({_UNITS[found[2]]}={found[1]})", text)
    text = re.sub(r"\bline\.(\w+)", r'line.get("\1")', text).replace("!in ", "not in ")
    text = re.sub(r"!(contains|startswith)", r"not \1", text)
    return re.sub(r"\b(true|false)\b", lambda found: found[1].title(), text)


def _parse_json(text: str) -> Any:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}


def _tostring(value: Any) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


__all__: Sequence[str] = ("TABLES", "Row", "run")
