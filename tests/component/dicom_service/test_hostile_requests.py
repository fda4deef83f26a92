"""What a request can cost the local DICOM service is bounded, whoever sends it."""

from __future__ import annotations

import pytest

from local.dicom_service.store.bodies import MAX_PARTS
from tests.kit.service import ServiceClient, service

__all__ = ["service"]


@pytest.mark.parametrize("text", ['"' + 'a\\"' * 20_000, 'a"' * 30_001, '"' * 60_000, "\\" * 60_000])
def test_accept_header_of_open_quotes(service: ServiceClient, text: str) -> None:
    """A quote that nobody closes is no media type, however much is in it: 406."""
    assert service.get("/studies", text).status_code == 406


def test_too_many_parts(service: ServiceClient) -> None:
    """A request of more parts than the limit is 400."""
    content_type = {"Content-Type": "multipart/related; boundary=x"}
    parts = b"--x\r\n\r\n\r\n" * MAX_PARTS
    assert service.store(parts + b"--x--", **content_type).status_code == 204
    assert service.store(parts + b"--x\r\n\r\n\r\n--x--", **content_type).status_code == 400
