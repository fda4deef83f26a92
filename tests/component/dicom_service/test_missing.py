"""What the local DICOM service cannot do yet: the list in the code, in its README and here are one."""

from __future__ import annotations

import pytest

from tests.kit.service import ServiceClient, service

__all__ = ["service"]

# Whoever adds to this list makes the service do less than it did: look twice.


@pytest.mark.parametrize(
    ("method", "path", "feature"),
    [
        ("POST", "/studies/$bulkUpdate", "bulk update"),
        ("POST", "/export", "export"),
        ("POST", "/workitems?1.2.3", "workitems"),
        ("GET", "/workitems/1.2", "workitems"),
        ("PUT", "/workitems/1.2/state", "workitems"),
    ],
)
def test_missing_features_answer_501(service: ServiceClient, method: str, path: str, feature: str) -> None:
    """Each says in one plain sentence what is missing."""
    response = service.http.request(method, path)
    assert response.status_code == 501
    assert response.headers["Content-Type"].startswith("text/plain")
    assert feature in response.text
