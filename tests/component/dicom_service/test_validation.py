"""What the local DICOM service finds wrong with an instance, beyond what `tests/contract` holds: words and rubbish."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

from tests.kit.service import (
    IMPLICIT,
    TEST_FILES,
    Sample,
    ServiceClient,
    items,
    running,
    service,
    values,
)

__all__ = ["service"]

FAILED, REFERENCED, REASON, WARNING = "00081198", "00081199", "00081197", "00081196"
SOP, STUDY, PATIENT_ID = 0x00080018, 0x0020000D, 0x00100020


def sequence(*datasets: bytes) -> bytes:
    """Encode the items of a sequence, with their lengths."""
    return b"".join(struct.pack("<HHL", 0xFFFE, 0xE000, len(dataset)) + dataset for dataset in datasets)


def test_comment_does_not_quote_the_value(service: ServiceClient) -> None:
    """A comment names the tag and the rule; the value of a patient does not stand in it."""
    response = service.store(Sample(elements={0x00100010: ("PN", b"CANARY" * 12)}).content)
    assert response.status_code == 202
    assert "CANARY" not in response.text


def test_implicit_vr_can_be_refused(tmp_path: Path) -> None:
    """A service told to reject implicit VR fails such instances with 43264."""
    with running(tmp_path, implicit_vr="reject") as root:
        client = ServiceClient(root)
        with client.http:
            response = client.store(Sample(transfer_syntax=IMPLICIT).content)
            assert response.status_code == 409
            assert values(items(response, FAILED)[0], REASON) == [43264]
            client.store_samples(Sample())


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


@pytest.mark.parametrize("value", [b"\1" * 7, b"\xfe\xff\x00\xe0\xff\xff\x00\x00abc", sequence(b"abc") * 3])
def test_unreadable_sequence_is_refused_or_survived(service: ServiceClient, value: bytes) -> None:
    """Rubbish in a sequence never breaks the service: what pydicom cannot read is 43264, never a failure of ours."""
    response = service.store(Sample(elements={0x00081032: ("SQ", value)}).content)
    assert response.status_code in (200, 202, 409)
    for item in items(response, FAILED):
        assert values(item, REASON) == [43264]


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


@pytest.mark.parametrize("transfer_syntax", ["1.2 X", "1.2\r\nX-Header: 1"])
def test_transfer_syntax_is_a_uid(service: ServiceClient, transfer_syntax: str) -> None:
    """It stands in the headers of answers later: what is no UID is refused."""
    assert service.store(Sample(transfer_syntax=transfer_syntax).content).status_code == 409
