"""Files in implicit VR, and files without a head, at a service that takes neither."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from shared.dicomweb import Body, DICOMwebClient, StoreStatus
from shared.part10 import Form, Header
from store_on_upload.transcoding.completing import missing_head
from store_on_upload.transcoding.transcode import may_be_about_implicit_vr
from tests.kit.files import EXPLICIT, IMPLICIT, TEST_FILES, Sample, pixels
from tests.kit.implicit_vr import Blob, header, read_file, transcoded
from tests.kit.service import running

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service that refuses implicit VR, and files without a preamble."""
    with running(tmp_path_factory.mktemp("dicom"), implicit_vr="reject") as root:
        yield f"{root}/v2"


@pytest.fixture
async def dicom(service: str) -> AsyncIterator[DICOMwebClient]:
    """A client of it."""
    async with DICOMwebClient(service) as client:
        yield client


FILES = {
    name: (TEST_FILES / name).read_bytes()
    for name in ("MR_small_implicit.dcm", "rtdose.dcm", "rtplan.dcm", "SC_rgb_jpeg_dcmd.dcm")
}
FILES["8 bits"] = Sample(transfer_syntax=IMPLICIT, elements=pixels(bytes(range(6)))).content
FILES["3 MiB of 16 bits"] = Sample(
    transfer_syntax=IMPLICIT, elements=pixels(bytes(range(256)) * (3 * MIB // 256), rows=1024, columns=1536, bits=16)
).content


@pytest.mark.parametrize("name", FILES)
async def test_what_was_refused_is_stored_in_explicit_vr(name: str, dicom: DICOMwebClient) -> None:
    """The refusal is known for what it may be about; the same file in explicit VR is stored, byte for byte as sent."""
    content, of = FILES[name], header(FILES[name], Form.PART10)
    refused = (await dicom.store_instance(Body.from_bytes(content))).outcome_of()
    assert refused.status is StoreStatus.FAILED
    assert may_be_about_implicit_vr(of, refused)
    stored = (await dicom.store_instance(await Blob(content).body(of))).outcome_of()
    assert stored.is_stored
    assert await retrieved(dicom, content) == await transcoded(content, of)


async def test_a_refusal_for_another_reason_is_not_taken_for_one_of_the_encoding(dicom: DICOMwebClient) -> None:
    """A file in implicit VR that lacks its PatientID would be refused in any encoding."""
    content = Sample(transfer_syntax=IMPLICIT, elements={0x00100020: None}).content
    refused = (await dicom.store_instance(Body.from_bytes(content))).outcome_of()
    assert refused.status is StoreStatus.FAILED
    assert not may_be_about_implicit_vr(header(content, Form.PART10), refused)


@pytest.mark.parametrize("form", [Form.NO_PREAMBLE, Form.NO_META])
async def test_a_file_without_a_head_is_stored_with_one(form: Form, dicom: DICOMwebClient) -> None:
    """Without a preamble, or File Meta: refused as it is, and stored behind what it lacks."""
    sample = Sample()
    dataset_at = header(sample.content, Form.PART10).dataset_at
    content = sample.content[132 if form is Form.NO_PREAMBLE else dataset_at :]
    of = Header(form, EXPLICIT, 0, "1.2.840.10008.5.1.4.1.1.7", sample.study, sample.series, sample.sop)
    assert not (await dicom.store_instance(Body.from_bytes(content))).outcome_of().is_stored
    assert (await dicom.store_instance(Body.from_bytes(missing_head(of) + content))).outcome_of(sample.sop).is_stored


async def test_a_structure_set_without_a_head_in_implicit_vr(dicom: DICOMwebClient) -> None:
    """Both at once: completed and transcoded, it is stored."""
    content = (TEST_FILES / "rtstruct.dcm").read_bytes()
    stored = (await dicom.store_instance(await Blob(content).body())).outcome_of()
    assert stored.is_stored


async def retrieved(dicom: DICOMwebClient, content: bytes) -> bytes:
    """Return the stored instance of a file."""
    study, series, instance = (
        value.rstrip(b"\0 ").decode()
        for wanted in (0x0020000D, 0x0020000E, 0x00080018)
        for path, _, value, _ in read_file(content)
        if path == (wanted,)
    )
    async with dicom.retrieve_instance(
        study_instance_uid=study, series_instance_uid=series, sop_instance_uid=instance
    ) as part:
        return b"".join([chunk async for chunk in part.chunks()])
