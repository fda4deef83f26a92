"""npm's dicomweb-client works against the app, in Node as in OHIF: each method that looks up.

What it cannot do stands in docs/clients.md, with the reason.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from local.stack import Stack

from .client_methods import check_all_are_tested, picture, what_it_cannot_do
from .npm_client import NpmClient, NpmClientError, install, methods
from .real_files import RealFile, names_of, options_of
from .viewed import PATIENT, STUDY, Viewed

# They send nothing.
BY_ITSELF = {"setDebug", "getDebug", "setVerbose", "getVerbose"}


@pytest.fixture(scope="module")
def other(stack: Stack) -> NpmClient:
    """Their client, with a function key as its only peculiarity."""
    install()
    return NpmClient(stack.app_url, {"x-functions-key": stack.function_key})


def test_every_method_is_tested_or_has_its_reason() -> None:
    """Those of the client as it is installed."""
    install()
    check_all_are_tested(methods() - BY_ITSELF, globals(), "npm")


def uids(found: list[dict[str, Any]], tag: str) -> set[str]:
    return {dataset[tag]["Value"][0] for dataset in found}


def test_search_for_studies(other: NpmClient, viewed: Viewed) -> None:
    """By a value, by a pattern whose stars it does not escape, and without a match."""
    study = options_of(viewed.ct[0])["studyInstanceUID"]
    files = [viewed.ct[0], *viewed.others.values()]
    found = other.call("searchForStudies", queryParams={"PatientID": PATIENT["PatientID"]})
    assert uids(found, "0020000D") == {file.dataset.StudyInstanceUID for file in files}
    filters = {"PatientID": PATIENT["PatientID"], "StudyDescription": f"*{STUDY['StudyDescription'][3:-3]}*"}
    assert uids(other.call("searchForStudies", queryParams=filters), "0020000D") == {study}
    assert other.call("searchForStudies", queryParams={"PatientID": "NOBODY"}) == []


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


def test_retrieve_instance_frames(other: NpmClient, viewed: Viewed) -> None:
    """One by itself, and several in the order asked for, as they are stored; also by the names of their encodings."""
    for name in ("rtdose.dcm", "examples_ybr_color.dcm", "SC_rgb_rle_2frame.dcm"):
        file = viewed.others[name]
        options = options_of(file)
        assert other.call("retrieveInstanceFrames", **options, frameNumbers=[1]) == file.frames[:1]
        assert other.call("retrieveInstanceFrames", **options, frameNumbers=[2, 1]) == [file.frames[1], file.frames[0]]
    wavelets = viewed.others["693_J2KI.dcm"]
    media_types = [{"mediaType": "image/jp2", "transferSyntaxUID": "1.2.840.10008.1.2.4.91"}]
    frames = other.call("retrieveInstanceFrames", **options_of(wavelets), frameNumbers=[1], mediaTypes=media_types)
    assert frames == wavelets.frames


def rendered(other: NpmClient, method: str, file: RealFile, **options: Any) -> bytes:
    [content] = other.call(method, **options_of(file), **options)
    assert isinstance(content, bytes)
    return content


def test_retrieve_instance_rendered(other: NpmClient, viewed: Viewed) -> None:
    """As JPEG unless PNG is asked for, in the colours that the file has."""
    file = viewed.others["examples_rgb_color.dcm"]
    pixels = file.dataset.pixel_array
    assert np.abs(picture(rendered(other, "retrieveInstanceRendered", file), "JPEG") - pixels).mean() < 4
    png = rendered(other, "retrieveInstanceRendered", file, mediaTypes=[{"mediaType": "image/png"}])
    assert np.abs(picture(png, "PNG") - pixels).max() == 0


def test_retrieve_instance_frames_rendered(other: NpmClient, viewed: Viewed) -> None:
    """The frame that is asked for."""
    file = viewed.others["SC_rgb_rle_2frame.dcm"]
    options = {"frameNumbers": [2], "mediaTypes": [{"mediaType": "image/png"}]}
    png = rendered(other, "retrieveInstanceFramesRendered", file, **options)
    assert np.abs(picture(png, "PNG") - file.dataset.pixel_array[1]).max() == 0


def test_retrieve_instance_thumbnail(other: NpmClient, viewed: Viewed) -> None:
    """A JPEG of the same shape."""
    file = viewed.others["examples_rgb_color.dcm"]
    rows, columns, samples = picture(rendered(other, "retrieveInstanceThumbnail", file), "JPEG").shape
    assert samples == 3
    assert abs(rows / columns - file.dataset.Rows / file.dataset.Columns) < 0.02


def test_retrieve_instance_frames_thumbnail(other: NpmClient, viewed: Viewed) -> None:
    """Of the frame that is asked for: the second is the first one's negative."""
    file = viewed.others["SC_rgb_rle_2frame.dcm"]
    first, second = (
        picture(rendered(other, "retrieveInstanceFramesThumbnail", file, frameNumbers=[number]), "JPEG")
        for number in (1, 2)
    )
    assert np.abs(first + second - 255).mean() < 4


def test_nothing_is_stored(other: NpmClient, viewed: Viewed) -> None:
    """A lookup writes nothing."""
    assert "storeInstances" in what_it_cannot_do("npm")
    with pytest.raises(NpmClientError) as refused:
        other.call("storeInstances", datasets=[viewed.ct[0].content])
    assert refused.value.status == 405
