"""Roles at the local DICOM service: the owner may do all, the reader read, ingest store too, retention delete too."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest

from local import tokens
from tests.kit.service import (
    DICOM_JSON,
    Sample,
    ServiceClient,
    running,
)

SECRET = "a secret of the tests, long enough for HS256"
INSTANCE = "/studies/1.2/series/1.3/instances/1.4"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def token_with(**claims: Any) -> str:
    """Return a valid token with claims of its own, and no role but those."""
    own = {"aud": tokens.DICOM_AUDIENCE, "iss": tokens.ISSUER, "exp": int(time.time()) + 600}
    return jwt.encode({**own, **claims}, SECRET, algorithm="HS256")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The root of a service that asks for tokens."""
    with running(tmp_path_factory.mktemp("dicom"), token_secret=SECRET) as url:
        yield url


@pytest.fixture(scope="module")
def reader(root: str) -> Iterator[ServiceClient]:
    """A client that may only read."""
    client = ServiceClient(root, bearer(tokens.issue(SECRET, role="reader")))
    with client.http:
        yield client


@pytest.fixture(scope="module")
def ingest(root: str) -> Iterator[ServiceClient]:
    """A client that may read and store."""
    client = ServiceClient(root, bearer(tokens.issue(SECRET, role="ingest")))
    with client.http:
        yield client


@pytest.fixture(scope="module")
def retention(root: str) -> Iterator[ServiceClient]:
    """A client that may read and delete."""
    client = ServiceClient(root, bearer(tokens.issue(SECRET, role="retention")))
    with client.http:
        yield client


in_each_role = pytest.mark.parametrize("role", ["reader", "ingest", "retention"])


@in_each_role
@pytest.mark.parametrize(
    "path",
    [
        f"{INSTANCE}/frames/1",
        f"{INSTANCE}/rendered",
        f"{INSTANCE}/frames/1/rendered",
        "/partitions",
        "/partitions/one/studies",
        "/extendedquerytags",
        "/extendedquerytags/00101020",
        "/extendedquerytags/00101020/errors",
    ],
)
def test_reading(request: pytest.FixtureRequest, role: str, path: str) -> None:
    """Whatever the answer to these is, it is not for want of a role."""
    client: ServiceClient = request.getfixturevalue(role)
    assert client.get(path, "*/*").status_code not in (401, 403)


STORES = [
    ("POST", "/studies"),
    ("POST", "/studies/1.2"),
    ("PUT", "/studies"),
    ("POST", "/partitions/one/studies"),
]


@pytest.mark.parametrize(("method", "path"), STORES)
def test_storing(
    reader: ServiceClient, ingest: ServiceClient, retention: ServiceClient, method: str, path: str
) -> None:
    """Ingest may; the answer is about what it sends. The others may not."""
    assert ingest.http.request(method, path, headers={"Accept": DICOM_JSON}).status_code not in (401, 403)
    check_is_refused(reader, method, path)
    check_is_refused(retention, method, path)


@pytest.mark.parametrize("path", ["/studies/1.2", "/studies/1.2/series/1.3", INSTANCE, "/partitions/one/studies/1.2"])
def test_deleting(reader: ServiceClient, ingest: ServiceClient, retention: ServiceClient, path: str) -> None:
    """Retention may; the answer is about what is there. The others may not."""
    assert retention.delete(path) not in (401, 403)
    check_is_refused(reader, "DELETE", path)
    check_is_refused(ingest, "DELETE", path)


@in_each_role
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/studies/$bulkUpdate"),
        ("POST", "/export"),
        ("POST", "/extendedquerytags"),
        ("PATCH", "/extendedquerytags/00101020"),
        ("DELETE", "/extendedquerytags/00101020"),
        ("POST", "/workitems"),
        ("GET", "/operations/0123456789abcdef0123456789abcdef"),
    ],
)
def test_anything_else(request: pytest.FixtureRequest, role: str, method: str, path: str) -> None:
    """The owner alone may do it."""
    check_is_refused(request.getfixturevalue(role), method, path)


def check_is_refused(client: ServiceClient, method: str, path: str) -> None:
    """See that the answer is 403 in plain text."""
    response = client.http.request(method, path, headers={"Accept": DICOM_JSON})
    assert response.status_code == 403
    assert response.headers["Content-Type"].startswith("text/plain")
    assert "role" in response.text
    assert "WWW-Authenticate" not in response.headers


@pytest.mark.parametrize("claims", [{}, {"roles": []}, {"roles": ["admin"]}, {"roles": "owner"}, {"roles": None}])
def test_no_role_may_do_nothing(root: str, claims: dict[str, Any]) -> None:
    """A valid token without a role that is known is 403 on everything."""
    client = ServiceClient(root, bearer(token_with(**claims)))
    with client.http:
        assert client.get("/studies").status_code == 403
        assert client.store(Sample().content).status_code == 403
        assert client.delete("/studies/1.2") == 403


def test_one_of_several_roles_suffices(root: str) -> None:
    """Roles add up; those that are not known do not count."""
    client = ServiceClient(root, bearer(token_with(roles=["other", "reader", "owner"])))
    with client.http:
        client.store_samples(Sample())
