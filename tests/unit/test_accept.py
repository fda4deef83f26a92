"""What a caller takes."""

from __future__ import annotations

import pytest

from shared.accept import ANYTHING, MOST_RANGES, MediaRange, media_ranges, quality_of
from shared.problems import Refused


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], [ANYTHING]),
        ([""], [ANYTHING]),
        ([" , "], [ANYTHING]),
        (["*"], [ANYTHING]),
        (["Application/DICOM"], [MediaRange("application/dicom", {})]),
        (["image/png;q=0.5, image/jpeg"], [MediaRange("image/jpeg", {}), MediaRange("image/png", {}, 0.5)]),
        (["image/png", "image/jpeg"], [MediaRange("image/png", {}), MediaRange("image/jpeg", {})]),
        (["text/html, *; q=.2"], [MediaRange("text/html", {}), MediaRange("*/*", {}, 0.2)]),
        (["image/*;q=0"], [MediaRange("image/*", {}, 0.0)]),
        (
            ['multipart/related; TYPE="application/dicom"; transfer-syntax=*'],
            [MediaRange("multipart/related", {"type": "application/dicom", "transfer-syntax": "*"})],
        ),
        (['a/b; c="d, e; f"; g=h'], [MediaRange("a/b", {"c": "d, e; f", "g": "h"})]),
        ([r'a/b; c="d\"e"'], [MediaRange("a/b", {"c": 'd"e'})]),
        (['a/b; c="d, e/f'], [MediaRange("a/b", {"c": "d, e/f"})]),
        (["a/b; q=1.5; c=1; c=2"], [MediaRange("a/b", {"c": "1"}, 1.0)]),
        (["a/b;;c;=;d=1"], [MediaRange("a/b", {"": "", "d": "1"})]),
    ],
)
def test_ranges_come_best_first(headers: list[str], expected: list[MediaRange]) -> None:
    """With their parameters, whatever their case and quotes, from one header or several."""
    assert media_ranges(headers) == expected


@pytest.mark.parametrize("garbage", ["nonsense", "*/png", "a/b/c", "/", "a/", ";q=1", "a/b;q=high", "a/b;q=-1", '"'])
def test_what_cannot_be_read_is_left_out(garbage: str) -> None:
    """And the rest still counts."""
    assert media_ranges([garbage]) == []
    assert media_ranges(["image/png", garbage]) == [MediaRange("image/png", {})]


@pytest.mark.parametrize(
    ("accept", "quality"),
    [
        ("image/png", 1.0),
        ("*/*;q=0.1", 0.1),
        ("image/*;q=0.2, */*", 0.2),
        ("*/*, image/png;q=0", 0.0),
        ("image/png;q=0.3, image/*;q=0.9", 0.3),
        ("image/jpeg", 0.0),
        ("nonsense", 0.0),
    ],
)
def test_the_most_specific_range_says_how_welcome_a_type_is(accept: str, quality: float) -> None:
    """As RFC 9110 has it."""
    assert quality_of("image/png", media_ranges([accept])) == quality


def test_equal_ranges_count_once() -> None:
    """A range that is repeated is read once, and its first place counts."""
    accept = ",".join(["image/png; a=1;b=2", 'IMAGE/png;b="2";a=1', "*/*;q=0", "image/png;q=0.5"] * 2000)
    same = MediaRange("image/png", {"a": "1", "b": "2"})
    assert media_ranges([accept]) == [same, MediaRange("image/png", {}, 0.5), MediaRange("*/*", {}, 0.0)]


def test_ranges_have_a_limit() -> None:
    """The limit counts the different ranges of all headers together, and the refusal has no part of a header."""
    most = [f"canary/{number}" for number in range(MOST_RANGES)]
    assert len(media_ranges([",".join(most), ",".join(most)])) == MOST_RANGES == 32
    for headers in ([",".join(most), "canary/more"], [",".join(f"canary/a;b={one}" for one in range(3000))]):
        with pytest.raises(Refused) as refused:
            media_ranges(headers)
        assert (refused.value.status, refused.value.code) == (400, "invalid-request")
        assert "32" in str(refused.value.members["detail"])
        assert "canary" not in f"{refused.value} {refused.value.title} {refused.value.members}"
