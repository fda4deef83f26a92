"""What viewers send, byte for byte, gets an answer that they can use.

Recorded from cornerstone-wado-image-loader 4.13.2, OHIF 3.12.10 and 4.12.51 (version 2), and dwv 0.36.4 in Chromium.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from local.stack import Stack
from tests.conftest import VIEWERS_ORIGIN
from tests.kit.dicomweb_messages import parts_of

from .viewed import PATIENT, Viewed, picture

JSON = "application/dicom+json"
QUOTED = 'multipart/related; type="application/octet-stream"'
QUOTED_AS_STORED = f'{QUOTED}; transfer-syntax="*"'
UNQUOTED = "multipart/related; type=application/octet-stream; transfer-syntax=*"
INSTANCES = 'multipart/related; type="application/dicom"; transfer-syntax=*'
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
Check = Callable[[httpx.Response, Viewed], bool]


def values(response: httpx.Response, tag: str) -> set[Any]:
    assert response.headers["content-type"] == JSON
    return {value for dataset in response.json() for value in dataset[tag]["Value"]}


def lists_the_study(response: httpx.Response, viewed: Viewed) -> bool:
    """Return whether it is among others, with the description that was asked for."""
    ct = viewed.ct[0].dataset
    [found] = (one for one in response.json() if one["0020000D"]["Value"] == [ct.StudyInstanceUID])
    return bool(found["00081030"]["Value"] == [ct.StudyDescription])


def is_the_study(response: httpx.Response, viewed: Viewed) -> bool:
    return values(response, "0020000D") == {viewed.ct[0].names[0]}


def are_the_studies(response: httpx.Response, viewed: Viewed) -> bool:
    return values(response, "0020000D") == viewed.studies


def is_the_series(response: httpx.Response, viewed: Viewed) -> bool:
    return values(response, "0020000E") == {viewed.ct[0].names[1]}


def has_its_number(response: httpx.Response, viewed: Viewed) -> bool:
    return is_the_series(response, viewed) and values(response, "00200011") == {viewed.ct[0].dataset.SeriesNumber}


def are_the_slices(response: httpx.Response, viewed: Viewed) -> bool:
    return values(response, "00080018") == viewed.slices


def is_the_frame(response: httpx.Response, viewed: Viewed) -> bool:
    return [content for _, content in parts_of(response)] == viewed.ct[0].frames


def is_the_file(response: httpx.Response, viewed: Viewed) -> bool:
    media_type, _, _ = response.headers["content-type"].partition(";")
    return (media_type, response.content) == ("application/dicom", viewed.ct[0].content)


def is_the_file_as_a_part(response: httpx.Response, viewed: Viewed) -> bool:
    return [content for _, content in parts_of(response)] == [viewed.ct[0].content]


def is_a_jpeg(response: httpx.Response, viewed: Viewed) -> bool:
    pixels, file = picture(response.content, "JPEG"), viewed.ct[0].dataset
    is_alike = pixels.shape == (file.Rows, file.Columns) and pixels.std() > 10  # there is something to see
    return bool(is_alike and response.headers["content-type"] == "image/jpeg")


REQUESTS: list[tuple[str, str, str, Check]] = [  # viewer, path, Accept, what the answer must be
    ("loader", "{instance}/frames/1", UNQUOTED, is_the_frame),
    ("OHIF 3", f"/studies?{LIST}", JSON, lists_the_study),
    ("OHIF 3", f"/studies?{FILTER}", JSON, is_the_study),
    ("OHIF 3", f"/studies?{LIST}&StudyInstanceUID={{uid}}", JSON, is_the_study),
    ("OHIF 3", f"/studies?{LIST}&00100020={PATIENT['PatientID']}", JSON, are_the_studies),
    ("OHIF 3", f"{{study}}/series?{OF_SERIES}", JSON, has_its_number),
    ("OHIF 3", f"{{study}}/series?{OF_SERIES_IN_THE_LIST}", JSON, is_the_series),
    ("OHIF 3", "{series}/metadata", JSON, are_the_slices),
    ("OHIF 3", "{instance}/frames/1", QUOTED_AS_STORED, is_the_frame),
    ("OHIF 3", "{instance}/frames/1", QUOTED, is_the_frame),
    ("OHIF 3", "{instance}/rendered?accept=image/jpeg", QUOTED, is_a_jpeg),
    *(
        ("OHIF 3", f"{{{level}}}/thumbnail?accept=image/jpeg", accept, is_a_jpeg)
        for level in ("instance", "series", "study")
        for accept in (QUOTED, BROWSERS_IMAGES)
    ),
    ("OHIF 2", f"/studies?{LIST_V2}", JSON, lists_the_study),
    ("OHIF 2", "{study}/series", JSON, is_the_series),
    ("dwv", "{instance}", "*/*", is_the_file),
    ("dwv", "{instance}", "application/dicom", is_the_file),
    ("dwv", "{instance}", INSTANCES, is_the_file_as_a_part),
]


def ask(stack: Stack, path: str, accept: str) -> httpx.Response:
    """Send a request as it stands: nothing is encoded anew."""
    headers = {"Accept": accept, "Origin": VIEWERS_ORIGIN, "x-functions-key": stack.function_key}
    with httpx.Client(trust_env=False, timeout=60) as client:
        return client.get(stack.app_url, headers=headers, extensions={"target": f"/api{path}".encode()})


@pytest.mark.parametrize(
    ("path", "accept", "is_useful"), [row[1:] for row in REQUESTS], ids=[" ".join(row[:3]) for row in REQUESTS]
)
def test_the_answer_is_useful(stack: Stack, viewed: Viewed, path: str, accept: str, is_useful: Check) -> None:
    """What is listed is right, what is retrieved is what was dropped, and a page may see it."""
    instance = viewed.ct[0].path
    series, study = instance.partition("/instances")[0], instance.partition("/series")[0]
    filled = path.format(uid=viewed.ct[0].names[0], study=study, series=series, instance=instance)
    response = ask(stack, filled, accept)
    assert (response.status_code, response.headers["access-control-allow-origin"]) == (200, VIEWERS_ORIGIN)
    assert is_useful(response, viewed)


@pytest.mark.parametrize("accept", [QUOTED, QUOTED_AS_STORED, UNQUOTED])
@pytest.mark.parametrize("name", ["693_J2KI.dcm", "examples_ybr_color.dcm", "SC_rgb_rle_2frame.dcm"])
def test_compressed_frames_come_as_they_are_stored(stack: Stack, viewed: Viewed, name: str, accept: str) -> None:
    """Viewers have decoders, and look at the part's headers for which one to take."""
    file = viewed.others[name]
    [(headers, content)] = parts_of(ask(stack, f"{file.path}/frames/1", accept))
    assert content == file.frames[0]
    assert headers["content-type"].endswith(f"transfer-syntax={file.dataset.file_meta.TransferSyntaxUID}")


def test_bulk_data_is_not_there(stack: Stack, viewed: Viewed) -> None:
    response = ask(stack, f"{viewed.ct[0].path}/bulkdata/7FE00010", QUOTED)
    assert (response.status_code, response.headers["content-type"]) == (404, "application/problem+json")
