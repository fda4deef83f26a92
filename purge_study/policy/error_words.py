"""pydantic's errors in the words of this app: what is wrong with an entry by itself, and its place.

No sentence has a value of the file in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from .entries import PATTERNS
from .model import Policy

Location = tuple[int | str, ...]
# By pydantic's types of errors. `{key}` is the entry's, the rest its limits.
_IN_WORDS: Final = {
    "missing": "it is missing: write {key} = …",
    "too_short": "it is empty: write one value or more, or leave {key} out",
    "tuple_type": "it must be an array: write {key} = [ … ]",
    "dict_type": "it must be a table: write {key} = {{ … }}",
    "model_type": "it must be a table: write {key} = {{ … }}",
    "string_type": "it must be a text: write it in quotation marks",
    "string_too_long": "it has more than {max_length} characters: shorten it",
    "int_type": "it must be a whole number: write it in digits alone, without quotation marks",
    "float_type": "it must be a number: write it in digits, without quotation marks",
    "finite_number": "it must be a number that is not infinite: write it in digits",
    "greater_than": "it must be more than {gt}",
    "greater_than_equal": "it must be {ge} or more",
    "less_than": "it must be less than {lt}",
    "less_than_equal": "it must be {le} or less",
}
_UNFORESEEN: Final = "it cannot be used: see docs/retention.md for what may stand here"


def in_words(errors: Iterable[ErrorDetails]) -> Iterator[str]:
    """Yield a sentence for each error that pydantic has found, with its place."""
    found = list(errors)
    around = {error["loc"][:depth] for error in found for depth in range(len(error["loc"]))}
    for error in found:
        # An array is called empty, too, whose items are all wrong.
        if error["type"] != "too_short" or error["loc"] not in around:
            yield f"{_place(error['loc'])}: {_sentence(error)}"


def _sentence(error: ErrorDetails) -> str:
    location, context = error["loc"], error.get("ctx", {})
    if error["type"] == "value_error":
        return str(context["error"])
    if error["type"] == "string_pattern_mismatch":
        return PATTERNS.get(context["pattern"], _UNFORESEEN)
    if error["type"] == "literal_error":
        return "write {}, or leave it out".format(context["expected"].replace("'", '"'))
    if error["type"] == "extra_forbidden":
        return _of_unknown(location)
    if location[:1] == location and error["type"] in ("missing", "tuple_type", "model_type"):
        is_missing = "it is missing: " if error["type"] == "missing" else ""
        return f"{is_missing}write it as a table {_tables_of(Policy)[str(location[0])]}, with these brackets"
    if isinstance(location[-1], int) and error["type"] == "model_type":
        return f"it must be a table: write {_tables_of(Policy)[str(location[0])] if len(location) == 2 else '{ … }'}"
    return _IN_WORDS.get(error["type"], _UNFORESEEN).format(key=location[-1], **context)


def _of_unknown(location: Location) -> str:
    """Say of an entry that there is none such which was perhaps meant, or where it belongs."""
    key, known = str(location[-1]), _entries(_model_at(location[:-1]))
    if close := get_close_matches(key, known, n=1):
        return f"there is no such entry; did you mean {close[0]}?"
    tables = {name: _entries(_model_at((table,))) for table, name in _tables_of(Policy).items()}
    tables["a condition (when)"] = _entries(_model_at(("rule", "when")))
    if len(homes := [name for name, entries in tables.items() if key in entries]) == 1:
        return f"there is no such entry here; it belongs in {homes[0]}"
    return f"there is no such entry; there may be {', '.join(known)}"


def _tables_of(model: type[BaseModel]) -> Mapping[str, str]:
    """Return the tables of the file, each as its head is written."""
    arrays = {name: "tuple" in str(field.annotation) for name, field in model.model_fields.items()}
    return {name: f"[[{name}]]" if is_array else f"[{name}]" for name, is_array in arrays.items()}


def _entries(model: type[BaseModel] | None) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()] if model else []


def _model_at(location: Location) -> type[BaseModel] | None:
    """Return what the table at some place is read as."""
    model: type[BaseModel] | None = Policy
    for part in location:
        if isinstance(part, str) and model is not None:
            fields = {field.alias or name: field for name, field in model.model_fields.items()}
            model = _model_in(fields[part].annotation) if part in fields else None
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)


def _place(location: Location) -> str:
    """Say where in the file: `rule 2, when, modality 1`; the first of several is number 1."""
    place = ""
    for part in location:
        if isinstance(part, int):
            place += f" {part + 1}"
        elif part != "[key]":
            place += (", " if place else "") + (part if re.fullmatch(r"[\w-]{1,64}", part) else "…")
    return place
