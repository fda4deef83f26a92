"""A list's bytes as lines of cells: CSV as people, exports and spreadsheets write it (pure)."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

INVALID: Final = "list_invalid"
UNFINISHED: Final = "list_unfinished"
MOST_BYTES: Final = 64 * 1024 * 1024
MOST_LINES: Final = 1_000_000
_MOST_PROBLEMS = 20  # told of one list

_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}  # the first also where a list has one column
_BLANK = f'{"".join(_DELIMITERS)} "\n'
_BEGINS_END = re.compile(r"#end\b", re.IGNORECASE)
_END = re.compile(r"#end[,;\t](\d{1,9})[,;\t]*", re.IGNORECASE | re.ASCII)


class ListFault(Exception):
    """A list has mistakes.

    Args:
        code: `list_invalid`, or `list_unfinished`: it is not all there.
        problems: in words, each with its line; never a value.
    """

    def __init__(self, code: str, problems: Sequence[str]) -> None:
        super().__init__(code)
        self.code = code
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a list.

    Args:
        number: in the file, from 1 on.
        cells: by column, without blanks at their ends; a cell that is not there is missing.
        with_commas: the columns whose cells have a comma that is not in quotation marks and separates nothing.
    """

    number: int
    cells: Mapping[str, str]
    with_commas: frozenset[str] = frozenset()

    def cell(self, column: str) -> str:
        """Return a cell; blank where there is none."""
        return self.cells.get(column, "")


class Sheet:
    """Gives a list's lines one after another, and gathers what is wrong with it; `close` tells.

    Args:
        content: UTF-8, or UTF-16 with a byte order mark; cells separated by comma, semicolon or tab, quoted or not.
        known: the columns that it may have, in any order and case.

    Raises:
        ListFault: its lines cannot be told, or its columns.
    """

    def __init__(self, content: bytes, known: Sequence[str]) -> None:
        self._lines = enumerate(io.StringIO(_text(content), newline=None), 1)
        # The first ones of each code: a list may have a million mistakes.
        self._problems: dict[str, list[str]] = {INVALID: [], UNFINISHED: []}
        self._found = 0
        self._delimiter, self.columns = _header(self._lines, known)
        self._told: int | None = None
        self._count = 0

    @property
    def has_end(self) -> bool:
        """Whether a line `#end` said how many there are."""
        return self._told is not None

    def __iter__(self) -> Iterator[Line]:
        """Yield each line that has cells; those that cannot be read are among what is wrong."""
        for number, text in self._lines:
            if number > MOST_LINES:
                raise ListFault(INVALID, [f"it has more than {MOST_LINES:,} lines"])
            if not text.strip(_BLANK):
                continue
            if self.has_end:
                self.find(number, "it stands after #end", UNFINISHED)
            elif _BEGINS_END.match(bare := text.replace('"', "").replace(" ", "").strip()):
                self._end(number, bare)
            else:
                self._count += 1
                yield from self._read(number, text)

    def find(self, number: int, problem: str, code: str = INVALID) -> None:
        """Note something that is wrong with a line."""
        self._note(code, f"line {number}: {problem}")

    def close(self) -> None:
        """Say whether all was well, once its lines have been gone through.

        Raises:
            ListFault: it was not.
        """
        if self._told is not None and self._told != self._count:
            self._note(UNFINISHED, f"#end says {self._told:,} lines, but there are {self._count:,}")
        problems = [problem for found in self._problems.values() for problem in found]
        if problems:
            more = [f"and {self._found - _MOST_PROBLEMS:,} more"] if self._found > _MOST_PROBLEMS else []
            raise ListFault(INVALID if self._problems[INVALID] else UNFINISHED, problems[:_MOST_PROBLEMS] + more)

    def _note(self, code: str, problem: str) -> None:
        self._found += 1
        if len(self._problems[code]) < _MOST_PROBLEMS:
            self._problems[code].append(problem)

    def _end(self, number: int, bare: str) -> None:
        if found := _END.fullmatch(bare):
            self._told = int(found[1])
        else:
            self.find(number, "#end does not say how many lines there are", UNFINISHED)

    def _read(self, number: int, text: str) -> Iterator[Line]:
        cells = _cells(text, self._delimiter)
        if cells is None:
            self.find(number, "its quotation marks do not pair, or a cell is too long")
        elif len(cells) == 1 < len(self.columns) and (other := _other_delimiter(text)):
            is_by, this_is_by = _DELIMITERS[self._delimiter], _DELIMITERS[other]
            self.find(
                number,
                f"the header is separated by {is_by}, this line by {this_is_by}: save the file with one separator",
            )
        elif any(cells[len(self.columns) :]):
            self.find(number, "it has more cells than there are columns")
        else:
            yield Line(number, dict(zip(self.columns, cells, strict=False)), self._with_commas(text))

    def _with_commas(self, text: str) -> frozenset[str]:
        if self._delimiter == "," or "," not in text:
            return frozenset()
        quoted = rf'(?:^|{self._delimiter}) *"(?:[^"]|"")*"'
        cells = _cells(re.sub(quoted, lambda found: found[0].replace(",", ""), text), self._delimiter) or ()
        return frozenset(column for column, cell in zip(self.columns, cells, strict=False) if "," in cell)


def _text(content: bytes) -> str:
    if len(content) > MOST_BYTES:
        raise ListFault(INVALID, [f"it has more than {MOST_BYTES // 1024**2} MiB"])
    is_utf_16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if is_utf_16 else "utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise ListFault(INVALID, ["it is not text in UTF-8, or in UTF-16 with a byte order mark"])
    return text


def _header(lines: Iterator[tuple[int, str]], known: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    number, text = next(((number, text) for number, text in lines if text.strip(_BLANK)), (1, ""))
    delimiter = max(_DELIMITERS, key=text.count)
    columns = [name.casefold() for name in _cells(text, delimiter) or []]
    while columns and not columns[-1]:  # spreadsheets pad
        columns.pop()
    if not set(columns) & set(known):
        raise ListFault(INVALID, [f"line {number}: it names no column; there may be {', '.join(known)}"])
    if problems := list(_column_problems(columns, known)):
        raise ListFault(INVALID, [f"line {number}, {problem}" for problem in problems])
    return delimiter, tuple(columns)


def _column_problems(columns: Sequence[str], known: Sequence[str]) -> Iterator[str]:
    for place, name in enumerate(columns, 1):
        if name not in known:
            yield f"cell {place}: an unknown column; there may be {', '.join(known)}"
        elif name in columns[: place - 1]:
            yield f"cell {place}: the column {name} for the second time"


def _other_delimiter(text: str) -> str | None:
    """Return what separates the cells of a line that the header's delimiter does not separate; None if nothing does."""
    return next((one for one in _DELIMITERS if len(_cells(text, one) or ()) > 1), None)


def _cells(text: str, delimiter: str) -> list[str] | None:
    """Return a line's cells; None where it is none by itself, such as one of a quotation that does not end."""
    try:
        [cells] = csv.reader([text.removesuffix("\n")], delimiter=delimiter, skipinitialspace=True, strict=True)
    except (csv.Error, ValueError):
        return None
    return [cell.strip() for cell in cells]
