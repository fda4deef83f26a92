"""Routing as the host does it: by function name, first match wins, methods are part of the match."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from local.functions_host.functions import HTTP_TRIGGER, Function, LoadError

_PARAMETER = re.compile(r"\{(\*{0,2})([A-Za-z_][A-Za-z0-9_]*)((?::[^{}?]+)*)(\??)\}")
# ASP.NET's constraints as patterns over the decoded text.
_CONSTRAINTS = {
    "int": re.compile(r"[+-]?\d{1,10}"),
    "long": re.compile(r"[+-]?\d{1,19}"),
    "alpha": re.compile(r"[A-Za-z]*"),
    "bool": re.compile(r"true|false", re.IGNORECASE),
    "guid": re.compile(r"\{?[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}\}?", re.IGNORECASE),
    "required": re.compile(r".+"),
}
_INT_RANGE = {"int": range(-(2**31), 2**31), "long": range(-(2**63), 2**63)}
_RESERVED = ("admin", "runtime")


@dataclass(frozen=True)
class Route:
    """A compiled route of one function."""

    function: Function
    template: str
    pattern: re.Pattern[str]
    constraints: tuple[tuple[str, str], ...]
    methods: frozenset[str]

    def match(self, method: str, raw_path: str) -> dict[str, str] | None:
        """Return the route's parameters, or None; a method that is not listed does not match."""
        if self.methods and method not in self.methods:
            return None
        found = self.pattern.fullmatch(raw_path)
        if found is None:
            return None
        values = {name: decode(text) for name, text in found.groupdict().items() if text is not None}
        fits = all(_satisfies(values[name], kind) for name, kind in self.constraints if name in values)
        return values if fits else None


def compile_routes(functions: Iterable[Function], prefix: str) -> list[Route]:
    """Return the routes of the HTTP functions in the order in which they are tried.

    Raises:
        LoadError: a template that the host would refuse or that is not imitated.
    """
    http = [function for function in functions if function.kind == HTTP_TRIGGER]
    return [_compile(function, prefix) for function in sorted(http, key=lambda f: f.name.lower())]


def find(routes: Iterable[Route], method: str, raw_path: str) -> tuple[Function, dict[str, str]] | None:
    """Return the first function whose route and methods match, with the route's parameters."""
    for route in routes:
        values = route.match(method, raw_path)
        if values is not None:
            return route.function, values
    return None


def decode(text: str) -> str:
    """Undo percent-encoding as ASP.NET does in paths: an encoded slash stays encoded."""
    return "%2F".join(unquote(part) for part in re.split(r"%2[Ff]", text))


def _compile(function: Function, prefix: str) -> Route:
    trigger = function.trigger
    route = str(trigger.get("route") or function.name)
    template = "/".join(part for part in (prefix, route.strip("/")) if part)
    if template.split("/")[0].lower() in _RESERVED:
        raise LoadError(f"{function.name}: the route {template!r} is reserved for the host")
    constraints = tuple(_constraints(function.name, template))
    pattern = "".join(_segment(function.name, segment) for segment in template.split("/"))
    methods = frozenset(str(method).upper() for method in trigger.get("methods") or ())
    return Route(function, template, re.compile(pattern + "/?", re.IGNORECASE), constraints, methods)


def _segment(name: str, segment: str) -> str:
    whole = _PARAMETER.fullmatch(segment)
    if whole is None:
        return "/" + _mixed(name, segment)
    stars, parameter, _, optional = whole.groups()
    if stars:
        return f"(?:/(?P<{parameter}>.*))?"
    value = f"/(?P<{parameter}>[^/]+)"
    return f"(?:{value})?" if optional else value


def _mixed(name: str, segment: str) -> str:
    """Compile a segment of text with parameters in it, such as `{name}.dcm`."""
    pieces, end = [], 0
    for match in _PARAMETER.finditer(segment):
        if match[1] or match[4]:
            raise LoadError(f"{name}: the route segment {segment!r} is not imitated here")
        pieces += [_literal(name, segment[end : match.start()]), f"(?P<{match[2]}>[^/]+?)"]
        end = match.end()
    return "".join(pieces) + _literal(name, segment[end:])


def _literal(name: str, text: str) -> str:
    if "{" in text or "}" in text:
        raise LoadError(f"{name}: the route segment {text!r} is not imitated here")
    return re.escape(text)


def _constraints(name: str, template: str) -> Iterable[tuple[str, str]]:
    for _, parameter, kinds, _ in _PARAMETER.findall(template):
        for kind in kinds.split(":")[1:]:
            if kind not in _CONSTRAINTS:
                raise LoadError(f"{name}: the route constraint {kind!r} is not imitated here")
            yield parameter, kind


def _satisfies(value: str, kind: str) -> bool:
    if not _CONSTRAINTS[kind].fullmatch(value):
        return False
    return kind not in _INT_RANGE or int(value) in _INT_RANGE[kind]


def list_methods(trigger: Mapping[str, object]) -> str:
    """Return the methods of a trigger for the listing at start."""
    methods = trigger.get("methods")
    return ",".join(str(method) for method in methods) if isinstance(methods, list) else "any method"
