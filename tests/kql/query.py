"""Queries of alerts over rows that a test has: as much of KQL as infra/modules/alerts.bicep uses, and no more.

What is not known here raises, and so does what Log Analytics refuses for its types (a dynamic value that is ordered,
say), whatever rows there are: an alert whose query is refused there would never fire.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

from .values import (
    COMPARISONS,
    NotKnown,
    Row,
    Value,
    as_condition,
    called,
    compared,
    is_among,
    joined,
    literal,
    member,
    multiplied,
    running_sum,
    searched,
)

T = TypeVar("T")
Columns = Mapping[str, str]  # name → type

# Of each table, the columns that are asked for.
TABLES: Final[Mapping[str, Columns]] = {
    "AppTraces": {"TimeGenerated": "datetime", "Message": "string"},
    "AppRequests": {"TimeGenerated": "datetime", "Name": "string", "ResultCode": "string"},
    "AppAvailabilityResults": {"TimeGenerated": "datetime", "Name": "string", "Success": "bool"},
}
_IN_PYTHON: Final = {"datetime": datetime, "string": str, "bool": bool}
_TOKEN = re.compile(
    r'\s*(?:(?P<timespan>\d+[smhd]\b)|(?P<int>\d+\b)|"(?P<string>[^"\\]*)"|(?P<word>!?[A-Za-z_]\w*)'
    r"|(?P<sign>[=!<>]=|[<>=(),.|*]))"
)


@dataclass(frozen=True)
class _Result:
    """What a query has come to so far."""

    columns: Columns
    rows: Sequence[Row]


def run(query: str, tables: Mapping[str, Iterable[Row]], now: datetime) -> list[Row]:
    """Return the rows that a query comes to.

    Args:
        query: in KQL.
        tables: by their names; each row has all columns that `TABLES` says.
        now: what the query takes for the time.

    Raises:
        NotKnown: the query, or a row, is none that can be judged here.
    """
    return list(_Query(query, now).result(tables).rows)


class _Query:
    """A query, read from left to right."""

    def __init__(self, text: str, now: datetime) -> None:
        self._tokens = _tokens(text)
        self._now = now
        self._columns: Columns = {}
        self._is_ordered = False

    def result(self, tables: Mapping[str, Iterable[Row]]) -> _Result:
        """Read the query to its end, and carry it out."""
        name = self._take("word")
        if name not in TABLES:
            raise NotKnown(f"the table {name}")
        result = _Result(TABLES[name], [_checked(row, TABLES[name]) for row in tables[name]])
        while self._accepts("|"):
            self._columns = result.columns
            result = self._step(self._take("word"), result.rows)
        self._take("end")
        return result

    def _step(self, name: str, rows: Sequence[Row]) -> _Result:
        match name:
            case "where":
                condition = as_condition(self._value())
                return _Result(self._columns, [row for row in rows if condition.of(row)])
            case "extend":
                return self._extended(rows)
            case "order":
                self._is_ordered = True
                return _Result(self._columns, self._sorted(rows, "desc"))
            case "top":
                count = int(self._take("int"))
                return _Result(self._columns, self._sorted(rows)[:count])
            case "summarize":
                self._is_ordered = False
                return self._summarized(rows)
            case "count":
                return _Result({"Count": "int"}, [{"Count": len(rows)}])
        raise NotKnown(f"the operator {name}")

    def _extended(self, rows: Sequence[Row]) -> _Result:
        added = dict(self._list(lambda: self._named(self._column)))
        if added.keys() & self._columns.keys():
            raise NotKnown("a column that is there already")
        columns = {**self._columns, **{name: value.type for name, value in added.items()}}
        return _Result(columns, [{**row, **{name: value.of(row) for name, value in added.items()}} for row in rows])

    def _column(self) -> Value:
        """Read what a new column has: of each row by itself, or a sum of those before it and its own."""
        if not self._accepts("row_cumsum"):
            return self._value()
        if not self._is_ordered:
            raise NotKnown("a sum over rows that are in no order")
        self._take("sign", "(")
        value = self._value()
        self._take("sign", ")")
        return running_sum(value)

    def _sorted(self, rows: Sequence[Row], *words: str) -> list[Row]:
        self._take("word", "by")
        column = self._take("word")
        for word in words:
            self._take("word", word)
        if self._columns.get(column) not in ("int", "datetime"):
            raise NotKnown(f"the order by {column}")
        if any(row[column] is None for row in rows):
            raise NotKnown("the order of what is null")
        return sorted(rows, key=lambda row: row[column], reverse=True)

    def _summarized(self, rows: Sequence[Row]) -> _Result:
        sums = {} if self._is_next("by") else dict(self._list(lambda: self._named(self._sum)))
        keys = dict(self._list(self._key)) if self._accepts("by") else {}
        # Where nothing tells rows apart, there is one group, though it be empty.
        groups: dict[tuple[Any, ...], list[Row]] = {} if keys else {(): []}
        for row in rows:
            groups.setdefault(tuple(key.of(row) for key in keys.values()), []).append(row)
        columns = {name: key.type for name, key in keys.items()} | dict.fromkeys(sums, "int")
        return _Result(
            columns,
            [
                {**dict(zip(keys, key, strict=True)), **{name: count(group) for name, count in sums.items()}}
                for key, group in groups.items()
            ],
        )

    def _named(self, read: Callable[[], T]) -> tuple[str, T]:
        name = self._take("word")
        self._take("sign", "=")
        return name, read()

    def _key(self) -> tuple[str, Value]:
        """Read what tells groups apart: a column, as it is or rounded down, which keeps its name."""
        texts = [text for _, text in self._tokens[:3]]
        name = texts[-1] if texts[0] == "bin" else texts[0]
        if name not in self._columns:
            raise NotKnown(f"groups by {name}")
        return name, self._primary()

    def _sum(self) -> Callable[[Sequence[Row]], int]:
        name = self._take("word")
        self._take("sign", "(")
        if name not in ("count", "countif", "dcount"):
            raise NotKnown(f"the sum {name}")
        value = literal("word", "true") if name == "count" else self._value()
        self._take("sign", ")")
        if name == "dcount":
            return lambda rows: len({value.of(row) for row in rows} - {None})
        condition = as_condition(value)
        return lambda rows: sum(condition.of(row) is True for row in rows)

    def _value(self) -> Value:
        return self._joined("or", lambda: self._joined("and", self._comparison))

    def _joined(self, word: str, read: Callable[[], Value]) -> Value:
        parts = [read()]
        while self._accepts(word):
            parts.append(read())
        if len(parts) == 1:
            return parts[0]
        conditions = [as_condition(part) for part in parts]
        return Value("bool", lambda row: joined(word, [one.of(row) for one in conditions]))

    def _comparison(self) -> Value:
        left = self._product()
        sign = self._tokens[0][1]
        if sign.lstrip("!") in ("startswith", "contains") and self._accepts(sign):
            return searched(left, sign, self._take("string"))
        if self._accepts("in") or self._accepts("!in"):
            return is_among(left, sign, self._texts())
        if sign in COMPARISONS and self._accepts(sign):
            return compared(left, sign, self._product())
        return left

    def _texts(self) -> list[str]:
        self._take("sign", "(")
        texts = list(self._list(lambda: self._take("string")))
        self._take("sign", ")")
        return texts

    def _product(self) -> Value:
        left = self._member()
        while self._accepts("*"):
            left = multiplied(left, self._member())
        return left

    def _member(self) -> Value:
        value = self._primary()
        while self._accepts("."):
            value = member(value, self._take("word"))
        return value

    def _primary(self) -> Value:
        if self._accepts("("):
            inner = self._value()
            self._take("sign", ")")
            return inner
        kind, text = self._tokens[0]
        self._take(kind)
        if kind == "word" and self._accepts("("):
            arguments = list(self._list(self._value))
            self._take("sign", ")")
            return called(text, arguments, self._now)
        if kind == "word" and text in self._columns:
            return Value(self._columns[text], lambda row: row[text])
        return literal(kind, text)

    def _list(self, read: Callable[[], T]) -> Iterator[T]:
        yield read()
        while self._accepts(","):
            yield read()

    def _is_next(self, text: str) -> bool:
        return self._tokens[0] in (("word", text), ("sign", text))

    def _accepts(self, text: str) -> bool:
        is_next = self._is_next(text)
        if is_next:
            self._tokens.pop(0)
        return is_next

    def _take(self, kind: str, text: str | None = None) -> str:
        found = self._tokens[0]
        if found[0] != kind or text not in (None, found[1]):
            raise NotKnown(f"{found[1] or found[0]} where there should be {text or kind}")
        if kind != "end":
            self._tokens.pop(0)
        return found[1]


def _tokens(text: str) -> list[tuple[str, str]]:
    """Return the words of a query, each with its kind; the last one is its end."""
    found: list[tuple[str, str]] = []
    at = 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise NotKnown(f"how to read {text[at:]}")
        found.append((match.lastgroup, match[match.lastgroup]))
        at = match.end()
    return [*found, ("end", "")]


def _checked(row: Row, columns: Columns) -> Row:
    is_whole = row.keys() == columns.keys()
    if not is_whole or not all(type(row[name]) is _IN_PYTHON[kind] for name, kind in columns.items()):
        raise NotKnown("a row of another form")
    return row
