"""Our client works against Orthanc, another maker's server: 1.10 (Debian 12) and 1.12 (Debian 13).

Our client is made for the Azure service; the tests say where Orthanc differs: it takes and gives no single parts, does
not decode percent-encoded values of a search, and knows no Delete, which is an extension of the Azure service.
"""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from pydicom.uid import ExplicitVRLittleEndian

from shared.dicomweb import AccessDenied, Body, DICOMwebClient, NotFound, Query, StatusError, StoreResult, StoreStatus

from .orthanc import Orthanc
from .viewed import RealFile, real_file, siblings, without_bulk_data

CT = "CT_small.dcm"
NATIVE = (CT, "rtdose.dcm", "SC_rgb_jpeg_dcmd.dcm")
RECODED = ("MR_small_bigendian.dcm", "image_dfl.dcm")  # their frames are not the bytes of the file
ENCAPSULATED = (
    *("SC_rgb_small_odd_jpeg.dcm", "examples_ybr_color.dcm", "JPEG-lossy.dcm", "SC_rgb_jpeg_gdcm.dcm"),
    *("MR_small_jpeg_ls_lossless.dcm", "MR_small_jp2klossless.dcm", "693_J2KI.dcm", "SC_rgb_rle_2frame.dcm"),
)
Ask = Callable[[DICOMwebClient, RealFile], Any]


@pytest.fixture
async def client(orthanc: Orthanc) -> AsyncIterator[DICOMwebClient]:
    async with DICOMwebClient(orthanc.url, auth=orthanc.auth, single_part=False) as client:
        yield client


@pytest.fixture
async def azure_like(orthanc: Orthanc) -> AsyncIterator[DICOMwebClient]:
    async with DICOMwebClient(orthanc.url, auth=orthanc.auth) as client:
        yield client


async def store(client: DICOMwebClient, *files: RealFile) -> None:
    for file in files:
        result = await client.store_instance(Body.from_bytes(file.content))
        assert result.outcome_of(file.names[2]).status is StoreStatus.STORED


async def test_many_stored_at_once_have_an_outcome_each(client: DICOMwebClient) -> None:
    files = siblings(CT, 20)
    bodies = [(file, Body.from_bytes(file.content)) for file in files]
    outcomes = [outcome async for _, outcome in client.store_instances(bodies)]
    assert {one.outcome_of().status for one in outcomes if isinstance(one, StoreResult)} == {StoreStatus.STORED}
    assert len([item async for item in client.iter_instances(**files[0].uids(2))]) == 20


async def test_an_instance_of_another_study_fails(client: DICOMwebClient) -> None:
    file = real_file(CT)
    result = await client.store_instance(Body.from_bytes(file.content), study_instance_uid="1.2.3")
    assert (result.status_code, result.outcome_of(file.names[2]).status) == (409, StoreStatus.FAILED)
    assert await client.search_for_studies(Query({"StudyInstanceUID": file.names[0]})) == []


async def test_searches_and_pages_on_three_levels(client: DICOMwebClient) -> None:
    files = [*siblings(CT, 3, PatientID="PAGES"), *siblings("SC_rgb_jpeg_gdcm.dcm", 2, PatientID="PAGES")]
    await store(client, *files)
    query = Query({"PatientID": "PAGES"}, limit=1)
    found = (
        [str(one.StudyInstanceUID) async for one in client.iter_studies(query)],
        [str(one.SeriesInstanceUID) async for one in client.iter_series(query)],
        [str(one.SOPInstanceUID) async for one in client.iter_instances(query)],
    )
    assert [sorted(one) for one in found] == [sorted({file.names[level] for file in files}) for level in range(3)]
    assert await client.search_for_series(Query({"Modality": "MR"}), **files[0].uids(1)) == []
    fields = await client.search_for_instances(Query(includefield=["PatientPosition"]), **files[0].uids(2))
    assert {one.PatientPosition for one in fields} == {"FFS"}


async def test_it_does_not_decode_the_values_of_a_search(client: DICOMwebClient) -> None:
    await store(client, real_file(CT, PatientName="Plain"), real_file(CT, PatientName="Roe^Ann"))
    assert len(await client.search_for_studies(Query({"PatientName": "Plain"}))) == 1
    assert await client.search_for_studies(Query({"PatientName": "Roe^Ann"})) == []


@pytest.mark.parametrize("name", [*NATIVE, *RECODED, *ENCAPSULATED])
async def test_retrieves_byte_for_byte_and_reads_metadata(client: DICOMwebClient, name: str) -> None:
    files = siblings(name, 2)
    await store(client, *files)
    stored = sorted(file.content for file in files)
    async with client.retrieve_study(**files[0].uids(1)) as parts:
        assert sorted([await part.read() async for part in parts]) == stored
    async with client.retrieve_series(**files[0].uids(2)) as parts:
        assert sorted([await part.read() async for part in parts]) == stored
    async with client.retrieve_instance(**files[1].uids()) as part:
        assert await part.read() == files[1].content
    [instance] = (await client.retrieve_instance_metadata(**files[0].uids())).datasets
    assert without_bulk_data(files[0].dataset) <= without_bulk_data(instance)
    for metadata in (
        await client.retrieve_series_metadata(**files[0].uids(2)),
        await client.retrieve_study_metadata(**files[0].uids(1)),
    ):
        assert {one.SOPInstanceUID for one in metadata.datasets} == {file.names[2] for file in files}


@pytest.mark.parametrize("name", [*NATIVE, *ENCAPSULATED])
async def test_retrieves_frames_in_the_order_asked_for(client: DICOMwebClient, name: str) -> None:
    file = real_file(name)
    await store(client, file)
    async with client.retrieve_frames([len(file.frames), 1], **file.uids()) as parts:
        received = [(await part.read(), part.transfer_syntax_uid) async for part in parts]
    assert [frame for frame, _ in received] == [file.frames[-1], file.frames[0]]
    # Native frames are equal in both little endian transfer syntaxes: 1.10 names the file's own, 1.12 the explicit.
    explicit = {ExplicitVRLittleEndian} if name in NATIVE else set()
    assert {uid for _, uid in received} <= {file.dataset.file_meta.TransferSyntaxUID} | explicit


@pytest.mark.parametrize("name", RECODED)
async def test_frames_that_it_has_to_recode(client: DICOMwebClient, name: str) -> None:
    """1.10 fails at them, 1.12 does not."""
    file = real_file(name)
    await store(client, file)
    [frame] = file.frames
    if not file.dataset.file_meta.TransferSyntaxUID.is_little_endian:
        pixels = array("H", frame)
        pixels.byteswap()
        frame = pixels.tobytes()
    received: list[bytes] | int
    try:
        async with client.retrieve_frames([1, 1], **file.uids()) as parts:
            received = [await part.read() async for part in parts]
    except StatusError as failed:
        received = failed.status_code
    assert received in ([frame] * 2, 500)


async def test_renders(client: DICOMwebClient) -> None:
    file = real_file(CT)
    await store(client, file)
    for media_type, signature in (("image/jpeg", b"\xff\xd8"), ("image/png", b"\x89PNG")):
        async with client.retrieve_instance_rendered(**file.uids(), media_type=media_type) as part:  # type: ignore[arg-type]
            assert (part.media_type, (await part.read())[: len(signature)]) == (media_type, signature)


OF_AZURE = [
    ("a single-part store", 415, lambda client, file: client.store_instance(Body.from_bytes(file.content))),
    ("an instance by itself", 400, lambda client, file: client.retrieve_instance(**file.uids()).__aenter__()),
    ("a frame by itself", 400, lambda client, file: client.retrieve_frames([1], **file.uids()).__aenter__()),
]
OF_BOTH = [
    ("a study that is not there", 404, lambda client, _: client.retrieve_study(study_instance_uid="1.2").__aenter__()),
    ("metadata that are not there", 404, lambda client, _: client.retrieve_study_metadata(study_instance_uid="1.2")),
    ("a frame that is not there", 400, lambda client, file: client.retrieve_frames([2, 1], **file.uids()).__aenter__()),
    ("a deletion", 405, lambda client, file: client.delete_study(**file.uids(1))),
]


@pytest.mark.parametrize(
    ("status", "ask", "is_azure_like"),
    [
        *(pytest.param(status, ask, True, id=what) for what, status, ask in OF_AZURE),
        *(pytest.param(status, ask, False, id=what) for what, status, ask in OF_BOTH),
    ],
)
async def test_what_it_refuses(
    client: DICOMwebClient, azure_like: DICOMwebClient, status: int, ask: Ask, is_azure_like: bool
) -> None:
    file = real_file(CT)
    await store(client, file)
    with pytest.raises(NotFound if status == 404 else StatusError) as refused:
        await ask(azure_like if is_azure_like else client, file)
    assert refused.value.status_code == status
    assert len(await client.search_for_instances(**file.uids(2))) == 1


async def test_it_wants_a_password(orthanc: Orthanc) -> None:
    async with DICOMwebClient(orthanc.url) as stranger:
        with pytest.raises(AccessDenied):
            await stranger.search_for_studies()
