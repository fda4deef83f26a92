"""What viewers send, byte for byte, gets an answer that they can use.

Recorded from npm's dicomweb-client 0.11.3, cornerstone-wado-image-loader 4.13.2, OHIF 3.12.10 and 4.12.51 (version 2),
and dwv 0.36.4 in Chromium.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from local.stack import Stack
from shared.dicomweb import Resource
from tests.conftest import VIEWERS_ORIGIN
from tests.kit.dicomweb_messages import parts_of

from .client_methods import picture
from .real_files import RealFile
from .viewed import PATIENT, Viewed

JSON = "application/dicom+json"
QUOTED = 'multipart/related; type="application/octet-stream"'
QUOTED_AS_STORED = f'{QUOTED}; transfer-syntax="*"'
UNQUOTED = "multipart/related; type=application/octet-stream; transfer-syntax=*"
INSTANCES = 'multipart/related; type="application/dicom"'
BROWSERS_IMAGES = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"

# OHIF's lists: of all studies, and of a study's series when it is opened and in the list.
LIST = "limit=101&offset=0&fuzzymatching=true&includefield=00081030%2C00080060"
LIST_V2 = "limit=25&offset=0&fuzzymatching=true&includefield=00081030%2C00080060"
FILTER = (
    "PatientName=*Syn*&00100020=*YN-08*&AccessionNumber=*SYN*&StudyDescription=*synth*&ModalitiesInStudy=CT"
    f"&StudyDate=20240101-20240301&{LIST}"
)
OF_SERIES = "includefield=00080021%2C00080031%2C0008103E%2C00200011"
OF_SERIES_IN_THE_LIST = "includefield=0008103E%2C00080021"


def values(response: httpx.Response, tag: str) -> set[Any]:
    """Return an attribute of the datasets that an answer lists."""
    assert response.headers["content-type"] == JSON
    return {value for dataset in response.json() for value in dataset[tag]["Value"]}


def lists_the_study(response: httpx.Response, viewed: Viewed) -> None:
    """It is among others, with the description that was asked for."""
    ct = viewed.ct[0].dataset
    [found] = (one for one in response.json() if one["0020000D"]["Value"] == [ct.StudyInstanceUID])
    assert found["00081030"]["Value"] == [ct.StudyDescription]


def lists_the_study_alone(response: httpx.Response, viewed: Viewed) -> None:
    assert values(response, "0020000D") == {viewed.ct[0].dataset.StudyInstanceUID}


def lists_the_patients_studies(response: httpx.Response, viewed: Viewed) -> None:
    files = [viewed.ct[0], *viewed.others.values()]
    assert values(response, "0020000D") == {file.dataset.StudyInstanceUID for file in files}


def lists_the_series(response: httpx.Response, viewed: Viewed) -> None:
    assert values(response, "0020000E") == {viewed.ct[0].dataset.SeriesInstanceUID}


def lists_the_series_with_its_number(response: httpx.Response, viewed: Viewed) -> None:
    lists_the_series(response, viewed)
    assert values(response, "00200011") == {viewed.ct[0].dataset.SeriesNumber}


def lists_the_instances(response: httpx.Response, viewed: Viewed) -> None:
    assert values(response, "00080018") == {file.dataset.SOPInstanceUID for file in viewed.ct}


def lists_the_slice(response: httpx.Response, viewed: Viewed) -> None:
    assert values(response, "00080018") == {viewed.ct[0].dataset.SOPInstanceUID}


def is_the_frame(response: httpx.Response, viewed: Viewed) -> None:
    assert [content for _, content in parts_of(response)] == viewed.ct[0].frames


def is_the_file(response: httpx.Response, viewed: Viewed) -> None:
    assert response.headers["content-type"].partition(";")[0] == "application/dicom"
    assert response.content == viewed.ct[0].content


def is_the_file_as_a_part(response: httpx.Response, viewed: Viewed) -> None:
    assert [content for _, content in parts_of(response)] == [viewed.ct[0].content]


def is_each_file_as_a_part(response: httpx.Response, viewed: Viewed) -> None:
    assert {content for _, content in parts_of(response)} == {file.content for file in viewed.ct}


def is_a_jpeg(response: httpx.Response, viewed: Viewed) -> None:
    assert response.headers["content-type"] == "image/jpeg"
    pixels, file = picture(response.content, "JPEG"), viewed.ct[0].dataset
    assert pixels.shape == (file.Rows, file.Columns)
    assert pixels.std() > 10  # there is something to see


def is_a_png(response: httpx.Response, viewed: Viewed) -> None:
    assert response.headers["content-type"] == "image/png"
    assert picture(response.content, "PNG").shape == (viewed.ct[0].dataset.Rows, viewed.ct[0].dataset.Columns)


@dataclass(frozen=True)
class Sent:
    """One request; in its path stand names of the study, the series and the first slice of the CT."""

    path: str
    accept: str
    is_useful: Callable[[httpx.Response, Viewed], None]


REQUESTS = {
    "dicomweb-client": (
        Sent(f"/studies?PatientID={PATIENT['PatientID']}", JSON, lists_the_patients_studies),
        Sent("/studies?PatientName=*Syn*&AccessionNumber=ACC-S*", JSON, lists_the_study_alone),
        Sent("{study}/series", JSON, lists_the_series),
        Sent("{series}/instances", JSON, lists_the_instances),
        Sent("{study}/metadata", JSON, lists_the_instances),
        Sent("{series}/metadata", JSON, lists_the_instances),
        Sent("{instance}/metadata", JSON, lists_the_slice),
        Sent("{instance}/frames/1", QUOTED, is_the_frame),
        Sent("{instance}/rendered", "*/*", is_a_jpeg),
        Sent("{instance}/rendered", "image/png", is_a_png),
        Sent("{instance}", INSTANCES, is_the_file_as_a_part),
        Sent("{series}", INSTANCES, is_each_file_as_a_part),
    ),
    "wado-image-loader": (Sent("{instance}/frames/1", UNQUOTED, is_the_frame),),
    "OHIF 3": (
        Sent(f"/studies?{LIST}", JSON, lists_the_study),
        Sent(f"/studies?{FILTER}", JSON, lists_the_study_alone),
        Sent(f"/studies?{LIST}&StudyInstanceUID={{uid}}", JSON, lists_the_study_alone),
        Sent(f"/studies?{LIST}&00100020={PATIENT['PatientID']}", JSON, lists_the_patients_studies),
        Sent(f"{{study}}/series?{OF_SERIES}", JSON, lists_the_series_with_its_number),
        Sent(f"{{study}}/series?{OF_SERIES_IN_THE_LIST}", JSON, lists_the_series),
        Sent("{series}/metadata", JSON, lists_the_instances),
        Sent("{instance}/frames/1", QUOTED_AS_STORED, is_the_frame),
        Sent("{instance}/rendered?accept=image/jpeg", QUOTED, is_a_jpeg),
        Sent("{instance}/frames/1", QUOTED, is_the_frame),
        *(
            Sent(f"{{{level}}}/thumbnail?accept=image/jpeg", accept, is_a_jpeg)
            for level in ("instance", "series", "study")
            for accept in (QUOTED, BROWSERS_IMAGES)
        ),
    ),
    "OHIF 2": (
        Sent(f"/studies?{LIST_V2}", JSON, lists_the_study),
        Sent("{study}/series", JSON, lists_the_series),
        Sent("{series}/metadata", JSON, lists_the_instances),
        Sent("{instance}/frames/1", UNQUOTED, is_the_frame),
    ),
    "dwv": (
        Sent("{instance}", "*/*", is_the_file),
        Sent("{instance}", "application/dicom", is_the_file),
        Sent("{instance}", f"{INSTANCES}; transfer-syntax=*", is_the_file_as_a_part),
    ),
}


def ask(stack: Stack, path: str, accept: str) -> httpx.Response:
    """Send a request as it stands: nothing is encoded anew."""
    headers = {"Accept": accept, "Origin": VIEWERS_ORIGIN, "x-functions-key": stack.function_key}
    target = {"target": f"/api{path}".encode()}
    with httpx.Client(trust_env=False, timeout=60) as client:
        return client.get(stack.app_url, headers=headers, extensions=target)


def paths_of(file: RealFile) -> dict[str, str]:
    uids = file.uids
    return {
        "uid": uids["study_instance_uid"],
        "study": Resource(**file.study_uids).path,
        "series": Resource(**file.series_uids).path,
        "instance": Resource(**uids).path,
    }


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(sent, id=f"{viewer}: {sent.path} {sent.accept}")
        for viewer, requests in REQUESTS.items()
        for sent in requests
    ],
)
def test_the_answer_is_useful(stack: Stack, viewed: Viewed, sent: Sent) -> None:
    """What is listed is right, what is retrieved is what was dropped, and a page may see it."""
    response = ask(stack, sent.path.format(**paths_of(viewed.ct[0])), sent.accept)
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == VIEWERS_ORIGIN
    sent.is_useful(response, viewed)


@pytest.mark.parametrize("accept", [QUOTED, QUOTED_AS_STORED, UNQUOTED])
@pytest.mark.parametrize("name", ["693_J2KI.dcm", "examples_ybr_color.dcm", "SC_rgb_rle_2frame.dcm"])
def test_compressed_frames_come_as_they_are_stored(stack: Stack, viewed: Viewed, name: str, accept: str) -> None:
    """Viewers have decoders, and look at the part's headers for which one to take."""
    file = viewed.others[name]
    [(headers, content)] = parts_of(ask(stack, f"{Resource(**file.uids).path}/frames/1", accept))
    assert content == file.frames[0]
    assert headers["content-type"].endswith(f"transfer-syntax={file.dataset.file_meta.TransferSyntaxUID}")


def test_bulk_data_is_not_there(stack: Stack, viewed: Viewed) -> None:
    """No metadata name it (see docs/clients.md); who guesses is told so."""
    response = ask(stack, f"{Resource(**viewed.ct[0].uids).path}/bulkdata/7FE00010", QUOTED)
    assert (response.status_code, response.headers["content-type"]) == (404, "application/problem+json")
