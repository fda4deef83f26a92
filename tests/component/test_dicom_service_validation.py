"""What the local DICOM service finds wrong with an instance (API v2): refused, stored with a warning, or in silence."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

from tests.component.dicom_service_support import (
    IMPLICIT,
    STORED_INSTANCE,
    TEST_FILES,
    Elements,
    Sample,
    ServiceClient,
    comments,
    encoded,
    items,
    running,
    service,
    values,
)

__all__ = ["service"]

FAILED, REFERENCED, REASON, WARNING = "00081198", "00081199", "00081197", "00081196"
SOP_CLASS, SOP, STUDY, SERIES, PATIENT_ID, STUDY_DATE = (
    0x00080016,
    0x00080018,
    0x0020000D,
    0x0020000E,
    0x00100020,
    0x00080020,
)


def sequence(*datasets: bytes) -> bytes:
    """Encode the items of a sequence, with their lengths."""
    return b"".join(struct.pack("<HHL", 0xFFFE, 0xE000, len(dataset)) + dataset for dataset in datasets)


@pytest.mark.parametrize("tag", [SOP_CLASS, STUDY, SERIES, SOP, PATIENT_ID])
def test_required_attribute_is_missing(service: ServiceClient, tag: int) -> None:
    """Without one of the four UIDs or PatientID an instance fails, and is told which."""
    response = service.store(Sample(elements={tag: None}).content)
    assert response.status_code == 409
    (item,) = items(response, FAILED)
    assert values(item, REASON) == [43264]
    (comment,) = comments(item)
    assert comment.startswith(f"DICOM100: ({tag >> 16:04X},{tag & 0xFFFF:04X}) - ")
    assert ("00081155" in item) == (tag != SOP)


def test_first_missing_attribute_is_reported(service: ServiceClient) -> None:
    """Of several missing attributes the first in the order of the checks is named, alone."""
    response = service.store(Sample(elements={SOP: None, STUDY: None, PATIENT_ID: None}).content)
    (comment,) = comments(items(response, FAILED)[0])
    assert "(0020,000D)" in comment


@pytest.mark.parametrize("uid", [b"abc.123", b"11|", b"1.2.3.", b"1" * 65, b"", b"1.2\\1.3"])
def test_invalid_uid_is_refused(service: ServiceClient, uid: bytes) -> None:
    """A study UID that breaks the service's rule, or is none or two, fails the instance."""
    response = service.store(Sample(elements={STUDY: ("UI", uid)}).content)
    assert response.status_code == 409
    assert values(items(response, FAILED)[0], REASON) == [43264]


def test_leading_zeros_in_a_uid_are_taken(service: ServiceClient) -> None:
    """The service's UID rule is looser than the Standard's: leading zeros pass."""
    sample = Sample()
    odd = Sample(study=f"{sample.study}.007")
    service.store_samples(odd)
    assert service.get(odd.path, STORED_INSTANCE).status_code == 200


@pytest.mark.parametrize("patient_id", [b"\0ID1", b"I\0D1", b"X" * 65, b"A\\B"])
def test_invalid_patient_id_is_refused(service: ServiceClient, patient_id: bytes) -> None:
    """PatientID with a control character, too long or with a backslash fails the instance."""
    response = service.store(Sample(elements={PATIENT_ID: ("LO", patient_id)}).content)
    assert response.status_code == 409
    assert comments(items(response, FAILED)[0])[0].startswith("DICOM100: (0010,0020) - ")


def test_invalid_attribute_is_stored_with_a_warning(service: ServiceClient) -> None:
    """An invalid StudyDate: 202, one comment; absent in metadata and search, present in the file."""
    sample = Sample(elements={STUDY_DATE: ("DA", b"2024-01-02")})
    response = service.store(sample.content)
    assert response.status_code == 202
    (item,) = items(response, REFERENCED)
    assert values(item, WARNING) == [1]
    assert [comment[:23] for comment in comments(item)] == ["DICOM100: (0008,0020) -"]
    assert FAILED not in response.json()
    (metadata,) = service.get(f"{sample.path}/metadata").json()
    assert "00080020" not in metadata
    (found,) = service.search(f"/studies?StudyInstanceUID={sample.study}&PatientName=doe^jane")
    assert "00080020" not in found
    assert service.get("/studies?StudyDate=2024-01-02").status_code == 400
    assert service.get(sample.path, STORED_INSTANCE).content == sample.content


def test_comment_does_not_quote_the_value(service: ServiceClient) -> None:
    """A comment names the tag and the rule; the value of a patient does not stand in it."""
    response = service.store(Sample(elements={0x00100010: ("PN", b"CANARY" * 12)}).content)
    assert response.status_code == 202
    assert "CANARY" not in response.text


@pytest.mark.parametrize(
    ("tag", "vr", "value"),
    [
        (0x00080054, "AE", b"MORE THAN SIXTEEN"),
        (0x00101010, "AS", b"12"),
        (0x00080060, "CS", b"lower"),
        (0x00080060, "CS", b"C\0T"),
        (0x00080021, "DA", b"20240230"),
        (0x00101030, "DS", b"heavy"),
        (0x0008002A, "DT", b"yesterday"),
        (0x00200013, "IS", b"1.5"),
        (0x00200013, "IS", b"99999999999"),
        (0x00081030, "LO", b"X" * 65),
        (0x00100010, "PN", b"A^B^C^D^E^F"),
        (0x00100010, "PN", b"A=B=C=D"),
        (0x00080050, "SH", b"X" * 17),
        (0x00081030, "LO", b"tab\there"),
        (0x00204000, "LT", b"X" * 10242),
        (0x00080030, "TM", b"256000"),
        (0x00080014, "UI", b"1.2.x"),
        (0x00189004, "UL", b"\1\2\3\4\5\6"),
    ],
)
def test_value_rules(service: ServiceClient, tag: int, vr: str, value: bytes) -> None:
    """A value that breaks the rules of its VR gives 202, reason 1, and is left out of the metadata."""
    sample = Sample(elements={tag: (vr, value)})
    response = service.store(sample.content)
    assert response.status_code == 202
    (item,) = items(response, REFERENCED)
    assert values(item, WARNING) == [1]
    assert len(comments(item)) == 1
    (metadata,) = service.get(f"{sample.path}/metadata").json()
    assert f"{tag:08X}" not in metadata


@pytest.mark.parametrize(
    ("tag", "vr", "value"),
    [
        (0x00080020, "DA", b""),
        (0x00101010, "AS", b"024Y"),
        (0x00101030, "DS", b" 70.5 \\-1e3"),
        (0x0008002A, "DT", b"20240102030405.123456+0100"),
        (0x00200013, "IS", b" -12 "),
        (0x00080030, "TM", b"235960.5"),
        (0x00204000, "LT", b"line\r\nwith \\ and\ttab"),
        (0x00100010, "PN", b"Doe^Jane^^Dr=\xe5=x"),
        (0x00081030, "LO", b"caf\xe9"),
        (0x00080060, "CS", b"CT\0\0"),
    ],
)
def test_valid_values_give_no_warning(service: ServiceClient, tag: int, vr: str, value: bytes) -> None:
    """What the Standard allows is stored without a word, trailing NULs included."""
    sample = Sample(elements={tag: (vr, value), 0x00080005: ("CS", b"ISO_IR 100")})
    assert service.store(sample.content).status_code == 200


def test_invalid_attribute_inside_a_sequence(service: ServiceClient) -> None:
    """Sequences are checked too: a warning, and the sequence stays in the metadata."""
    inner: Elements = {0x00080100: ("SH", b"X" * 17), 0x00080104: ("LO", b"meaning")}
    sample = Sample(elements={0x00081032: ("SQ", sequence(encoded(inner)))})
    response = service.store(sample.content)
    assert response.status_code == 202
    assert "(0008,0100)" in comments(items(response, REFERENCED)[0])[0]
    (metadata,) = service.get(f"{sample.path}/metadata").json()
    assert values(values(metadata, "00081032")[0], "00080104") == ["meaning"]


def test_trailing_nuls_are_no_part_of_a_value(service: ServiceClient) -> None:
    """NUL padding of UIDs, PatientID and names is trimmed: 200, found with and without it."""
    sample = Sample()
    padded = Sample(
        sample.study + "\0\0",
        sample.series,
        sample.sop,
        {PATIENT_ID: ("LO", b"PAD1\0\0"), 0x00080050: ("SH", b"A1\0")},
    )
    response = service.store(padded.content)
    assert response.status_code == 200
    assert items(response, REFERENCED)[0]["00741048"] == {"vr": "SQ"}
    study = f"StudyInstanceUID={sample.study}"
    for accession_number in ("A1", "a1", "A1%20", "A1%00"):
        assert len(service.search(f"/studies?{study}&AccessionNumber={accession_number}")) == 1


def test_empty_patient_id_then_filled_then_empty(service: ServiceClient) -> None:
    """An empty PatientID warns (202) and shows empty; a later value fills the study; a later empty one keeps it."""
    empty = {PATIENT_ID: ("LO", b"")}
    first = Sample(elements=dict(empty))
    query = f"/studies?StudyInstanceUID={first.study}"
    response = service.store(first.content)
    assert response.status_code == 202
    assert values(items(response, REFERENCED)[0], WARNING) == [1]
    assert service.search(query)[0]["00100020"] == {"vr": "LO"}
    assert service.store(first.sibling(elements={PATIENT_ID: ("LO", b"LATER")}).content).status_code == 200
    assert values(service.search(query)[0], "00100020") == ["LATER"]
    assert service.store(first.sibling(elements=dict(empty)).content).status_code == 202
    assert values(service.search(query)[0], "00100020") == ["LATER"]


def test_latest_values_win_in_the_study(service: ServiceClient) -> None:
    """A study shows what its newest instance says, save where that says nothing; contradictions are not refused."""
    first = Sample(elements={0x00081030: ("LO", b"Old"), 0x00080050: ("SH", b"ACC")})
    newer = first.sibling(elements={0x00081030: ("LO", b"New"), 0x00100010: ("PN", b"Roe^Jane")})
    service.store_samples(first, newer)
    (study,) = service.search(f"/studies?StudyInstanceUID={first.study}")
    assert values(study, "00081030") == ["New"]
    assert values(study, "00080050") == ["ACC"]
    assert values(study, "00100010") == [{"Alphabetic": "Roe^Jane"}]
    assert service.search(f"/studies?StudyInstanceUID={first.study}&PatientName=Doe^Jane") == []


def test_implicit_vr_warns(service: ServiceClient) -> None:
    """Implicit VR is stored with 45063, which takes precedence over other warnings; 202."""
    sample = Sample(transfer_syntax=IMPLICIT, elements={0x00091001: ("LO", b"private"), STUDY_DATE: ("DA", b"bad")})
    response = service.store(sample.content)
    assert response.status_code == 202
    (item,) = items(response, REFERENCED)
    assert values(item, WARNING) == [45063]
    assert len(comments(item)) == 1


def test_private_attributes_of_implicit_vr_are_not_in_the_metadata(service: ServiceClient) -> None:
    """A private attribute of unknown VR vanishes from the metadata and stays in the file."""
    sample = Sample(transfer_syntax=IMPLICIT, elements={0x00090010: ("LO", b"ME"), 0x00091001: ("LO", b"private")})
    assert service.store(sample.content).status_code == 202
    (metadata,) = service.get(f"{sample.path}/metadata").json()
    assert not [tag for tag in metadata if tag.startswith("0009")]
    assert service.get(sample.path, STORED_INSTANCE).content == sample.content


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
