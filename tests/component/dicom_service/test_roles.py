"""Roles at the local DICOM service: the owner may do all, the reader read, ingest store too, retention delete too."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local import tokens
from tests.kit.service import (
    DICOM_JSON,
    ServiceClient,
    running,
)

SECRET = "a secret of the tests, long enough for HS256"
INSTANCE = "/studies/1.2/series/1.3/instances/1.4"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The root of a service that asks for tokens."""
    with running(tmp_path_factory.mktemp("dicom"), token_secret=SECRET) as url:
        yield url


@pytest.fixture(scope="module")
def clients(root: str) -> Iterator[dict[str, ServiceClient]]:
    """A client in each role but the owner's."""
    roles = [role for role in tokens.ROLES if role != "owner"]
    clients: dict[str, ServiceClient] = {}
    for role in roles:
        clients[role] = ServiceClient(root, bearer(tokens.issue(SECRET, role=role)))
    yield clients
    for client in clients.values():
        client.http.close()


# Who may ask for it beside the owner.
ALL, INGEST, RETENTION, NOBODY = {"reader", "ingest", "retention"}, {"ingest"}, {"retention"}, set[str]()
RIGHTS = [
    ("GET", f"{INSTANCE}/frames/1", ALL),
    ("GET", f"{INSTANCE}/rendered", ALL),
    ("GET", f"{INSTANCE}/frames/1/rendered", ALL),
    ("GET", "/partitions", ALL),
    ("GET", "/partitions/one/studies", ALL),
    ("GET", "/extendedquerytags", ALL),
    ("GET", "/extendedquerytags/00101020", ALL),
    ("GET", "/extendedquerytags/00101020/errors", ALL),
    ("POST", "/studies", INGEST),
    ("POST", "/studies/1.2", INGEST),
    ("PUT", "/studies", INGEST),
    ("POST", "/partitions/one/studies", INGEST),
    ("DELETE", "/studies/1.2", RETENTION),
    ("DELETE", "/studies/1.2/series/1.3", RETENTION),
    ("DELETE", INSTANCE, RETENTION),
    ("DELETE", "/partitions/one/studies/1.2", RETENTION),
    ("POST", "/studies/$bulkUpdate", NOBODY),
    ("POST", "/export", NOBODY),
    ("POST", "/extendedquerytags", NOBODY),
    ("PATCH", "/extendedquerytags/00101020", NOBODY),
    ("DELETE", "/extendedquerytags/00101020", NOBODY),
    ("POST", "/workitems", NOBODY),
    ("GET", "/operations/0123456789abcdef0123456789abcdef", NOBODY),
]


@pytest.mark.parametrize(("method", "path", "allowed"), RIGHTS)
def test_rights(clients: dict[str, ServiceClient], method: str, path: str, allowed: set[str]) -> None:
    """Whoever may is answered about what was asked for; the others are 403."""
    for role, client in clients.items():
        if role in allowed:
            accept = "*/*" if method == "GET" else DICOM_JSON
            assert client.http.request(method, path, headers={"Accept": accept}).status_code not in (401, 403), role
        else:
            check_is_refused(client, method, path)


def check_is_refused(client: ServiceClient, method: str, path: str) -> None:
    """See that the answer is 403 in plain text."""
    response = client.http.request(method, path, headers={"Accept": DICOM_JSON})
    assert response.status_code == 403
    assert response.headers["Content-Type"].startswith("text/plain")
    assert "role" in response.text
    assert "WWW-Authenticate" not in response.headers
