"""PyPI's dicomweb-client works against the app with `http://host/api` as its base URL."""

from __future__ import annotations

from io import BytesIO

import pytest
import requests
from dicomweb_client.api import DICOMwebClient as OtherClient
from pydicom import Dataset, dcmread

from local import samples
from local.stack import Stack
from tests.e2e.drop_box import DropBox


@pytest.fixture(scope="module")
def other(stack: Stack) -> OtherClient:
    """Their client, with a function key as its only peculiarity."""
    session = requests.Session()
    session.trust_env = False
    session.headers["x-functions-key"] = stack.function_key
    return OtherClient(stack.app_url, session=session)


@pytest.fixture(scope="module")
def ct(stack: Stack) -> Dataset:
    content = samples.pydicom_file("CT_small.dcm")
    DropBox(stack).settle("live/CT_small.dcm", content)
    return dcmread(BytesIO(content))


def test_it_searches_on_three_levels(other: OtherClient, ct: Dataset) -> None:
    """Studies, series and instances."""
    [study] = other.search_for_studies(search_filters={"PatientID": ct.PatientID})
    assert study["0020000D"]["Value"] == [ct.StudyInstanceUID]
    [series] = other.search_for_series(ct.StudyInstanceUID)
    assert series["0020000E"]["Value"] == [ct.SeriesInstanceUID]
    [instance] = other.search_for_instances(ct.StudyInstanceUID, ct.SeriesInstanceUID)
    assert instance["00080018"]["Value"] == [ct.SOPInstanceUID]
    assert other.search_for_studies(search_filters={"PatientID": "NOBODY"}) == []


def test_it_retrieves_what_was_dropped(other: OtherClient, ct: Dataset) -> None:
    """As a study, a series and an instance, all equal to the file."""
    uids = (ct.StudyInstanceUID, ct.SeriesInstanceUID, ct.SOPInstanceUID)
    assert other.retrieve_instance(*uids) == ct
    assert other.retrieve_series(*uids[:2]) == [ct]
    assert other.retrieve_study(uids[0]) == [ct]


def test_it_reads_metadata_and_frames(other: OtherClient, ct: Dataset) -> None:
    """Metadata of three levels, and the pixels of the only frame."""
    uids = (ct.StudyInstanceUID, ct.SeriesInstanceUID, ct.SOPInstanceUID)
    assert other.retrieve_instance_metadata(*uids)["00100020"]["Value"] == [ct.PatientID]
    assert len(other.retrieve_series_metadata(*uids[:2])) == 1
    assert len(other.retrieve_study_metadata(uids[0])) == 1
    [frame] = other.retrieve_instance_frames(*uids, frame_numbers=[1])
    assert frame == ct.PixelData
