"""Each `az …` that the documents and infra/hooks have somebody run, as the shell reads it.

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
# Commands of the shell that run what they are given in one word.
_RUN_SCRIPTS = ("bash", "eval", "sh", "trap")
# Those of it and of PowerShell that only ask whether a command is there.
_LOOK_FOR = ("command", "Get-Command")
_BLANK = re.compile(r"(?:[ \t]|\\\n)+|(?<![^\s;])#[^\n]*")
_HERE_DOCUMENT = re.compile(r"<<-?[ \t]*(['\"]?)(\w+)\1")
# The head of a function as well, for what follows it is a command.
_SEPARATOR = re.compile(r"(?:[;&|\n(]|\w+\(\))+|\)")
_REDIRECTION = re.compile(r"\d*[<>][<>&]?[ \t]*")
_VARIABLE = re.compile(r"\$(?:\{[^{}]*\}|\w+|[@*#?$!-])")
_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"`([^`\n]*\baz [a-z][^`\n]*)`|(?:^|\s)#[^\n]*: (az [^\n]+)", re.MULTILINE)


@dataclass(frozen=True)
class Command:
    """A call of the CLI.

    Args:
        page: the file that it stands in.
        words: its words after `az`.
        is_whole: whether it is to be run as it stands; a sentence may merely name a command.
    """

    page: str
    words: tuple[str, ...]
    is_whole: bool

    def __str__(self) -> str:
        words = " ".join(self.words).replace(UNKNOWN, "…")
        return f"{self.page}: az {words}"

    @property
    def name(self) -> str:
        """Return the command's own words, up to the first option."""
        first = next((at for at, word in enumerate(self.words) if word.startswith("-")), len(self.words))
        return " ".join(self.words[:first])

    @property
    def options(self) -> list[tuple[str, list[str]]]:
        """Return each option as it is spelt, with the values that follow it."""
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
    for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]):
        found += [Command(str(path.relative_to(ROOT)), *one) for one in of_a_page(path.read_text())]
    for path in sorted(ROOT.glob("infra/hooks/*")):  # PowerShell's are written so that a shell's grammar fits them
        found += [Command(str(path.relative_to(ROOT)), words, True) for words in of_a_script(path.read_text())]
    return found


def of_a_page(text: str) -> Iterator[tuple[tuple[str, ...], bool]]:
    """Yield the commands of a page, each with whether it is to be run: those in blocks, and those in sentences."""
    for _, language, block in _FENCE.findall(text):
        scripts = _steps(yaml.safe_load(block)) if language == "yaml" else [block]
        for script in scripts if re.search(r"\baz ", block) else []:
            for words in of_a_script(_filled_in(script)):
                yield words, True
    for span, comment in _NAMED.findall(text):
        for words in of_a_script(_filled_in((span or comment).replace("\\|", "|"))):
            yield words, False


def of_a_script(text: str) -> Iterator[tuple[str, ...]]:
    """Yield the words after `az` of each call in a script, those that are handed to others to run as well.

    Raises:
        ValueError: if a quote or a bracket is open.
    """
    for words in simple_commands(text):
        if "az" in words and not set(words) & set(_LOOK_FOR):
            yield tuple(words[words.index("az") + 1 :])
        for script in words[1:] if words[0] in _RUN_SCRIPTS else []:
            yield from of_a_script(script)


def simple_commands(text: str) -> list[list[str]]:
    """Return the words of each simple command in a script, those within others' words as well."""
    script = _Script(text)
    script.commands()
    return script.found


def _filled_in(text: str) -> str:
    """Return a text with something in the place of what the reader has to fill in."""
    return re.sub(r"<[a-z][^<>|\n]*>", UNKNOWN, text)


def _steps(workflow: Any) -> Iterator[str]:
    """Yield what the steps of a pipeline run."""
    if isinstance(workflow, dict):
        yield from [workflow["run"]] if isinstance(workflow.get("run"), str) else []
        workflow = list(workflow.values())
    for below in workflow if isinstance(workflow, list) else []:
        yield from _steps(below)


class _Script:
    """A reader of the shell's grammar, as far as commands, words and quotes."""

    def __init__(self, text: str) -> None:
        self.found: list[list[str]] = []
        self._text, self._at = text, 0
        self._here_documents: list[re.Pattern[str]] = []

    def commands(self, end: str = "") -> None:
        """Read up to the bracket that closes, or to the end."""
        words: list[str] = []
        while self._at < len(self._text):
            if separator := self._skip(_SEPARATOR):
                self.found += [words] if words else []
                words = []
                if separator == end:
                    return
                if "\n" in separator:
                    self._bodies()
            else:
                words += self._words()
        if end:
            raise ValueError("a bracket is open")
        self.found += [words] if words else []

    def _words(self) -> list[str]:
        """Read what stands between two separators: a word, or what is none."""
        if self._skip(_BLANK):
            return []
        if here := self._match(_HERE_DOCUMENT):
            self._here_documents.append(re.compile(rf"^[ \t]*{here[2]}$", re.MULTILINE))
            return []
        if self._skip(_REDIRECTION):
            self._word()
            return []
        return [self._word()]

    def _word(self) -> str:
        word = ""
        while self._at < len(self._text) and self._text[self._at] not in " \t\n;&|()<>":
            if self._text[self._at] == "'":
                begin, self._at = self._at + 1, self._text.index("'", self._at + 1) + 1
                word += self._text[begin : self._at - 1]
            elif self._text[self._at] == '"':
                word += self._double_quoted()
            else:
                word += self._piece()
        return word

    def _double_quoted(self) -> str:
        self._at += 1
        word = ""
        while self._at < len(self._text) and self._text[self._at] != '"':
            word += self._piece()
        if self._at == len(self._text):
            raise ValueError(f"a quote is open: {word[:40]}")
        self._at += 1
        return word

    def _piece(self) -> str:
        """Read a character, or what stands for others."""
        if self._text.startswith("$(", self._at):
            self._at += 2
            self.commands(")")
            return UNKNOWN
        if self._skip(_VARIABLE):
            return UNKNOWN
        if self._text[self._at] == "\\" and self._text[self._at + 1 : self._at + 2] in ('"', "\\", "$", "\n"):
            self._at += 2
            return self._text[self._at - 1].strip("\n")
        self._at += 1
        return self._text[self._at - 1]

    def _bodies(self) -> None:
        """Read the here-documents that the line before announced: their substitutions are commands, too."""
        for end in self._here_documents:
            found = end.search(self._text, self._at)
            if not found:
                raise ValueError("a here-document is open")
            body = _Script(self._text[self._at : found.start()])
            while body._at < len(body._text):
                body._piece()
            self.found += body.found
            self._at = found.end()
        self._here_documents = []

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self._text, self._at)
        if found:
            self._at = found.end()
        return found

    def _skip(self, pattern: re.Pattern[str]) -> str:
        found = self._match(pattern)
        return found[0] if found else ""
