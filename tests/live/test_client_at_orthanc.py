"""Our client works against Orthanc, another maker's server, as far as what it asks for goes.

Our client is made for the Azure service. Where Orthanc will not have what suits Azure, the tests say so; they hold for
1.10 with its DICOMweb plugin 1.7 (Debian 12) and for 1.12 with 1.20 (Debian 13):

- it takes no single-part requests and gives no single-part answers: the client has to be told so;
- it does not decode percent-encoded values of a search, so that no name with `^` is found;
- its answer to a store that failed as a whole (409) names no media type; we read it all the same;
- 1.10 has frames of neither big endian nor deflated instances;
- a frame that is not there is 400, and Delete is unknown: in DICOMweb it is an extension of the Azure service.
"""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator
from typing import Literal

import pytest
from pydicom.uid import ExplicitVRLittleEndian

from shared.dicomweb import (
    AccessDenied,
    Body,
    DICOMwebClient,
    InstanceOutcome,
    NotFound,
    Query,
    StatusError,
    StoreResult,
    StoreStatus,
)
from tests.component.dicomweb.client_under_test import client_of

from .orthanc import Orthanc
from .real_files import (
    ENCAPSULATED,
    NAMES,
    NATIVE,
    UNLIKE_THEIR_FRAMES,
    RealFile,
    real_file,
    siblings,
    without_bulk_data,
)


@pytest.fixture
async def client(orthanc: Orthanc) -> AsyncIterator[DICOMwebClient]:
    async with client_of(orthanc.url, auth=orthanc.auth, single_part=False) as client:
        yield client


async def store(client: DICOMwebClient, *files: RealFile) -> None:
    for file in files:
        result = await client.store_instance(Body.from_bytes(file.content))
        assert result.outcome_of(file.dataset.SOPInstanceUID).status is StoreStatus.STORED


# Store


async def test_a_single_part_store_is_refused(orthanc: Orthanc) -> None:
    """Orthanc takes multipart requests alone."""
    async with client_of(orthanc.url, auth=orthanc.auth) as client:
        with pytest.raises(StatusError) as refused:
            await client.store_instance(Body.from_bytes(real_file("CT_small.dcm").content))
    assert refused.value.status_code == 415


async def test_its_answer_to_a_store_has_an_outcome_for_each(client: DICOMwebClient) -> None:
    """An instance is told stored, and again when it comes again: it keeps the first."""
    file = real_file("CT_small.dcm")
    dataset = file.dataset
    stored = InstanceOutcome(
        StoreStatus.STORED,
        dataset.SOPInstanceUID,
        dataset.SOPClassUID,
        study_instance_uid=dataset.StudyInstanceUID,
        series_instance_uid=dataset.SeriesInstanceUID,
    )
    for _ in range(2):
        result = await client.store_instance(Body.from_bytes(file.content))
        assert result.outcomes == (stored,)


async def test_many_at_once(client: DICOMwebClient) -> None:
    """Many are stored at once, each confirmed by itself."""
    files = siblings("CT_small.dcm", 20)
    bodies = [(file, Body.from_bytes(file.content)) for file in files]
    outcomes = [outcome async for _, outcome in client.store_instances(bodies)]
    assert {o.outcome_of().status for o in outcomes if isinstance(o, StoreResult)} == {StoreStatus.STORED}
    assert len([item async for item in client.iter_instances(**files[0].series_uids)]) == 20


async def test_an_instance_of_another_study_fails(client: DICOMwebClient) -> None:
    """What does not belong to the study named is refused with 409 and an outcome."""
    file = real_file("CT_small.dcm")
    result = await client.store_instance(Body.from_bytes(file.content), study_instance_uid="1.2.3")
    assert (result.status_code, result.outcome_of(file.dataset.SOPInstanceUID).status) == (409, StoreStatus.FAILED)
    assert await client.search_for_studies(Query({"StudyInstanceUID": file.dataset.StudyInstanceUID})) == []


# Search


async def test_searches_on_three_levels(client: DICOMwebClient) -> None:
    """Studies, series and instances are found by what they hold."""
    file = real_file("CT_small.dcm", PatientID="THREE-LEVELS")
    await store(client, file)
    [study] = await client.search_for_studies(Query({"PatientID": "THREE-LEVELS", "StudyDate": "20040101-20041231"}))
    assert (study.StudyInstanceUID, study.NumberOfStudyRelatedInstances) == (file.dataset.StudyInstanceUID, 1)
    [series] = await client.search_for_series(Query({"Modality": "CT"}), **file.study_uids)
    assert series.SeriesInstanceUID == file.dataset.SeriesInstanceUID
    [instance] = await client.search_for_instances(**file.series_uids)
    assert instance.SOPInstanceUID == file.dataset.SOPInstanceUID
    assert await client.search_for_series(Query({"Modality": "MR"}), **file.study_uids) == []


async def test_pages_follow_one_another(client: DICOMwebClient) -> None:
    """The pages of studies, series and instances together have each once."""
    files = [*siblings("CT_small.dcm", 3, PatientID="PAGES"), *siblings("SC_rgb_jpeg_gdcm.dcm", 2, PatientID="PAGES")]
    await store(client, *files)
    query = Query({"PatientID": "PAGES"}, limit=1)
    assert len(await client.search_for_instances(query)) == 1
    studies = [str(study.StudyInstanceUID) async for study in client.iter_studies(query)]
    assert sorted(studies) == sorted({str(file.dataset.StudyInstanceUID) for file in files})
    series = [str(series.SeriesInstanceUID) async for series in client.iter_series(query)]
    assert sorted(series) == sorted({str(file.dataset.SeriesInstanceUID) for file in files})
    instances = [str(instance.SOPInstanceUID) async for instance in client.iter_instances(query)]
    assert sorted(instances) == sorted(str(file.dataset.SOPInstanceUID) for file in files)


async def test_returns_the_attributes_asked_for(client: DICOMwebClient) -> None:
    """`includefield` adds to what a search returns."""
    file = real_file("CT_small.dcm")
    await store(client, file)
    [without] = await client.search_for_instances(**file.series_uids)
    [with_it] = await client.search_for_instances(Query(includefield=["PatientPosition"]), **file.series_uids)
    assert "PatientPosition" not in without
    assert with_it.PatientPosition == "FFS"


async def test_it_does_not_decode_the_values_of_a_search(client: DICOMwebClient) -> None:
    """A name is found if nothing in it has to be percent-encoded (RFC 3986 §2.1), and else it is not."""
    await store(
        client, real_file("CT_small.dcm", PatientName="Plain"), real_file("CT_small.dcm", PatientName="Roe^Ann")
    )
    assert len(await client.search_for_studies(Query({"PatientName": "Plain"}))) == 1
    assert await client.search_for_studies(Query({"PatientName": "Roe^Ann"})) == []


# Retrieve


@pytest.mark.parametrize("name", NAMES)
async def test_retrieves_byte_for_byte(client: DICOMwebClient, name: str) -> None:
    """A study of two instances, its series and one of them come as they were stored, in any transfer syntax."""
    files = siblings(name, 2)
    await store(client, *files)
    stored = sorted(file.content for file in files)
    async with client.retrieve_study(**files[0].study_uids) as parts:
        assert sorted([await part.read() async for part in parts]) == stored
    async with client.retrieve_series(**files[0].series_uids) as parts:
        assert sorted([await part.read() async for part in parts]) == stored
    async with client.retrieve_instance(**files[1].uids) as part:
        assert await part.read() == files[1].content


async def test_a_single_part_answer_is_refused(orthanc: Orthanc, client: DICOMwebClient) -> None:
    """Orthanc gives neither an instance nor a frame by itself."""
    file = real_file("CT_small.dcm")
    await store(client, file)
    async with client_of(orthanc.url, auth=orthanc.auth) as azure_like:
        with pytest.raises(StatusError) as refused:
            await azure_like.retrieve_instance(**file.uids).__aenter__()
        assert refused.value.status_code == 400
        with pytest.raises(StatusError) as refused:
            await azure_like.retrieve_frames([1], **file.uids).__aenter__()
        assert refused.value.status_code == 400


@pytest.mark.parametrize("name", [*NATIVE, *ENCAPSULATED])
async def test_retrieves_frames_in_the_order_asked_for(client: DICOMwebClient, name: str) -> None:
    """Last and first frame, in this order and as they are stored, with their transfer syntax, and one by itself."""
    file = real_file(name)
    await store(client, file)
    frames = file.frames
    async with client.retrieve_frames([len(frames), 1], **file.uids) as parts:
        received = [(await part.read(), part.transfer_syntax_uid) async for part in parts]
    assert [frame for frame, _ in received] == [frames[-1], frames[0]]
    async with client.retrieve_frames([1], **file.uids) as parts:
        assert [await part.read() async for part in parts] == [frames[0]]
    # Native frames are the same in both little endian transfer syntaxes: 1.10 names the file's own, 1.12 the explicit.
    explicit = {ExplicitVRLittleEndian} if name in NATIVE else set()
    assert {uid for _, uid in received} <= {file.dataset.file_meta.TransferSyntaxUID} | explicit


@pytest.mark.parametrize("name", UNLIKE_THEIR_FRAMES)
async def test_frames_that_it_has_to_recode(client: DICOMwebClient, name: str) -> None:
    """Frames of big endian and deflated instances are not the bytes of the file: 1.10 fails at them, 1.12 does not."""
    file = real_file(name)
    await store(client, file)
    assert await two_frames(client, file) in ([in_little_endian(file)] * 2, 500)


async def two_frames(client: DICOMwebClient, file: RealFile) -> list[bytes] | int:
    """Return the first frame twice, or the status of the refusal."""
    try:
        async with client.retrieve_frames([1, 1], **file.uids) as parts:
            return [await part.read() async for part in parts]
    except StatusError as failed:
        return failed.status_code


def in_little_endian(file: RealFile) -> bytes:
    """Return the first frame; the big endian one has pixels of 16 bits."""
    [frame] = file.frames
    if file.dataset.file_meta.TransferSyntaxUID.is_little_endian:
        return frame
    pixels = array("H", frame)
    pixels.byteswap()
    return pixels.tobytes()


@pytest.mark.parametrize("name", NAMES)
async def test_reads_metadata(client: DICOMwebClient, name: str) -> None:
    """The metadata of an instance, its series and its study have every attribute of the file but bulk data."""
    file = real_file(name)
    await store(client, file)
    for metadata in (
        await client.retrieve_instance_metadata(**file.uids),
        await client.retrieve_series_metadata(**file.series_uids),
        await client.retrieve_study_metadata(**file.study_uids),
    ):
        [dataset] = metadata.datasets
        assert without_bulk_data(file.dataset) <= without_bulk_data(dataset)
        assert (dataset.SOPInstanceUID, dataset.Rows) == (file.dataset.SOPInstanceUID, file.dataset.Rows)
        assert not dataset.get("PixelData")


async def test_renders(client: DICOMwebClient) -> None:
    """A picture of an instance, in both formats."""
    file = real_file("CT_small.dcm")
    await store(client, file)
    signatures: dict[Literal["image/jpeg", "image/png"], bytes] = {"image/jpeg": b"\xff\xd8", "image/png": b"\x89PNG"}
    for media_type, signature in signatures.items():
        async with client.retrieve_instance_rendered(**file.uids, media_type=media_type) as part:
            assert part.media_type == media_type
            assert (await part.read()).startswith(signature)


async def test_what_is_not_there(client: DICOMwebClient) -> None:
    """A study, or its metadata, is not found; of a frame Orthanc says that the request was wrong."""
    file = real_file("CT_small.dcm")
    await store(client, file)
    with pytest.raises(NotFound):
        await client.retrieve_study(study_instance_uid="1.2.3").__aenter__()
    with pytest.raises(NotFound):
        await client.retrieve_study_metadata(study_instance_uid="1.2.3")
    with pytest.raises(StatusError) as refused:
        await client.retrieve_frames([1, 2], **file.uids).__aenter__()
    assert refused.value.status_code == 400


# The rest


async def test_it_knows_no_delete(client: DICOMwebClient) -> None:
    """Delete is not in PS3.18: Orthanc deletes by an interface of its own."""
    file = real_file("CT_small.dcm")
    await store(client, file)
    with pytest.raises(StatusError) as refused:
        await client.delete_study(**file.study_uids)
    assert refused.value.status_code == 405
    assert len(await client.search_for_instances(**file.series_uids)) == 1


async def test_it_wants_a_password(orthanc: Orthanc) -> None:
    """Without credentials each request is denied."""
    async with client_of(orthanc.url) as stranger:
        with pytest.raises(AccessDenied):
            await stranger.search_for_studies()
