"""What a mutant of `make mutants` is: one change in what a module does, none in what it tells its readers."""

from __future__ import annotations

import ast

import pytest

from tests.mutants.mutations import mutants_of

TRY = "try:\n    a = b\n"
HEAD, TEXT = "def f(a: 'int'=", '\n    """text"""\n    return '


@pytest.mark.parametrize(
    ("source", "mutants"),
    [
        ("a < b", ["pass", "a <= b", "a >= b"]),
        ("a < b is c", ["pass", "a <= b is c", "a >= b is c", "a < b is not c"]),
        ("x = a and b", ["x = a or b", "x = b", "x = a"]),
        ("x = not a", ["x = a"]),
        ("x = a + 1", ["x = a - 1", "x = a + 2", "x = a + 0"]),
        ("x = min(a)", ["x = max(a)"]),
        ("x = f(a, b=c)", ["x = f(a)"]),
        ("x = [a for a in b if c]", ["x = [a for a in b]"]),
        ("x = a if b else c", ["x = a", "x = c"]),
        ("raise Halt('why')", ["pass"]),
        ("await f()", ["pass"]),
        ("event('told', reason=a + b)", ["pass"]),
        (f"{TRY}except C:\n    d = e", [f"{TRY}finally:\n    pass", f"{TRY}except Exception:\n    d = e"]),
        (f"{HEAD}1) -> int:{TEXT}a", [f"{HEAD}{a}) -> int:{TEXT}{b}" for a, b in ((1, None), (2, "a"), (0, "a"))]),
    ],
)
def test_each_change_is_a_mutant(source: str, mutants: list[str]) -> None:
    """Of what a module does; its annotations, its texts, its docstrings and what its events say stay."""
    assert [ast.unparse(mutant.tree) for mutant in mutants_of(source)] == mutants


def test_a_mutant_tells_where_it_differs() -> None:
    """The line, and what became of what."""
    [first, *_] = mutants_of("\nif a:\n    b = c\n")
    assert (first.line, first.change) == (2, "if a  →  if True")
