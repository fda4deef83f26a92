"""The file `sources.toml`: what holds for which part of the inbox, and what is told of its mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.settings import AfterStore, ConfigurationError, OnConflict, load
from shared.sources import Policy, Source, Sources, read_sources

SETTINGS = load({"DICOM_SERVICE_URL": "https://host/v2", "DICOM_STORAGE": "UseDevelopmentStorage=true"})
DEFAULT = Policy(None, None, (".dcm", ".dicom", ".ima"), AfterStore.KEEP, OnConflict.QUARANTINE, 0)

FILE = """
[[source]]
name = "others"
prefix = ""
after_store = "archive"

[[source]]
name = "mri"
prefix = "siteA/mri/"
partition = "site-a"
suffixes = [".MR", ".dcm"]
after_store = "delete"
on_conflict = "replace"
settle_after_seconds = 60

[[source]]
name = "site-a"
prefix = "siteA/"
partition = "site-a"
"""


def written(path: Path, content: str | bytes) -> str:
    file = path / "sources.toml"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(file)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("siteA/mri/1.dcm", Policy("mri", "site-a", (".mr", ".dcm"), AfterStore.DELETE, OnConflict.REPLACE, 60)),
        ("siteA/ct/1.dcm", Policy("site-a", "site-a", DEFAULT.suffixes, AfterStore.KEEP, OnConflict.QUARANTINE, 0)),
        ("siteA", Policy("others", None, DEFAULT.suffixes, AfterStore.ARCHIVE, OnConflict.QUARANTINE, 0)),
        ("SITEA/mri/1.dcm", Policy("others", None, DEFAULT.suffixes, AfterStore.ARCHIVE, OnConflict.QUARANTINE, 0)),
    ],
)
def test_the_longest_prefix_counts(tmp_path: Path, name: str, expected: Policy) -> None:
    """Wherever it stands in the file; what a source does not say, the settings say, not a shorter prefix."""
    sources = Sources(SETTINGS, read_sources(written(tmp_path, FILE)))
    assert sources.policy_for(name) == expected


@pytest.mark.parametrize(
    ("of_the_app", "of_a_source", "expected"),
    [
        ("quarantine", None, False),
        ("quarantine", "quarantine", False),
        ("quarantine", "replace", True),
        ("replace", "quarantine", True),
    ],
)
def test_whether_any_file_may_replace(of_the_app: str, of_a_source: str | None, expected: bool) -> None:
    """By the app's setting, or by that of one source."""
    settings = SETTINGS.model_copy(update={"on_conflict": OnConflict(of_the_app)})
    sources = (Source(name="one", prefix="a/", on_conflict=OnConflict(of_a_source) if of_a_source else None),)
    assert Sources(settings, sources).may_replace is expected


def test_without_a_file() -> None:
    """The settings hold for all."""
    assert read_sources(None) == ()
    assert Sources(SETTINGS).policy_for("any/name.dcm") == DEFAULT


def test_a_name_that_no_prefix_fits(tmp_path: Path) -> None:
    """As if there were no file."""
    only = FILE[FILE.index("[[source]]", 20) :]
    assert Sources(SETTINGS, read_sources(written(tmp_path, only))).policy_for("siteB/1.dcm") == DEFAULT


def test_every_mistake_at_once(tmp_path: Path) -> None:
    """Each with its place, none with the value that was written there."""
    wrong = """
[[source]]
name = "Patient Canary"
prefix = "a/"
partition = "no/partition"
suffixes = []

[[source]]
prefix = "a/"
after_store = "burn"
on_conflict = "ask"
settle_after_seconds = -1
colour = "crimson"

[other]
"""
    with pytest.raises(ConfigurationError) as raised:
        read_sources(written(tmp_path, wrong))
    places = [problem.split(": ")[1] for problem in raised.value.problems]
    assert places == [
        "source 1, name",
        "source 1, partition",
        "source 1, suffixes",
        "source 2, name",
        "source 2, after_store",
        "source 2, on_conflict",
        "source 2, settle_after_seconds",
        "source 2, colour",
        "other",
        "two sources have the same prefix",
    ]
    assert not any(value in str(raised.value) for value in ("Canary", "no/partition", "burn", "crimson"))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[[source", "sources.toml: it is no TOML"),
        (b"\xff\xfe", "SOURCES_PATH: the file cannot be read"),
        ('source = "a"', "sources.toml: source: Input should be a valid tuple"),
        (
            '[[source]]\nname="a"\nprefix="a"\n[[source]]\nname="a"\nprefix="b"',
            "sources.toml: two sources have the same name",
        ),
    ],
)
def test_a_wrong_file(tmp_path: Path, content: str | bytes, problem: str) -> None:
    """It is told what is wrong with it."""
    with pytest.raises(ConfigurationError) as raised:
        read_sources(written(tmp_path, content))
    assert raised.value.problems == [problem]


def test_a_file_that_is_set_must_be_there(tmp_path: Path) -> None:
    """A path that leads nowhere is a mistake, not a choice of the defaults."""
    with pytest.raises(ConfigurationError, match="SOURCES_PATH: the file cannot be read"):
        read_sources(str(tmp_path / "elsewhere.toml"))


def test_a_byte_order_mark(tmp_path: Path) -> None:
    """Some editors put one in front; it is no mistake."""
    content = b'\xef\xbb\xbf[[source]]\nname = "a"\nprefix = "a/"\n'
    assert [source.name for source in read_sources(written(tmp_path, content))] == ["a"]


def test_an_empty_file(tmp_path: Path) -> None:
    """It names no source."""
    assert read_sources(written(tmp_path, "")) == ()
