"""The query of a search at the local DICOM service: any text is a query or a 400; keys sort as what they stand for."""

from __future__ import annotations

from datetime import datetime, time
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from local.dicom_service.search import matching, query
from local.dicom_service.search.attributes import SEARCHABLE, Attribute, Level
from local.dicom_service.web.errors import ServiceError
from local.dicom_service.web.options import MAX_LIMIT

EXTENDED = {vr: Attribute(f"Of{vr}", f"0011{n:04X}", vr, Level.STUDY) for n, vr in enumerate(sorted(matching.VRS))}
OPTIONS = ("limit", "offset", "FuzzyMatching", "includefield")
TAGS = [attribute.tag for attribute in (*SEARCHABLE.values(), *EXTENDED.values())]
NAMES = st.sampled_from([*OPTIONS, *TAGS, *(attribute.keyword for attribute in SEARCHABLE.values())])
VALUES = st.one_of(
    st.text(),
    st.text("0123456789.+-eE"),
    st.sampled_from(["true", "all", "nan", "1e999", "20240102", "20240102-", "1011", "%00"]),
)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=4))
def test_any_query_is_read_or_refused(pairs: list[tuple[str, str]]) -> None:
    """Whatever the values are, the outcome is a query within its limits or a 400 that quotes none of them."""
    asked = _parsed("&".join(f"{name}={quote(value)}" for name, value in pairs))
    if isinstance(asked, ServiceError):
        assert asked.status_code == 400
        assert not any(len(value) > 8 and value in asked.sentence for _, value in pairs)
    else:
        assert 1 <= asked.limit <= MAX_LIMIT
        assert asked.names.keys() == {condition.attribute.tag for condition in asked.conditions} <= asked.fields


@given(st.text())
def test_any_text_is_a_query_or_refused(text: str) -> None:
    """Nothing in a query string makes the service stumble."""
    _parsed(text)


@given(st.datetimes(), st.datetimes())
def test_dates_and_times_sort_by_moment(one: datetime, other: datetime) -> None:
    """The keys of two DT values, and of two DA, are in the order of the moments."""
    first, second = (f"{moment.year:04}{moment:%m%d%H%M%S.%f}" for moment in (one, other))
    date_time, date = EXTENDED["DT"], EXTENDED["DA"]
    assert (_key(date_time, first) < _key(date_time, second)) == (one < other)
    assert (_key(date, first[:8]) < _key(date, second[:8])) == (one.date() < other.date())


@given(st.times(), st.sampled_from([2, 4, 6]))
def test_a_shortened_time_is_its_beginning(moment: time, digits: int) -> None:
    """What a TM value leaves out is zero."""
    text = f"{moment:%H%M%S.%f}"
    rest = "000000"[digits:] + ".000000"
    assert (
        _key(EXTENDED["TM"], text[:digits]) == _key(EXTENDED["TM"], text[:digits] + rest) <= _key(EXTENDED["TM"], text)
    )


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**31), 2**32 - 1))
def test_numbers_are_their_own_keys(real: float, integer: int) -> None:
    """A number is looked for by any way to write it."""
    assert matching.key_of(EXTENDED["FD"], repr(real)) == matching.key_of(EXTENDED["FD"], f"{real:+.17e}") == real
    assert matching.key_of(EXTENDED["SL"], f"{integer:+}") == integer


def _parsed(text: str) -> query.Query | ServiceError:
    try:
        return query.parse(text, frozenset(Level), EXTENDED.values())
    except ServiceError as error:
        return error


def _key(attribute: Attribute, value: str) -> str:
    return str(matching.key_of(attribute, value))
