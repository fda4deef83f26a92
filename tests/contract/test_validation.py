"""What Store finds wrong with an instance (API v2): refused, stored with a warning, or in silence."""

from __future__ import annotations

import pytest

from tests.contract.differences import contains, equal, expect
from tests.contract.service import Service
from tests.contract.sources import AZURE, OPEN_SOURCE
from tests.kit.dicomweb_messages import STORED_INSTANCE, comments, items, values
from tests.kit.files import IMPLICIT, Sample, new_uid

pytestmark = pytest.mark.source(f"{AZURE}, Store")

FAILED, REFERENCED, REASON, WARNING = "00081198", "00081199", "00081197", "00081196"
SOP_CLASS, SOP, STUDY, SERIES = 0x00080016, 0x00080018, 0x0020000D, 0x0020000E
PATIENT_ID, STUDY_DATE, ACCESSION_NUMBER = 0x00100020, 0x00080020, 0x00080050
INVALID = [43264]


@pytest.fixture(scope="module")
def study() -> str:
    """The study of what is stored only to see how that is answered."""
    return new_uid()


@pytest.mark.parametrize("tag", [SOP_CLASS, STUDY, SERIES, SOP, PATIENT_ID], ids="{:08X}".format)
def test_required_attributes(service: Service, study: str, tag: int) -> None:
    """Without one of the four UIDs or PatientID an instance fails with 43264 and a comment that names the tag."""
    (item,) = items(expect(service.store(Sample(study, elements={tag: None})), 409), FAILED)
    equal("failure reason", values(item, REASON), INVALID)
    equal("comment", comments(item)[0][:21], f"DICOM100: ({tag >> 16:04X},{tag & 0xFFFF:04X})")


@pytest.mark.source(OPEN_SOURCE)
@pytest.mark.disputed("Azure docs allow letters and hyphens in a UID")
@pytest.mark.parametrize("end", [".abc", "|", ".", ".1" * 32, "\\1.2"], ids=["letters", "bar", "dot", "long", "two"])
def test_invalid_uids(service: Service, end: str) -> None:
    """A UID of anything but digits and dots, of more than 64 characters, or two of them, fails with 43264."""
    (item,) = items(expect(service.store(Sample(new_uid() + end)), 409), FAILED)
    equal("failure reason", values(item, REASON), INVALID)


@pytest.mark.source(OPEN_SOURCE)
def test_leading_zeros(service: Service) -> None:
    """Leading zeros in a UID's components pass."""
    odd = Sample(f"{new_uid()}.007")
    service.stored(odd)
    expect(service.get(odd.path, STORED_INSTANCE), 200)


@pytest.mark.source(OPEN_SOURCE)
@pytest.mark.parametrize(
    "patient_id", [b"\0ID1", b"I\0D1", b"X" * 65, b"A\\B"], ids=["leading NUL", "NUL within", "65 characters", "two"]
)
def test_invalid_patient_id(service: Service, study: str, patient_id: bytes) -> None:
    """An invalid PatientID fails the instance, and a comment names it."""
    (item,) = items(expect(service.store(Sample(study, elements={PATIENT_ID: ("LO", patient_id)})), 409), FAILED)
    equal("comment", comments(item)[0][:21], "DICOM100: (0010,0020)")


def test_invalid_study_date(service: Service) -> None:
    """An invalid StudyDate is stored with a warning (202): in the file, but neither in metadata nor search."""
    sample = Sample(elements={STUDY_DATE: ("DA", b"2024-01-02")})
    response = expect(service.store(sample), 202)
    (item,) = items(response, REFERENCED)
    equal("elements of the answer", FAILED in response.json(), False)
    equal("warning reason", values(item, WARNING), [1])
    equal("comments", [comment[:21] for comment in comments(item)], ["DICOM100: (0008,0020)"])
    (metadata,) = expect(service.get(f"{sample.path}/metadata"), 200).json()
    equal("StudyDate in metadata", "00080020" in metadata, False)
    (found,) = service.search(f"/studies?StudyInstanceUID={sample.study}&PatientName=Doe^Jane")
    equal("StudyDate in search", "00080020" in found, False)
    expect(service.get("/studies?StudyDate=2024-01-02"), 400)
    equal("same bytes", service.get(sample.path, STORED_INSTANCE).content == sample.content, True)


@pytest.mark.source(f"{OPEN_SOURCE}, PS3.5 §6.2")
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
        (0x00081030, "LO", b"tab\there"),
        (0x00100010, "PN", b"A^B^C^D^E^F"),
        (0x00100010, "PN", b"A=B=C=D"),
        (0x00080050, "SH", b"X" * 17),
        (0x00204000, "LT", b"X" * 10242),
        (0x00080030, "TM", b"256000"),
        (0x00080014, "UI", b"1.2.x"),
        (0x00189004, "UL", b"\1\2\3\4\5\6"),
    ],
)
def test_invalid_values(service: Service, study: str, tag: int, vr: str, value: bytes) -> None:
    """A value that breaks the rules of its VR: 202, warning reason 1, one comment, and it is not in the metadata."""
    sample = Sample(study, elements={tag: (vr, value)})
    (item,) = items(expect(service.store(sample), 202), REFERENCED)
    equal("warning reason", values(item, WARNING), [1])
    equal("comments", len(comments(item)), 1)
    (metadata,) = expect(service.get(f"{sample.path}/metadata"), 200).json()
    equal("in the metadata", f"{tag:08X}" in metadata, False)


@pytest.mark.source("PS3.5 §6.2")
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
def test_valid_values(service: Service, study: str, tag: int, vr: str, value: bytes) -> None:
    """What the Standard allows is stored without a word, NULs at the end included."""
    expect(service.store(Sample(study, elements={tag: (vr, value), 0x00080005: ("CS", b"ISO_IR 100")})), 200)


@pytest.mark.source(OPEN_SOURCE)
def test_trailing_nuls(service: Service) -> None:
    """NULs at the end of a value are padding: 200, no failed attributes, found with and without them."""
    sample = Sample()
    elements = {PATIENT_ID: ("LO", b"PAD1\0\0"), ACCESSION_NUMBER: ("SH", b"A1\0")}
    padded = Sample(f"{sample.study}\0\0", sample.series, sample.sop, dict(elements))
    (item,) = items(expect(service.store(padded), 200), REFERENCED)
    equal("FailedAttributesSequence", item.get("00741048"), {"vr": "SQ"})
    for accession_number in ("A1", "a1", "A1%20", "A1%00"):
        found = service.search(f"/studies?StudyInstanceUID={sample.study}&AccessionNumber={accession_number}")
        equal(f"studies found by {accession_number}", len(found), 1)


def test_empty_patient_id(service: Service) -> None:
    """An empty PatientID warns (202); a later value fills the study's; a later empty one does not clear it."""
    empty = Sample(elements={PATIENT_ID: ("LO", b"")})
    query = f"/studies?StudyInstanceUID={empty.study}"
    (item,) = items(expect(service.store(empty), 202), REFERENCED)
    equal("warning reason", values(item, WARNING), [1])
    equal("empty PatientID", service.search(query)[0].get("00100020"), {"vr": "LO"})
    service.stored(empty.sibling(elements={PATIENT_ID: ("LO", b"LATER")}))
    equal("PatientID once it came", values(service.search(query)[0], "00100020"), ["LATER"])
    expect(service.store(empty.sibling(elements={PATIENT_ID: ("LO", b"")})), 202)
    equal("PatientID after another empty one", values(service.search(query)[0], "00100020"), ["LATER"])


@pytest.mark.source(OPEN_SOURCE)
def test_latest_values_win(service: Service) -> None:
    """A study shows what its newest instance says, save where that says nothing; contradictions are taken."""
    first = Sample(elements={0x00081030: ("LO", b"Old"), ACCESSION_NUMBER: ("SH", b"ACC")})
    service.stored(first, first.sibling(elements={0x00081030: ("LO", b"New"), 0x00100010: ("PN", b"Roe^Jane")}))
    (study,) = service.search(f"/studies?StudyInstanceUID={first.study}")
    equal("StudyDescription", values(study, "00081030"), ["New"])
    equal("AccessionNumber", values(study, "00080050"), ["ACC"])
    equal("PatientName", values(study, "00100010"), [{"Alphabetic": "Roe^Jane"}])


@pytest.mark.source(OPEN_SOURCE)
@pytest.mark.disputed("Azure docs say that only explicit VR is accepted")
def test_implicit_vr(service: Service) -> None:
    """Implicit VR is stored with warning 45063 (202), which stands before others; no private attribute is metadata."""
    elements = {0x00090010: ("LO", b"ME"), 0x00091001: ("LO", b"private"), STUDY_DATE: ("DA", b"bad")}
    sample = Sample(transfer_syntax=IMPLICIT, elements=dict(elements))
    (item,) = items(expect(service.store(sample), 202), REFERENCED)
    equal("warning reason", values(item, WARNING), [45063])
    equal("comments", len(comments(item)), 1)
    (metadata,) = expect(service.get(f"{sample.path}/metadata"), 200).json()
    equal("private attributes in the metadata", [tag for tag in metadata if tag.startswith("0009")], [])
    equal("same bytes", service.get(sample.path, STORED_INSTANCE).content == sample.content, True)


def test_comment_names_the_tag_of_a_sequence_item(service: Service, study: str) -> None:
    """An invalid attribute inside a sequence gives a warning too."""
    inner = b"\x08\x00\x00\x01SH\x12\x00" + b"X" * 18
    item_bytes = b"\xfe\xff\x00\xe0" + len(inner).to_bytes(4, "little") + inner
    response = expect(service.store(Sample(study, elements={0x00081032: ("SQ", item_bytes)})), 202)
    contains("comment", comments(items(response, REFERENCED)[0])[0], "DICOM100: (")
