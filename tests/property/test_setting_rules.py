"""The rules of settings accept what Azure's own readers accept, and refuse what they refuse."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from azure.storage.blob import BlobServiceClient
from hypothesis import given
from hypothesis import strategies as st

from local.functions_host.ncrontab import parse
from shared.settings import rules

KEY = "AccountKey=a2V5"


def accepts(rule: Callable[[str], object], value: str) -> bool:
    try:
        rule(value)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    "value",
    [
        "UseDevelopmentStorage=true",
        "UseDevelopmentStorage=true;",
        "UseDevelopmentStorage=true;DevelopmentStorageProxyUri=http://127.0.0.1",
        f"DefaultEndpointsProtocol=https;AccountName=a;{KEY};EndpointSuffix=core.windows.net",
        f"accountname=a;{KEY.lower()}==;",
        "BlobEndpoint=https://a.blob.core.windows.net;SharedAccessSignature=sv=2024&sig=x%3D",
    ],
)
def test_connection_strings_that_storage_takes(value: str) -> None:
    """Each of them makes a client, and passes."""
    BlobServiceClient.from_connection_string(value).close()
    assert accepts(rules.connection_string, value)


@pytest.mark.parametrize(
    "value", ["nonsense", "AccountName=a", KEY, "BlobEndpoint=https://a", "AccountName=;" + KEY, "=x"]
)
def test_connection_strings_that_lead_nowhere(value: str) -> None:
    """Without an account or a way in, it is told before it is tried."""
    assert not accepts(rules.connection_string, value)


@pytest.mark.parametrize(
    ("value", "good"),
    [
        ("a-b", True),
        ("abc", True),
        ("a" * 63, True),
        ("a-" * 31 + "a", True),
        ("ab", False),
        ("a" * 64, False),
        ("a--b", False),
        ("-ab", False),
        ("ab-", False),
        ("Abc", False),
    ],
)
def test_container_names(value: str, good: bool) -> None:
    """3 to 63 small letters, digits and single dashes."""
    assert accepts(rules.container, value) is good


ITEMS = st.one_of(
    st.just("*"),
    st.integers(0, 70).map(str),
    st.tuples(st.integers(0, 40), st.integers(0, 40)).map(lambda ends: f"{ends[0]}-{ends[1]}"),
    st.sampled_from(["mon", "Monday", "JAN", "January", "xyz", "", "-", "1-", "x"]),
).flatmap(lambda span: st.sampled_from([span, f"{span}/5", f"{span}/0", f"{span}/"]))
FIELDS = st.lists(ITEMS, min_size=1, max_size=2).map(",".join)


@given(st.lists(FIELDS, min_size=4, max_size=7).map(" ".join))
def test_schedules_are_those_that_the_host_takes(value: str) -> None:
    """What passes here is never refused there, and the other way round."""
    assert accepts(rules.schedule, value) is accepts(parse, value)
