"""Each `az …` that the documents and infra/hooks have somebody run, as a shell reads it.

Needs nothing but Python and PyYAML, so that make_az_commands.py can read it where azure-cli is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
# Stands in a word for what only the shell knows when it runs: variables, and what other commands print.
UNKNOWN = "\0"
_CALL = re.compile(r"(?<![\w./-])az (?=[a-z-]+(?:[ \n;)'\"`]|$))")
_ASKED_FOR = re.compile(r"(?:command -v|Get-Command) az\b[^\n]*")  # whether it is there
_COMMENT = re.compile(r"(?:^|\s)#[^\n]*$")
_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"`([^`\n]*\baz [a-z][^`\n]*)`|(?:^|\s)#[^\n]*: (az [^\n]+)", re.MULTILINE)
_VARIABLE = re.compile(r"\$(?:\{[^{}]*\}|\w+|[@*#?$!-])")


@dataclass(frozen=True)
class Command:
    """A call of the CLI: the words after `az`, and the file that they stand in.

    `is_whole`: it is to be run as it stands; a sentence may merely name a command.
    """

    page: str
    words: tuple[str, ...]
    is_whole: bool

    @property
    def name(self) -> str:
        """The command's own words, up to the first option."""
        first = next((at for at, word in enumerate(self.words) if word.startswith("-")), len(self.words))
        return " ".join(self.words[:first])

    @property
    def options(self) -> list[tuple[str, list[str]]]:
        """Each option as it is spelt, with the values that follow it."""
        found: list[tuple[str, list[str]]] = []
        for word in self.words[len(self.name.split()) :]:
            if re.match(r"--?[a-z]", word):
                spelling, equals, value = word.partition("=")
                found.append((spelling, [value] if equals else []))
            else:
                found[-1][1].append(word)
        return found


def written() -> list[Command]:
    """Return all of them."""
    found: list[Command] = []
    for path in [*sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]), *sorted(ROOT.glob("infra/hooks/*"))]:
        page, text = str(path.relative_to(ROOT)), path.read_text()
        is_page = path.suffix == ".md"
        scripts = _scripts(text) if is_page else [text]
        found += [Command(page, words, True) for script in scripts for words in of_a_script(script)]
        for span, comment in _NAMED.findall(text) if is_page else ():
            named = (span or comment).replace("\\|", "|")
            found += [Command(page, words, False) for words in of_a_script(_filled_in(named))]
    return found


def _scripts(page: str) -> Iterator[str]:
    """Yield the blocks of a page, and what the steps of a pipeline run."""
    for _, language, block in _FENCE.findall(page):
        if _CALL.search(block):
            yield from map(_filled_in, _steps(yaml.safe_load(block)) if language == "yaml" else [block])


def _filled_in(text: str) -> str:
    """Return a text with something in the place of what the reader has to fill in."""
    return re.sub(r"<[a-z][^<>|\n]*>", UNKNOWN, text)


def _steps(workflow: Any) -> Iterator[str]:
    if isinstance(workflow, dict):
        yield from [workflow["run"]] if isinstance(workflow.get("run"), str) else []
        workflow = list(workflow.values())
    for below in workflow if isinstance(workflow, list) else []:
        yield from _steps(below)


def of_a_script(script: str) -> Iterator[tuple[str, ...]]:
    """Yield the words after `az` of each call in a script, wherever it stands but in a comment.

    Raises:
        ValueError: a quote or a bracket is open.
    """
    script = _ASKED_FOR.sub("", script)
    for call in _CALL.finditer(script):
        line = script[: call.start()].rpartition("\n")[2]
        before = script[: call.start()][-1:]
        if not _COMMENT.search(line) and not re.search(r"\becho [^|;&$]*$", line):
            yield tuple(_words(script, call.end(), before if before in ("'", '"') else ""))


def _words(text: str, at: int, within: str) -> Iterator[str]:
    """Yield words up to what ends the command; `within` is the quote that it stands in, if it does."""
    word, has_word = "", False
    while at < len(text):
        if text.startswith("\\\n", at) or text[at] in " \t":
            if has_word:
                yield word
            word, has_word, at = "", False, at + (2 if text[at] == "\\" else 1)
        elif text[at] in ";&|\n)<>" or text[at] == within or (text[at] == "#" and not has_word):
            if text[at] in "<>":
                word, has_word = re.sub(r"^[12]$", "", word), has_word and word not in "12"
            break
        else:
            piece, at = _piece(text, at)
            word, has_word = word + piece, True
    if has_word:
        yield word


def _piece(text: str, at: int) -> tuple[str, int]:
    """Return what a part of a word comes to, and where it ends."""
    if text[at] == "'":
        end = text.index("'", at + 1)
        return text[at + 1 : end], end + 1
    if text[at] == '"':
        word, at = "", at + 1
        while text[at : at + 1] != '"':
            if at >= len(text):
                raise ValueError("a quote is open")
            piece, at = (text[at], at + 1) if text[at] == "'" else _piece(text, at)
            word += piece
        return word, at + 1
    if text.startswith("$(", at):
        at += 2
        while text[at : at + 1] != ")":
            if at >= len(text):
                raise ValueError("a bracket is open")
            _, at = _piece(text, at)
        return UNKNOWN, at + 1
    if variable := _VARIABLE.match(text, at):
        return UNKNOWN, variable.end()
    if text[at] == "\\" and text[at + 1 : at + 2] in ('"', "\\", "$", "\n"):
        return text[at + 1].strip("\n"), at + 2
    return text[at], at + 1
