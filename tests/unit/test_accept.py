"""What a caller takes."""

from __future__ import annotations

import pytest

from shared.accept import ANYTHING, MediaRange, media_ranges, quality_of


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
