"""What goes into a request's address: UIDs, paths and queries."""

from __future__ import annotations

from string import ascii_letters, digits
from urllib.parse import parse_qsl

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.dicomweb import InvalidParameter, Query, Resource, check_uid
from shared.dicomweb.query import MAX_LIMIT
from shared.dicomweb.retry import retry_after_seconds

UIDS = st.from_regex(r"[A-Za-z0-9.-]{1,64}", fullmatch=True).filter(lambda uid: bool(uid.strip(".")))
VALUES = st.text(min_size=1, max_size=30)
# Private, or no keyword of the dictionary: their values are free.
ATTRIBUTES = st.from_regex(r"[0-9A-F]{3}91001|[A-Z][a-z0-9]{1,20}X", fullmatch=True)


@given(value=st.one_of(st.text(max_size=70), st.text("0123456789aZ-._/% \n", max_size=70), st.text("."), UIDS))
def test_check_uid(value: str) -> None:
    """A UID is letters, digits, dots and hyphens, 64 at most, not dots alone; an error does not hold the value."""
    if 0 < len(value) <= 64 and set(value) <= set(f"{ascii_letters}{digits}.-") and value.strip("."):
        assert check_uid("name", value) == value
    else:
        with pytest.raises(InvalidParameter) as raised:
            check_uid("name", value)
        assert str(raised.value) == (
            "name is not a valid UID: write letters, digits, dots and hyphens, not dots alone, at most 64 characters"
        )


@given(uids=st.lists(UIDS, max_size=3))
def test_paths(uids: list[str]) -> None:
    """A resource's path holds its UIDs in order, tells its level, and passes a URL parser unchanged."""
    resource = Resource(*uids)
    assert resource.level == ("all", "study", "series", "instance")[len(uids)]
    names = ("studies", "series", "instances")
    words = [word for pair in zip(names, uids, strict=False) for word in pair]
    assert resource.path == "/" + "/".join(words or ["studies"])
    assert httpx.URL(f"https://host/v2{resource.path}").raw_path == f"/v2{resource.path}".encode()


@pytest.mark.parametrize("gap", [(None, "1", None), (None, None, "1"), ("1", None, "1"), (None, "1", "1")])
def test_gaps_between_levels(gap: tuple[str | None, str | None, str | None]) -> None:
    """A series without a study, or an instance without a series, names nothing."""
    with pytest.raises(InvalidParameter, match="needs the UIDs above it"):
        Resource(*gap)


@given(
    filters=st.dictionaries(
        ATTRIBUTES, VALUES.filter(lambda value: value.strip() and not set('<"') & set(value)), max_size=4
    ),
    fields=st.lists(ATTRIBUTES, max_size=3),
    fuzzy=st.booleans(),
    limit=st.none() | st.integers(1, MAX_LIMIT),
    offset=st.integers(0, 1 << 40),
)
def test_query_round_trip(
    filters: dict[str, str], fields: list[str], fuzzy: bool, limit: int | None, offset: int
) -> None:
    """What is encoded is decoded to the same parameters in the same order, and passes a URL parser unchanged."""
    encoded = Query(filters, fields, fuzzy, limit, offset).encode()
    expected = [*filters.items(), *(("includefield", name) for name in fields)]
    expected += [("fuzzymatching", "true")] if fuzzy else []
    expected += [("limit", str(limit))] if limit else []
    expected += [("offset", str(offset))] if offset else []
    assert parse_qsl(encoded, keep_blank_values=True, strict_parsing=bool(encoded)) == expected
    assert httpx.URL(f"https://host/studies?{encoded}").query == encoded.encode("ascii")


@pytest.mark.parametrize(
    "arguments",
    [
        {"limit": 0},
        {"limit": MAX_LIMIT + 1},
        {"offset": -1},
        {"includefield": ("all", "StudyDate")},
        {"filters": {"PatientID": ""}},
        {"filters": {"PatientID": "  "}},
        {"filters": {"PatientID": "a<b"}},
        {"filters": {"limit": "1"}},
        {"filters": {"IncludeField": "all"}},
        {"filters": {"Patient-ID": "1"}},
        {"filters": {"0010002": "1"}},
        {"filters": {"(0010,0020)": "1"}},
        {"filters": {"0040A730.": "1"}},
        {"limit": True},
        {"limit": 1.5},
        {"limit": "5"},
        {"offset": 1.5},
        {"includefield": "PatientName"},
        {"includefield": ("ALL", "StudyDate")},
        {"filters": {"PatientID": 5}},
        {"filters": {"PatientID": "1", "00100020": "1"}},
        {"filters": {"PatientName": "\ud800"}},
        {"filters": {"PatientName": 'a"b'}, "fuzzymatching": True},
        {"filters": {"StudyDate": "2020"}},
        {"filters": {"StudyDate": "20201301"}},
        {"filters": {"StudyDate": "20200101--20210101"}},
        {"filters": {"StudyDate": "20200101 - 20190101"}},
        {"filters": {"StudyDate": "-"}},
        {"filters": {"StudyDate": "20200102-20200101"}},
        {"filters": {"00080020": "20200102-20200101"}},
        {"includefield": ("StudyDate,StudyTime",)},
    ],
)
def test_queries_that_no_service_takes(arguments: dict[str, object]) -> None:
    """What the service would answer with 400 is refused before."""
    with pytest.raises(InvalidParameter):
        Query(**arguments)  # type: ignore[arg-type]  # one argument at a time, of its own type


def test_what_was_checked_is_what_is_sent() -> None:
    """A query keeps its own copy of what it was made from, and takes a generator once."""
    filters = {"PatientID": "1"}
    query = Query(filters, includefield=(name for name in ["StudyDate"]))  # type: ignore[arg-type]  # no sequence
    filters["PatientID"] = "<"
    assert query.encode() == query.encode() == "PatientID=1&includefield=StudyDate"


@pytest.mark.parametrize(
    "filters",
    [
        {"StudyDate": "20200101"},
        {"StudyDate": "20200101-20200102"},
        {"StudyDate": "20200101-20200101"},
        {"StudyDate": "-20200102"},
        {"StudyDate": "20200101-"},
        {"AccessionNumber": "20200102-20200101"},
        {"PatientID": "-"},
        {"00091001": "20200102-20200101"},
        {"0040A730.0040A168.00080100": "1"},
    ],
)
def test_queries_that_are_sent(filters: dict[str, str]) -> None:
    """A range must be in order only where it is one of dates, and attributes inside a sequence may be named."""
    [(name, value)] = filters.items()
    assert parse_qsl(Query(filters).encode()) == [(name, value)]


@given(
    value=st.one_of(
        st.text(max_size=40),
        st.integers().map(str),
        st.from_regex(
            r"(Mon, )?[0-9]{1,12} (Jan|Feb) [0-9]{1,25} [0-9]{1,9}:[0-9]{1,3}(:[0-9]{1,12})? (GMT|[+-][0-9]{1,12}|)",
            fullmatch=True,
        ),
    )
)
def test_any_retry_after(value: str) -> None:
    """Whatever stands in Retry-After gives a finite number of seconds, or none."""
    seconds = retry_after_seconds(value)
    assert seconds is None or 0 <= seconds < 1e12
