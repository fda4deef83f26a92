"""npm's dicomweb-client works against the app, in Node as in OHIF: each method that looks up.

What it cannot do stands in docs/clients.md, with the reason.
"""

from __future__ import annotations

from typing import Any

import pytest

from local.stack import Stack

from .client_methods import what_it_cannot_do
from .npm_client import NpmClient, NpmClientError, install
from .real_files import names_of, options_of
from .viewed import PATIENT, Viewed

# They send nothing.
BY_ITSELF = {"setDebug", "getDebug", "setVerbose", "getVerbose"}


@pytest.fixture(scope="module")
def other(stack: Stack) -> NpmClient:
    """Their client, with a function key as its only peculiarity."""
    install()
    return NpmClient(stack.app_url, {"x-functions-key": stack.function_key})


def uids(found: list[dict[str, Any]], tag: str) -> set[str]:
    return {dataset[tag]["Value"][0] for dataset in found}


def test_search_for_series(other: NpmClient, viewed: Viewed) -> None:
    """Of a study, and of all."""
    study, series, _ = names_of(viewed.others["test-SR.dcm"])
    for found in (
        other.call("searchForSeries", studyInstanceUID=study),
        other.call("searchForSeries", queryParams={"Modality": "SR", "PatientID": PATIENT["PatientID"]}),
    ):
        assert uids(found, "0020000E") == {series}


def test_search_for_instances(other: NpmClient, viewed: Viewed) -> None:
    """Of a series, of a study and of all."""
    study, series, _ = names_of(viewed.ct[0])
    for found in (
        other.call("searchForInstances", studyInstanceUID=study, seriesInstanceUID=series),
        other.call("searchForInstances", studyInstanceUID=study),
        other.call("searchForInstances", queryParams={"SeriesInstanceUID": series}),
    ):
        assert uids(found, "00080018") == {file.dataset.SOPInstanceUID for file in viewed.ct}


def test_retrieve_study_metadata(other: NpmClient, viewed: Viewed) -> None:
    found = other.call("retrieveStudyMetadata", **options_of(viewed.ct[0]))
    assert uids(found, "00080018") == {file.dataset.SOPInstanceUID for file in viewed.ct}


def test_retrieve_series_metadata(other: NpmClient, viewed: Viewed) -> None:
    found = other.call("retrieveSeriesMetadata", **options_of(viewed.ct[0]))
    assert uids(found, "00080018") == {file.dataset.SOPInstanceUID for file in viewed.ct}


def test_retrieve_instance_metadata(other: NpmClient, viewed: Viewed) -> None:
    """What is there, and 404 for what is not."""
    [found] = other.call("retrieveInstanceMetadata", **options_of(viewed.ct[0]))
    assert found["00080018"]["Value"] == [viewed.ct[0].dataset.SOPInstanceUID]
    with pytest.raises(NpmClientError) as missing:
        other.call("retrieveInstanceMetadata", **{**options_of(viewed.ct[0]), "sopInstanceUID": "1.2.3"})
    assert missing.value.status == 404


@pytest.mark.parametrize("method", ["retrieveStudy", "retrieveSeries"])
def test_retrieve_study_and_retrieve_series(other: NpmClient, viewed: Viewed, method: str) -> None:
    """Several instances, and a compressed one, byte for byte."""
    for files in (viewed.ct, [viewed.others["693_J2KI.dcm"]]):
        found = other.call(method, **options_of(files[0]))
        assert sorted(found) == sorted(file.content for file in files)


@pytest.mark.parametrize("name", ["rtdose.dcm", "image_dfl.dcm", "SC_rgb_rle_2frame.dcm", "test-SR.dcm"])
def test_retrieve_instance(other: NpmClient, viewed: Viewed, name: str) -> None:
    """Byte for byte, whatever its transfer syntax."""
    file = viewed.others[name]
    assert other.call("retrieveInstance", **options_of(file)) == file.content


def test_it_cannot_be_told_a_media_type_of_instances(other: NpmClient, viewed: Viewed) -> None:
    """It compares the media type that it is told with one half of it, and sends nothing."""
    media_types = [{"mediaType": "application/dicom", "transferSyntaxUID": "*"}]
    with pytest.raises(NpmClientError, match="Media type application/ is not supported") as refused:
        other.call("retrieveInstance", **options_of(viewed.ct[0]), mediaTypes=media_types)
    assert refused.value.status is None


def test_nothing_is_stored(other: NpmClient, viewed: Viewed) -> None:
    """A lookup writes nothing."""
    assert "storeInstances" in what_it_cannot_do("npm")
    with pytest.raises(NpmClientError) as refused:
        other.call("storeInstances", datasets=[viewed.ct[0].content])
    assert refused.value.status == 405
