"""The version of the API is the first segment of each path."""

from __future__ import annotations

import pytest

from tests.contract.differences import contains, equal, expect
from tests.contract.service import Service
from tests.contract.sources import AZURE_VERSIONS, OPEN_SOURCE

pytestmark = pytest.mark.source(AZURE_VERSIONS)


def root(service: Service) -> str:
    """Return the service's address without its version."""
    return service.version_url.removesuffix("/v2")


def test_no_version(service: Service) -> None:
    """A path without a version is 404, and names no versions."""
    response = expect(service.get(f"{root(service)}/studies"), 404)
    equal("api-supported-versions", response.headers.get("api-supported-versions"), None)


@pytest.mark.source(f"{OPEN_SOURCE}'s framework")
def test_unknown_version(service: Service) -> None:
    """A version that does not exist is 400, with an error in JSON."""
    response = expect(service.get(f"{root(service)}/v9/studies"), 400)
    contains("members", response.json(), "error")


@pytest.mark.parametrize("resource", ["/studies?limit=1", "/studies/1.2.3/metadata"])
def test_supported_versions(service: Service, resource: str) -> None:
    """Answers, of errors too, name the supported versions in `api-supported-versions`."""
    response = service.get(resource)
    versions = [version.strip() for version in response.headers.get("api-supported-versions", "").split(",")]
    equal("2 or v2 is among them", bool({"2", "v2", "2.0"} & set(versions)), True)
