"""Two other DICOMweb clients work against the local DICOM service: those of PyPI and of npm, which share a name.

Some of what they ask for the service refuses, as the Azure service does, and the tests say so:

- PyPI's accepts frames in a form that is refused (406), unless it is told a media type;
- npm's cannot be told to ask for instances in the transfer syntax that they are stored in: it refuses the media type
  itself. It gets one instance in the service's default, Explicit VR Little Endian, and several not at all (406);
- npm's hands the answer to a store over as text, and of one that failed (409) only the status.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import httpx
import pytest
import requests
from dicomweb_client.api import DICOMwebClient as PyPIClient
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian

from shared.dicomweb import Resource
from tests.kit.dicomweb_messages import STORED_INSTANCE
from tests.kit.service import running

from .npm_client import NpmClient, NpmClientError, install
from .real_files import NAMES, RealFile, names_of, options_of, real_file, siblings

INSTANCES = (("application/dicom", "*"),)  # media type and transfer syntax: as they are stored
FRAMES = (("application/octet-stream", "*"),)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("dicom")) as root:
        yield f"{root}/v2"


@pytest.fixture(scope="module")
def pypi_client(url: str) -> Iterator[PyPIClient]:
    with requests.Session() as session:
        session.trust_env = False
        yield PyPIClient(url, session=session)


@pytest.fixture(scope="module")
def npm_client(url: str) -> NpmClient:
    install()
    return NpmClient(url)


def stored(url: str, file: RealFile) -> bytes:
    """Return what the service has of a file."""
    response = httpx.get(url + Resource(**file.uids).path, headers={"Accept": STORED_INSTANCE}, trust_env=False)
    return response.raise_for_status().content


def last_and_first(file: RealFile) -> tuple[list[int], list[bytes]]:
    """Return the numbers of two frames, and the frames."""
    return [len(file.frames), 1], [file.frames[-1], file.frames[0]]


# PyPI's


@pytest.mark.parametrize("name", NAMES)
def test_pypi_stores_and_retrieves(pypi_client: PyPIClient, url: str, name: str) -> None:
    """What it stores is there byte for byte, and comes back to it as instance, series and study."""
    files = siblings(name, 2)
    assert "FailedSOPSequence" not in pypi_client.store_instances([file.dataset for file in files])
    assert [stored(url, file) for file in files] == [file.content for file in files]
    study, series, _ = names_of(files[0])
    assert pypi_client.retrieve_instance(*names_of(files[0]), media_types=INSTANCES) == files[0].dataset
    for several in (
        pypi_client.retrieve_series(study, series, media_types=INSTANCES),
        pypi_client.retrieve_study(study, media_types=INSTANCES),
    ):
        assert {dataset.SOPInstanceUID: dataset for dataset in several} == {
            file.dataset.SOPInstanceUID: file.dataset for file in files
        }


@pytest.mark.parametrize("name", NAMES)
def test_pypi_retrieves_frames(pypi_client: PyPIClient, name: str) -> None:
    """One by itself, and two in the order asked for, as they are stored."""
    file = real_file(name)
    pypi_client.store_instances([file.dataset])
    numbers, frames = last_and_first(file)
    assert pypi_client.retrieve_instance_frames(*names_of(file), numbers, media_types=FRAMES) == frames
    assert pypi_client.retrieve_instance_frames(*names_of(file), [1], media_types=FRAMES) == frames[1:]


def test_pypi_must_be_told_the_media_type_of_frames(pypi_client: PyPIClient) -> None:
    """By itself it accepts what the service has in no form."""
    file = real_file("CT_small.dcm")
    pypi_client.store_instances([file.dataset])
    with pytest.raises(requests.HTTPError, match=r"^406 "):
        pypi_client.retrieve_instance_frames(*names_of(file), [1])


@pytest.mark.parametrize("name", NAMES)
def test_pypi_reads_metadata(pypi_client: PyPIClient, name: str) -> None:
    """The metadata of an instance have the file's values, and there is one such dataset in series and study."""
    file = real_file(name, PatientID="METADATA")
    pypi_client.store_instances([file.dataset])
    study, series, instance = names_of(file)
    metadata = pypi_client.retrieve_instance_metadata(study, series, instance)
    assert metadata["00100020"] == {"vr": "LO", "Value": ["METADATA"]}
    assert metadata["00280010"] == {"vr": "US", "Value": [file.dataset.Rows]}
    assert metadata["00080018"] == {"vr": "UI", "Value": [instance]}
    assert pypi_client.retrieve_series_metadata(study, series) == [metadata]
    assert pypi_client.retrieve_study_metadata(study) == [metadata]


def test_pypi_searches(pypi_client: PyPIClient) -> None:
    """On three levels, page by page or all pages by itself, and without a match."""
    files = siblings("CT_small.dcm", 3, PatientID="PYPI")
    pypi_client.store_instances([file.dataset for file in files])
    study, series, _ = names_of(files[0])
    [found] = pypi_client.search_for_studies(search_filters={"PatientID": "PYPI"})
    assert found["0020000D"]["Value"] == [study]
    [found] = pypi_client.search_for_series(study)
    assert found["0020000E"]["Value"] == [series]
    pages = [pypi_client.search_for_instances(study, series, limit=1, offset=offset) for offset in range(4)]
    assert [len(page) for page in pages] == [1, 1, 1, 0]
    every = pypi_client.search_for_instances(study, series, limit=2, get_remaining=True)
    assert every == [page[0] for page in pages[:3]]
    assert {instance["00080018"]["Value"][0] for instance in every} == {file.dataset.SOPInstanceUID for file in files}
    assert pypi_client.search_for_studies(search_filters={"PatientID": "NOBODY"}) == []


def test_pypi_learns_of_a_conflict_and_deletes(pypi_client: PyPIClient) -> None:
    """A second store of an instance is refused as a whole; once it is deleted it is not found."""
    file = real_file("CT_small.dcm")
    pypi_client.store_instances([file.dataset])
    with pytest.raises(requests.HTTPError, match=r"^409 "):
        pypi_client.store_instances([file.dataset])
    pypi_client.delete_instance(*names_of(file))
    with pytest.raises(requests.HTTPError, match=r"^404 "):
        pypi_client.retrieve_instance(*names_of(file))


# npm's


def store_by_npm(client: NpmClient, *files: RealFile) -> dict[str, Any]:
    """Store files and return the service's answer."""
    answer: dict[str, Any] = json.loads(client.call("storeInstances", datasets=[file.content for file in files]))
    return answer


@pytest.mark.parametrize("name", NAMES)
def test_npm_stores(npm_client: NpmClient, url: str, name: str) -> None:
    """What it stores is there byte for byte, and its frames come back, in the order asked for, as they are stored."""
    file = real_file(name)
    assert "00081198" not in store_by_npm(npm_client, file)
    assert stored(url, file) == file.content
    numbers, frames = last_and_first(file)
    media_types = [{"mediaType": "application/octet-stream", "transferSyntaxUID": "*"}]
    options = {**options_of(file), "frameNumbers": numbers, "mediaTypes": media_types}
    assert npm_client.call("retrieveInstanceFrames", **options) == frames


def test_npm_retrieves(npm_client: NpmClient) -> None:
    """Instance, series, study and frame of the service's default transfer syntax are identical, without being told."""
    file = real_file("CT_small.dcm")
    store_by_npm(npm_client, file)
    options = options_of(file)
    assert npm_client.call("retrieveInstance", **options) == file.content
    assert npm_client.call("retrieveSeries", **options) == [file.content]
    assert npm_client.call("retrieveStudy", **options) == [file.content]
    assert npm_client.call("retrieveInstanceFrames", **options, frameNumbers=[1]) == file.frames


@pytest.mark.parametrize(
    "name", ["rtdose.dcm", "MR_small_bigendian.dcm", "SC_rgb_rle_2frame.dcm", "SC_rgb_jpeg_gdcm.dcm"]
)
def test_npm_retrieves_what_the_service_transcodes(npm_client: NpmClient, name: str) -> None:
    """An instance of another transfer syntax, without loss, comes in the service's default with the same pixels."""
    file = real_file(name)
    store_by_npm(npm_client, file)
    received = dcmread(BytesIO(npm_client.call("retrieveInstance", **options_of(file))))
    assert received.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert received.pixel_array.tolist() == file.dataset.pixel_array.tolist()


@pytest.mark.parametrize("method", ["retrieveSeries", "retrieveStudy"])
def test_npm_cannot_retrieve_several(npm_client: NpmClient, method: str) -> None:
    """The service gives several instances in the transfer syntax that they are stored in alone."""
    files = siblings("CT_small.dcm", 2)
    store_by_npm(npm_client, *files)
    with pytest.raises(NpmClientError) as refused:
        npm_client.call(method, **options_of(files[0]))
    assert refused.value.status == 406


@pytest.mark.parametrize("method", ["retrieveInstance", "retrieveSeries", "retrieveStudy"])
def test_npm_cannot_ask_for_what_is_stored(npm_client: NpmClient, method: str) -> None:
    """It compares the media type that it is told with one half of it, and sends nothing."""
    media_types = [{"mediaType": "application/dicom", "transferSyntaxUID": "*"}]
    with pytest.raises(NpmClientError, match="Media type application/ is not supported") as refused:
        npm_client.call(method, **options_of(real_file("JPEG-lossy.dcm")), mediaTypes=media_types)
    assert refused.value.status is None


def test_npm_reads_metadata(npm_client: NpmClient) -> None:
    """Of instance, series and study; what is not there is 404."""
    file = real_file("examples_ybr_color.dcm")
    store_by_npm(npm_client, file)
    options = options_of(file)
    [metadata] = npm_client.call("retrieveInstanceMetadata", **options)
    assert metadata["00280008"] == {"vr": "IS", "Value": [30]}
    assert metadata["00080018"]["Value"] == [file.dataset.SOPInstanceUID]
    assert npm_client.call("retrieveSeriesMetadata", **options) == [metadata]
    assert npm_client.call("retrieveStudyMetadata", **options) == [metadata]
    with pytest.raises(NpmClientError) as missing:
        npm_client.call("retrieveStudyMetadata", studyInstanceUID="1.2.3")
    assert missing.value.status == 404


def test_npm_searches(npm_client: NpmClient) -> None:
    """On three levels and page by page; no match, 204, is an empty list."""
    files = siblings("CT_small.dcm", 3, PatientID="NPM")
    store_by_npm(npm_client, *files)
    options = options_of(files[0])
    [found] = npm_client.call("searchForStudies", queryParams={"PatientID": "NPM"})
    assert found["0020000D"]["Value"] == [options["studyInstanceUID"]]
    [found] = npm_client.call("searchForSeries", studyInstanceUID=options["studyInstanceUID"])
    assert found["0020000E"]["Value"] == [options["seriesInstanceUID"]]
    pages = [
        npm_client.call("searchForInstances", **options, queryParams={"limit": 2, "offset": offset})
        for offset in (0, 2, 4)
    ]
    assert [len(page) for page in pages] == [2, 1, 0]
    uids = {instance["00080018"]["Value"][0] for page in pages for instance in page}
    assert uids == {file.dataset.SOPInstanceUID for file in files}
    assert npm_client.call("searchForStudies", queryParams={"PatientID": "NOBODY"}) == []


def test_npm_learns_that_a_store_failed(npm_client: NpmClient) -> None:
    """A second store of an instance is rejected, with the status."""
    file = real_file("CT_small.dcm")
    store_by_npm(npm_client, file)
    with pytest.raises(NpmClientError) as failed:
        store_by_npm(npm_client, file)
    assert failed.value.status == 409
