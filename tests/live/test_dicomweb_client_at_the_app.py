"""PyPI's dicomweb-client works against the app with `http://host/api` as its base URL: each method that looks up.

What it cannot do stands in docs/clients.md, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from dicomweb_client.api import DICOMwebClient as OtherClient
from pydicom import Dataset

from local.stack import Stack

from .client_methods import what_it_cannot_do
from .real_files import RealFile, names_of, without_bulk_data
from .viewed import PATIENT, Viewed

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


def uids(found: list[dict[str, Any]], tag: str) -> set[str]:
    return {dataset[tag]["Value"][0] for dataset in found}


def by_uid(datasets: list[Dataset]) -> dict[str, Dataset]:
    return {dataset.SOPInstanceUID: dataset for dataset in datasets}


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
