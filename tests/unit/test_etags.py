"""Entity tags between callers, who have them in quotes, and the service, which has not."""

from __future__ import annotations

import pytest

from query_api.retrieving.etags import IfNoneMatch, quoted


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ([], IfNoneMatch()),
        ([""], IfNoneMatch()),
        (['"7-1"'], IfNoneMatch(("7-1",))),
        (["7-1"], IfNoneMatch(("7-1",))),
        (['W/"7-1"'], IfNoneMatch(("7-1",))),
        (["W/7-1"], IfNoneMatch(("7-1",))),
        (['"7-1", W/"8-2" ,9'], IfNoneMatch(("7-1", "8-2", "9"))),
        (['"7-1"', '"a,b"'], IfNoneMatch(("7-1", "a,b"))),
        ([" * "], IfNoneMatch(is_any=True)),
        (['""'], IfNoneMatch()),
        (["caf\u00e9\n"], IfNoneMatch(("caf",))),
    ],
)
def test_what_callers_send_back(sent: list[str], expected: IfNoneMatch) -> None:
    """In the Standard's form or the service's, one or several."""
    assert IfNoneMatch.of(sent) == expected


def test_the_service_is_asked_with_one() -> None:
    """The others are compared with what it answers."""
    known = IfNoneMatch.of(['"7-1", "8-2"'])
    assert known.for_service == {"If-None-Match": "7-1"}
    assert [known.has(etag) for etag in ("7-1", "8-2", '"8-2"', "9-3", None)] == [True, True, True, False, False]
    assert IfNoneMatch.of(["*"]).for_service == {}
    assert IfNoneMatch.of(["*"]).has("9-3")
    assert not IfNoneMatch().has(None)


@pytest.mark.parametrize(
    ("etag", "expected"),
    [
        ("7-1", '"7-1"'),
        ('"7-1"', '"7-1"'),
        ('W/"7-1"', '"7-1"'),
        (None, None),
        ("", None),
        ("a b", None),
        ('a"b', None),
    ],
)
def test_callers_get_them_in_quotes(etag: str | None, expected: str | None) -> None:
    """And nothing that is no tag."""
    assert quoted(etag) == expected
