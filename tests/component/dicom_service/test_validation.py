"""What the local DICOM service finds wrong with an instance, beyond what `tests/contract` holds: words and rubbish."""

from __future__ import annotations

import random

import pytest

from tests.kit.service import (
    TEST_FILES,
    Sample,
    ServiceClient,
    items,
    service,
    values,
)

__all__ = ["service"]

FAILED, REFERENCED, REASON, WARNING = "00081198", "00081199", "00081197", "00081196"
SOP, STUDY, PATIENT_ID = 0x00080018, 0x0020000D, 0x00100020


@pytest.mark.parametrize("cut", [1, 4, 9, 40, 130, 200])
def test_truncated_file_is_refused(service: ServiceClient, cut: int) -> None:
    """A file that lacks its end fails, wherever it was cut, with and without pixel data."""
    whole = Sample(elements={0x7FE00010: ("OB", bytes(range(60)))}).content
    response = service.store(whole[:-cut])
    assert response.status_code == 409
    assert values(items(response, FAILED)[0], REASON) == [43264]
    without_pixels = Sample().content
    if cut != 200:
        assert service.store(without_pixels[:-cut]).status_code == 409


def test_rubbish_never_breaks_the_service(service: ServiceClient) -> None:
    """A file with bytes changed anywhere is stored or refused as invalid; the service itself does not fail."""
    content = bytearray((TEST_FILES / "test-SR.dcm").read_bytes())
    chance = random.Random(1)
    for _ in range(60):
        changed = bytearray(content)
        for _ in range(20):
            changed[chance.randrange(140, len(changed))] = chance.randrange(256)
        response = service.store(bytes(changed))
        assert response.status_code in (200, 202, 409)
        reasons = [values(item, REASON) for item in items(response, FAILED)]
        assert reasons in ([], [[43264]], [[45070]])
