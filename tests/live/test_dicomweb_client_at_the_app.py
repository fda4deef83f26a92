"""PyPI's dicomweb-client works against the app with `http://host/api` as its base URL: each method that looks up.

What it cannot do stands in docs/clients.md, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import requests
from dicomweb_client.api import DICOMwebClient as OtherClient
from pydicom import Dataset
from pydicom.pixels.processing import apply_color_lut

from local.stack import Stack

from .client_methods import check_all_are_tested, picture, what_it_cannot_do
from .real_files import RealFile, names_of, without_bulk_data
from .viewed import PATIENT, STUDY, Viewed

# They send nothing.
BY_ITSELF = {"lookup_keyword", "lookup_tag", "set_chunk_size", "set_http_retry_params"}
# As they are stored, and in the two other ways to ask for them.
AS_STORED = (None, (("application/dicom", "*"),))


@pytest.fixture(scope="module")
def other(stack: Stack) -> Iterator[OtherClient]:
    """Their client, with a function key as its only peculiarity."""
    with requests.Session() as session:
        session.trust_env = False
        session.headers["x-functions-key"] = stack.function_key
        yield OtherClient(stack.app_url, session=session)


def test_every_method_is_tested_or_has_its_reason() -> None:
    """Those of the client as it is installed."""
    methods = {name for name, value in vars(OtherClient).items() if callable(value) and not name.startswith("_")}
    check_all_are_tested(methods - BY_ITSELF, globals(), "PyPI")


def uids(found: list[dict[str, Any]], tag: str) -> set[str]:
    return {dataset[tag]["Value"][0] for dataset in found}


def by_uid(datasets: list[Dataset]) -> dict[str, Dataset]:
    return {dataset.SOPInstanceUID: dataset for dataset in datasets}


def test_search_for_studies(other: OtherClient, viewed: Viewed) -> None:
    """By values, a date range, a name's beginning, a pattern and a list of UIDs; with fields; and without a match."""
    ct, mr = viewed.ct[0].dataset, viewed.others["MR_small_RLE.dcm"].dataset
    patient = {"PatientID": PATIENT["PatientID"]}
    expected = {file.dataset.StudyInstanceUID for file in [viewed.ct[0], *viewed.others.values()]}
    assert uids(other.search_for_studies(search_filters=patient), "0020000D") == expected
    for filters in (
        {"StudyInstanceUID": ct.StudyInstanceUID},
        patient | {"StudyDate": "20240201-20240301"},
        patient | {"AccessionNumber": "*SYN*"},
        patient | {"ModalitiesInStudy": "CT", "StudyDescription": STUDY["StudyDescription"]},
    ):
        [found] = other.search_for_studies(search_filters=filters)
        assert found["0020000D"]["Value"] == [ct.StudyInstanceUID]
    two = {"StudyInstanceUID": f"{ct.StudyInstanceUID},{mr.StudyInstanceUID}"}
    assert uids(other.search_for_studies(search_filters=two), "0020000D") == set(two["StudyInstanceUID"].split(","))
    fuzzy = other.search_for_studies(fuzzymatching=True, search_filters=patient | {"PatientName": "Synth"})
    assert uids(fuzzy, "0020000D") == expected
    fields = ["ModalitiesInStudy", "NumberOfStudyRelatedInstances", "PatientSex"]
    [found] = other.search_for_studies(search_filters={"StudyInstanceUID": ct.StudyInstanceUID}, fields=fields)
    assert (found["00080061"]["Value"], found["00201208"]["Value"]) == (["CT"], [len(viewed.ct)])
    assert other.search_for_studies(search_filters={"PatientID": "NOBODY"}) == []


def test_search_for_series(other: OtherClient, viewed: Viewed) -> None:
    """Of a study, and of all."""
    study, series, _ = names_of(viewed.ct[0])
    [found] = other.search_for_series(study, fields=["SeriesDescription", "NumberOfSeriesRelatedInstances"])
    assert found["0020000E"]["Value"] == [series]
    assert found["00201209"]["Value"] == [len(viewed.ct)]
    study, series, _ = names_of(viewed.others["test-SR.dcm"])
    [found] = other.search_for_series(search_filters={"Modality": "SR", "PatientID": PATIENT["PatientID"]})
    assert (found["0020000D"]["Value"], found["0020000E"]["Value"]) == ([study], [series])


def test_search_for_instances(other: OtherClient, viewed: Viewed) -> None:
    """Of a series, of a study and of all; page by page, and all pages by itself."""
    study, series, _ = names_of(viewed.ct[0])
    expected = {file.dataset.SOPInstanceUID for file in viewed.ct}
    for found in (
        other.search_for_instances(study, series),
        other.search_for_instances(study),
        other.search_for_instances(search_filters={"SeriesInstanceUID": series}),
    ):
        assert uids(found, "00080018") == expected
    pages = [other.search_for_instances(study, series, limit=2, offset=offset) for offset in (0, 2, 4, 6)]
    assert [len(page) for page in pages] == [2, 2, 1, 0]
    every = other.search_for_instances(study, series, limit=2, get_remaining=True)
    assert every == [instance for page in pages for instance in page]
    assert uids(every, "00080018") == expected


@pytest.mark.parametrize("media_types", AS_STORED)
@pytest.mark.parametrize("method", ["retrieve_study", "iter_study"])
def test_retrieve_study_and_iter_study(other: OtherClient, viewed: Viewed, method: str, media_types: Any) -> None:
    """A native one and a compressed one, as they are stored."""
    for files in (viewed.ct, [viewed.others["693_J2KI.dcm"]]):
        found = getattr(other, method)(names_of(files[0])[0], media_types=media_types)
        assert by_uid(list(found)) == by_uid([file.dataset for file in files])


@pytest.mark.parametrize("media_types", AS_STORED)
@pytest.mark.parametrize("method", ["retrieve_series", "iter_series"])
def test_retrieve_series_and_iter_series(other: OtherClient, viewed: Viewed, method: str, media_types: Any) -> None:
    """A native one and a compressed one, as they are stored."""
    for files in (viewed.ct, [viewed.others["693_J2KI.dcm"]]):
        found = getattr(other, method)(*names_of(files[0])[:2], media_types=media_types)
        assert by_uid(list(found)) == by_uid([file.dataset for file in files])


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")  # pydicom's rtdose.dcm has one
@pytest.mark.parametrize("media_types", AS_STORED)
def test_retrieve_instance(other: OtherClient, viewed: Viewed, media_types: Any) -> None:
    """Each file, as it is stored."""
    for file in [viewed.ct[0], *viewed.others.values()]:
        received = other.retrieve_instance(*names_of(file), media_types=media_types)
        assert received.file_meta.TransferSyntaxUID == file.dataset.file_meta.TransferSyntaxUID
        assert received == file.dataset


def check_metadata(found: dict[str, Any], file: RealFile) -> None:
    dataset = Dataset.from_json(found)
    assert without_bulk_data(dataset) == without_bulk_data(file.dataset)
    for keyword in ("SOPInstanceUID", "PatientName", "PatientID", "Rows", "InstanceNumber", "ImageType"):
        assert dataset.get(keyword) == file.dataset.get(keyword)


def test_retrieve_study_metadata(other: OtherClient, viewed: Viewed) -> None:
    found = other.retrieve_study_metadata(names_of(viewed.ct[0])[0])
    assert uids(found, "00080018") == {file.dataset.SOPInstanceUID for file in viewed.ct}


def test_retrieve_series_metadata(other: OtherClient, viewed: Viewed) -> None:
    found = other.retrieve_series_metadata(*names_of(viewed.ct[0])[:2])
    assert uids(found, "00080018") == {file.dataset.SOPInstanceUID for file in viewed.ct}


def test_retrieve_instance_metadata(other: OtherClient, viewed: Viewed) -> None:
    """Of pictures and of none, with all elements but bulk data."""
    for file in (viewed.ct[0], viewed.others["examples_ybr_color.dcm"]):
        check_metadata(other.retrieve_instance_metadata(*names_of(file)), file)


@pytest.mark.parametrize("method", ["retrieve_instance_frames", "iter_instance_frames"])
def test_retrieve_instance_frames_and_iter_instance_frames(other: OtherClient, viewed: Viewed, method: str) -> None:
    """One by itself, and several in the order asked for, as they are stored; also where they are asked for by name."""
    retrieve: Callable[..., Any] = getattr(other, method)
    for name in ("rtdose.dcm", "examples_ybr_color.dcm", "SC_rgb_rle_2frame.dcm"):
        file = viewed.others[name]
        assert list(retrieve(*names_of(file), frame_numbers=[1])) == file.frames[:1]
        assert list(retrieve(*names_of(file), frame_numbers=[2, 1])) == [file.frames[1], file.frames[0]]
        media_types = (("application/octet-stream", "*"),)
        assert list(retrieve(*names_of(file), frame_numbers=[1], media_types=media_types)) == file.frames[:1]
    wavelets = viewed.others["693_J2KI.dcm"]
    media_types = (("image/jp2", "1.2.840.10008.1.2.4.91"),)
    assert list(retrieve(*names_of(wavelets), frame_numbers=[1], media_types=media_types)) == wavelets.frames


def test_retrieve_instance_rendered(other: OtherClient, viewed: Viewed) -> None:
    """As JPEG unless PNG is asked for, in the colours that the file has."""
    file = viewed.others["examples_rgb_color.dcm"]
    pixels = file.dataset.pixel_array
    assert np.abs(picture(other.retrieve_instance_rendered(*names_of(file)), "JPEG") - pixels).mean() < 4
    png = other.retrieve_instance_rendered(*names_of(file), media_types=("image/png",))
    assert np.abs(picture(png, "PNG") - pixels).max() == 0
    palette = viewed.others["examples_palette.dcm"]
    colors = apply_color_lut(palette.dataset.pixel_array, palette.dataset) / 256
    assert np.abs(picture(other.retrieve_instance_rendered(*names_of(palette)), "JPEG") - colors).mean() < 4


def test_retrieve_instance_frames_rendered(other: OtherClient, viewed: Viewed) -> None:
    """The frame that is asked for."""
    file = viewed.others["SC_rgb_rle_2frame.dcm"]
    png = other.retrieve_instance_frames_rendered(*names_of(file), frame_numbers=[2], media_types=("image/png",))
    assert np.abs(picture(png, "PNG") - file.dataset.pixel_array[1]).max() == 0
    jpeg = other.retrieve_instance_frames_rendered(*names_of(file), frame_numbers=[2])
    assert np.abs(picture(jpeg, "JPEG") - file.dataset.pixel_array[1]).mean() < 4


REFUSED: dict[str, tuple[int, Callable[[OtherClient, RealFile], Any]]] = {
    "retrieve_series_rendered": (404, lambda other, file: other.retrieve_series_rendered(*names_of(file)[:2])),
    "store_instances": (405, lambda other, file: other.store_instances([file.dataset])),
    "delete_study": (405, lambda other, file: other.delete_study(names_of(file)[0])),
    "delete_series": (405, lambda other, file: other.delete_series(*names_of(file)[:2])),
    "delete_instance": (405, lambda other, file: other.delete_instance(*names_of(file))),
}


@pytest.mark.parametrize("method", REFUSED)
def test_the_app_refuses_what_it_does_not_offer(other: OtherClient, viewed: Viewed, method: str) -> None:
    """What writes, deletes, or is not there; and nothing has changed."""
    status, call = REFUSED[method]
    assert method in what_it_cannot_do("PyPI")
    with pytest.raises(requests.HTTPError, match=f"^{status} "):
        call(other, viewed.ct[0])
    assert len(other.search_for_instances(*names_of(viewed.ct[0])[:2])) == len(viewed.ct)


def test_there_is_no_address_of_bulk_data(other: OtherClient, viewed: Viewed) -> None:
    """Neither pixels nor palettes: the metadata leave them out, or say where to find them."""
    for file in (viewed.ct[0], viewed.others["examples_palette.dcm"]):
        found = other.retrieve_instance_metadata(*names_of(file))
        assert not any("BulkDataURI" in element for element in found.values())
        assert not {"7FE00010", "00281201", "00281202", "00281203"} & found.keys()
