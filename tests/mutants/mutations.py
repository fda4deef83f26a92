"""What a mutant is: a module with one thing changed (pure)."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_FUNCTIONS = {"min": "max", "max": "min", "any": "all", "all": "any", "sorted": "list", "reversed": "list"}
_LONGEST = 70
_WORDS_OF_PROSE = 3  # a text of so many words is for people, and is no mutant


@dataclass(frozen=True)
class Mutant:
    """A module with one thing changed.

    Args:
        line: where.
        statement: the first line of the statement that it is in, by which coverage counts.
        change: in words, from what to what.
        source: the module as it is.
        place: of the node that changes, among all of the module's.
        new: what takes its place.
    """

    line: int
    statement: int
    change: str
    source: ast.Module
    place: int
    new: ast.AST

    @property
    def tree(self) -> ast.Module:
        """The module as it is with this change."""
        changed = copy.deepcopy(self.source)
        _Swap(_at(changed, self.place), copy.deepcopy(self.new)).visit(changed)
        return ast.fix_missing_locations(changed)


def mutants_of(source: str) -> Iterator[Mutant]:
    """Yield every mutant of a module."""
    tree = ast.parse(source)
    told, statements = _told_to_readers(tree), _statements(tree)
    for place, node in enumerate(ast.walk(tree)):
        if id(node) not in told:
            for new in _alternatives(node):
                change = f"{_text(node)}  →  {_text(new)}"
                yield Mutant(_line(node), statements[id(node)], change, tree, place, new)


class _Swap(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self._old = old
        self._new = new

    def visit(self, node: ast.AST) -> ast.AST:
        return ast.copy_location(self._new, node) if node is self._old else super().visit(node)


def _statements(tree: ast.Module) -> dict[int, int]:
    """Return for each node the first line of the innermost statement around it."""
    lines: dict[int, int] = {}

    def visit(node: ast.AST, line: int) -> None:
        line = node.lineno if isinstance(node, ast.stmt | ast.ExceptHandler) else line
        lines[id(node)] = line
        for child in ast.iter_child_nodes(node):
            visit(child, line)

    visit(tree, 1)
    return lines


def _at(tree: ast.Module, place: int) -> ast.AST:
    return next(node for number, node in enumerate(ast.walk(tree)) if number == place)


def _told_to_readers(tree: ast.Module) -> set[int]:
    """Return what nothing is done by: annotations, decorators, docstrings, the texts of errors, and what events say."""
    roots: list[ast.AST | None] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.arg | ast.AnnAssign):
            roots.append(node.annotation)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            roots += [node.returns, *node.decorator_list]
        elif isinstance(node, ast.ClassDef):
            roots += node.decorator_list
        elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            roots += [text for text in node.exc.args if isinstance(text, ast.Constant | ast.JoinedStr)]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "event":
            roots.append(node)
        elif isinstance(node, ast.JoinedStr):
            roots += [part for part in node.values if isinstance(part, ast.Constant)]
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            roots.append(node)
    return {id(node) for root in roots if root is not None for node in ast.walk(root)}


def _alternatives(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Compare(left, operators, comparators):
            for number, operator in enumerate(operators):
                for other in _COMPARISONS[type(operator)]:
                    changed = [*operators[:number], other(), *operators[number + 1 :]]
                    yield ast.Compare(left, changed, comparators)
        case ast.BoolOp(operator, values):
            yield ast.BoolOp(ast.Or() if isinstance(operator, ast.And) else ast.And(), values)
            for number in range(len(values)):
                rest = values[:number] + values[number + 1 :]
                yield rest[0] if len(rest) == 1 else ast.BoolOp(operator, rest)
        case ast.UnaryOp(ast.Not() | ast.USub(), operand):
            yield operand
        case ast.BinOp(left, operator, right) if type(operator) in _OPERATORS:
            yield ast.BinOp(left, _OPERATORS[type(operator)](), right)
        case ast.If(_, body, orelse):
            yield from (ast.If(ast.Constant(value), body, orelse) for value in (True, False))
        case ast.IfExp(_, body, orelse):
            yield body
            yield orelse
        case ast.comprehension(target, iterator, [_, *_] as conditions, is_async):
            for number in range(len(conditions)):
                rest = conditions[:number] + conditions[number + 1 :]
                yield ast.comprehension(target, iterator, rest, is_async)
        case ast.Constant(value):
            yield from (ast.Constant(other) for other in _constants(value))
        case ast.Call(ast.Name(name), arguments, keywords) if name in _FUNCTIONS and not keywords:
            yield ast.Call(ast.Name(_FUNCTIONS[name], ast.Load()), arguments, keywords)
        case ast.Call(function, arguments, [_, *_] as keywords):
            for number in range(len(keywords)):
                yield ast.Call(function, arguments, keywords[:number] + keywords[number + 1 :])
        case ast.Raise() | ast.Expr() | ast.AugAssign():
            yield ast.Pass()
        case ast.Return(ast.AST() as value) if not isinstance(value, ast.Constant):
            yield ast.Return(ast.Constant(None))
        case ast.Match(subject, [_, _, *_] as cases):
            for number in range(len(cases)):
                yield ast.Match(subject, cases[:number] + cases[number + 1 :])
        case ast.Try(body, handlers, [], final):
            for number in range(len(handlers)):
                others = handlers[:number] + handlers[number + 1 :]
                yield ast.Try(body, others, [], final or [ast.Pass()])
        case ast.ExceptHandler(ast.AST() as caught, name, body) if _text(caught) != "Exception":
            yield ast.ExceptHandler(ast.Name("Exception", ast.Load()), name, body)
        case ast.Continue():
            yield ast.Break()


def _constants(value: object) -> tuple[bool | float | str, ...]:
    if isinstance(value, bool):
        return (not value,)
    if isinstance(value, int | float):
        return (value + 1, value - 1)
    is_prose = isinstance(value, str) and len(value.split()) >= _WORDS_OF_PROSE
    return (f"{value}?",) if isinstance(value, str) and not is_prose else ()


def _line(node: ast.AST) -> int:
    return getattr(node, "lineno", 0) or _line(node.target)  # type: ignore[attr-defined]  # a comprehension has none


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.If):
        return f"if {_text(node.test)}"
    if isinstance(node, ast.Try):
        return " ".join(["try", *map(_text, node.handlers)])
    if isinstance(node, ast.ExceptHandler):
        return f"except {_text(node.type)}" if node.type else "except"
    text = " ".join(ast.unparse(ast.fix_missing_locations(copy.deepcopy(node))).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
