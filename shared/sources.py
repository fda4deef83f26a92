"""Who drops files: rules for parts of the inbox, from the optional file `sources.toml`.

`docs/ingest.md` has an example. What a source does not say, the settings say.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from shared.dicomweb import InvalidParameter
from shared.dicomweb.partitions import partition_path
from shared.settings import AfterStore, ConfigurationError, OnConflict, Settings, Suffixes

DEFAULT_PATH = Path(__file__).resolve().parent.parent / "sources.toml"


def _partition(value: str) -> str:
    try:
        partition_path(value)
    except InvalidParameter as error:
        raise ValueError(str(error)) from None
    return value


class Source(BaseModel):
    """One entry of the file; its name stands in the log: a word, nothing of a patient's."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")
    prefix: str = Field(max_length=1024)
    partition: Annotated[str, AfterValidator(_partition)] | None = None
    suffixes: Suffixes | None = None
    after_store: AfterStore | None = None
    on_conflict: OnConflict | None = None
    settle_after_seconds: int | None = Field(default=None, ge=0, le=86_400)


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    source: tuple[Source, ...] = ()


@dataclass(frozen=True)
class Policy:
    """What holds for a blob.

    Args:
        source: the name of its source; None where none fits.
        partition: of the DICOM service; None for a service without partitions.
        suffixes: of the names that are stored, with their dots, in small letters.
        after_store: what becomes of the file.
        on_conflict: what is done where the service has other bytes.
        settle_after_seconds: how long an unfinished file must be unchanged before it is rejected.
    """

    source: str | None
    partition: str | None
    suffixes: tuple[str, ...]
    after_store: AfterStore
    on_conflict: OnConflict
    settle_after_seconds: int


class Sources:
    """The sources of an installation, the longest prefix first."""

    def __init__(self, settings: Settings, sources: tuple[Source, ...] = ()) -> None:
        self._settings = settings
        self._sources = sorted(sources, key=lambda source: len(source.prefix), reverse=True)

    @property
    def may_replace(self) -> bool:
        """Whether a file of any source, or of none, may replace what is stored."""
        policies = [self._settings.on_conflict, *(source.on_conflict for source in self._sources)]
        return OnConflict.REPLACE in policies

    def policy_for(self, name: str) -> Policy:
        """Return what holds for a blob of this name."""
        source = next((source for source in self._sources if name.startswith(source.prefix)), None)
        said = source.model_dump(exclude_none=True) if source else {}
        settings = self._settings
        return Policy(
            source=said.get("name"),
            partition=said.get("partition"),
            suffixes=said.get("suffixes", settings.inbox_suffixes),
            after_store=said.get("after_store", settings.after_store),
            on_conflict=said.get("on_conflict", settings.on_conflict),
            settle_after_seconds=said.get("settle_after_seconds", settings.settle_after_seconds),
        )


def read_sources(path: str | None) -> tuple[Source, ...]:
    """Read the file; no file at the default place means no sources.

    Raises:
        ConfigurationError: it is missing where a path is set, or something in it is wrong: all that is.
    """
    file = DEFAULT_PATH if path is None else Path(path)
    if path is None and not file.exists():
        return ()
    try:
        return _checked(tomllib.loads(file.read_text("utf-8-sig")))
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError(["SOURCES_PATH: the file cannot be read"]) from None
    except tomllib.TOMLDecodeError:
        raise ConfigurationError(["sources.toml: it is no TOML"]) from None


def _checked(content: dict[str, Any]) -> tuple[Source, ...]:
    repeated = _repeated(content.get("source"))
    try:
        sources = _File.model_validate(content).source
    except ValidationError as error:
        raise ConfigurationError([*_problems(error), *repeated]) from None
    if repeated:
        raise ConfigurationError(repeated)
    return sources


def _repeated(sources: object) -> list[str]:
    entries = [entry for entry in sources if isinstance(entry, dict)] if isinstance(sources, list) else []
    problems = []
    for key in ("name", "prefix"):
        values = [entry[key] for entry in entries if isinstance(entry.get(key), str)]
        if len(set(values)) < len(values):
            problems.append(f"sources.toml: two sources have the same {key}")
    return problems


def _problems(error: ValidationError) -> list[str]:
    return [
        f"sources.toml: {_place(problem['loc'])}: {problem['msg'].removeprefix('Value error, ')}"
        for problem in error.errors(include_url=False, include_input=False, include_context=False)
    ]


def _place(location: tuple[int | str, ...]) -> str:
    """Say where in the file: `source 2, after_store`; the first source is number 1."""
    parts: list[Any] = [part + 1 if isinstance(part, int) else part for part in location]
    return " ".join(map(str, parts[:2])) + (f", {parts[2]}" if len(parts) > 2 else "")
