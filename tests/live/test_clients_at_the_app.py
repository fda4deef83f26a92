"""The dicomweb-clients of PyPI and of npm at the app, with `http://host/api` as base URL: each method that looks up.

docs/clients.md has the methods that cannot be used, each with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import requests
from dicomweb_client.api import DICOMwebClient as PyPIClient
from pydicom import Dataset
from pydicom.pixels.processing import apply_color_lut

from local.stack import Stack
from tests.kit.documents import rows

from . import npm_client
from .npm_client import NpmClient, NpmClientError
from .viewed import PATIENT, STUDY, RealFile, Viewed, picture, without_bulk_data

SEND_NOTHING = {
    "PyPI": {"lookup_keyword", "lookup_tag", "set_chunk_size", "set_http_retry_params"},
    "npm": {"setDebug", "getDebug", "setVerbose", "getVerbose"},
}
BY_PATIENT = {"PatientID": PATIENT["PatientID"]}
STUDY_UID, SERIES_UID, SOP_UID = "0020000D", "0020000E", "00080018"
WAVELETS, REPORT, RGB, PALETTE = "693_J2KI.dcm", "test-SR.dcm", "examples_rgb_color.dcm", "examples_palette.dcm"
TWO_FRAMES = "SC_rgb_rle_2frame.dcm"
OF_SEVERAL_FRAMES = ("rtdose.dcm", "examples_ybr_color.dcm", TWO_FRAMES)
AS_STORED = (None, (("application/dicom", "*"),))  # the two ways to ask for it

EXPECTED: dict[str, Callable[[Viewed], set[str]]] = {
    "studies": lambda viewed: viewed.studies,
    "the study": lambda viewed: {viewed.ct[0].names[0]},
    "the series": lambda viewed: {viewed.ct[0].names[1]},
    "slices": lambda viewed: viewed.slices,
    "the slice": lambda viewed: {viewed.ct[0].names[2]},
    "the report's series": lambda viewed: {viewed.others[REPORT].names[1]},
    "nothing": lambda _: set(),
}
# Client, method, how many of the CT's UIDs it is given, what else, the attribute of what is found, what must be found.
PYPI, NPM = "PyPI", "npm"
SEARCHES: list[tuple[str, str, int, dict[str, Any], str, str]] = [
    (PYPI, "search_for_studies", 0, {}, STUDY_UID, "studies"),
    (PYPI, "search_for_studies", 0, {"StudyDate": "20240201-20240301"}, STUDY_UID, "the study"),
    (PYPI, "search_for_studies", 0, {"AccessionNumber": "*SYN*"}, STUDY_UID, "the study"),
    (PYPI, "search_for_studies", 0, {"ModalitiesInStudy": "CT", **STUDY}, STUDY_UID, "the study"),
    (PYPI, "search_for_studies", 0, {"PatientName": "Synth", "fuzzymatching": True}, STUDY_UID, "studies"),
    (PYPI, "search_for_studies", 0, {"PatientName": "NOBODY"}, STUDY_UID, "nothing"),
    (PYPI, "search_for_series", 1, {}, SERIES_UID, "the series"),
    (PYPI, "search_for_series", 0, {"Modality": "SR"}, SERIES_UID, "the report's series"),
    (PYPI, "search_for_instances", 2, {}, SOP_UID, "slices"),
    (PYPI, "search_for_instances", 1, {}, SOP_UID, "slices"),
    (PYPI, "search_for_instances", 0, {"StudyDate": STUDY["StudyDate"]}, SOP_UID, "slices"),
    (PYPI, "retrieve_study_metadata", 1, {}, SOP_UID, "slices"),
    (PYPI, "retrieve_series_metadata", 2, {}, SOP_UID, "slices"),
    (NPM, "searchForStudies", 0, BY_PATIENT, STUDY_UID, "studies"),
    (NPM, "searchForStudies", 0, {**BY_PATIENT, "StudyDescription": "*st, synth*"}, STUDY_UID, "the study"),
    (NPM, "searchForStudies", 0, {"PatientID": "NOBODY"}, STUDY_UID, "nothing"),
    (NPM, "searchForSeries", 1, {}, SERIES_UID, "the series"),
    (NPM, "searchForSeries", 0, {**BY_PATIENT, "Modality": "SR"}, SERIES_UID, "the report's series"),
    (NPM, "searchForInstances", 2, {}, SOP_UID, "slices"),
    (NPM, "searchForInstances", 1, {}, SOP_UID, "slices"),
    (NPM, "retrieveStudyMetadata", 1, {}, SOP_UID, "slices"),
    (NPM, "retrieveSeriesMetadata", 2, {}, SOP_UID, "slices"),
    (NPM, "retrieveInstanceMetadata", 3, {}, SOP_UID, "the slice"),
]
# Those that retrieve files, with how many UIDs they are given.
OF_FILES = {"retrieve_study": 1, "iter_study": 1, "retrieve_series": 2, "iter_series": 2, "retrieve_instance": 3}
FILES = [*((PYPI, *one) for one in OF_FILES.items()), (NPM, "retrieveStudy", 1), (NPM, "retrieveSeries", 2)]
FRAMES = [(PYPI, "retrieve_instance_frames"), (PYPI, "iter_instance_frames"), (NPM, "retrieveInstanceFrames")]
# Client, method, file, frame, kind of image.
RENDERED: list[tuple[str, str, str, int | None, str]] = [
    (PYPI, "retrieve_instance_rendered", RGB, None, "JPEG"),
    (PYPI, "retrieve_instance_rendered", RGB, None, "PNG"),
    (PYPI, "retrieve_instance_rendered", PALETTE, None, "JPEG"),
    (PYPI, "retrieve_instance_frames_rendered", TWO_FRAMES, 2, "PNG"),
    (NPM, "retrieveInstanceRendered", RGB, None, "JPEG"),
    (NPM, "retrieveInstanceRendered", RGB, None, "PNG"),
    (NPM, "retrieveInstanceFramesRendered", TWO_FRAMES, 2, "PNG"),
    (NPM, "retrieveInstanceFramesThumbnail", TWO_FRAMES, 2, "JPEG"),
]
ALONE = {PYPI: {"retrieve_instance_metadata"}, NPM: {"retrieveInstance", "retrieveInstanceThumbnail"}}
REFUSED: list[tuple[str, str, int | None, Callable[[Any, RealFile], Any]]] = [
    ("PyPI", "retrieve_series_rendered", 404, lambda client, file: client.retrieve_series_rendered(*file.names[:2])),
    ("PyPI", "store_instances", 405, lambda client, file: client.store_instances([file.dataset])),
    ("PyPI", "delete_study", 405, lambda client, file: client.delete_study(file.names[0])),
    ("PyPI", "delete_series", 405, lambda client, file: client.delete_series(*file.names[:2])),
    ("PyPI", "delete_instance", 405, lambda client, file: client.delete_instance(*file.names)),
    ("npm", "storeInstances", 405, lambda client, file: client.call("storeInstances", datasets=[file.content])),
]


def ask(client: Any, method: str, file: RealFile, levels: int = 3, **options: Any) -> Any:
    """Call a method with so many of a file's UIDs."""
    if isinstance(client, NpmClient):
        return client.call(method, **dict(list(file.options.items())[:levels]), **options)
    return getattr(client, method)(*file.names[:levels], **options)


def uids(found: list[dict[str, Any]], tag: str) -> set[str]:
    return {dataset[tag]["Value"][0] for dataset in found}


@pytest.fixture(scope="module")
def clients(stack: Stack) -> Iterator[dict[str, Any]]:
    """Both, with a function key as their only peculiarity."""
    npm_client.install()
    with requests.Session() as session:
        session.trust_env = False
        session.headers["x-functions-key"] = stack.function_key
        npm = NpmClient(stack.app_url, {"x-functions-key": stack.function_key})
        yield {PYPI: PyPIClient(stack.app_url, session=session), NPM: npm}


@pytest.mark.parametrize("client", [PYPI, NPM])
def test_every_method_is_tested_or_has_its_reason(client: str) -> None:
    npm_client.install()
    of_pypi = {name for name, value in vars(PyPIClient).items() if callable(value) and not name.startswith("_")}
    methods = {PYPI: of_pypi, NPM: npm_client.methods()}[client] - SEND_NOTHING[client]
    without = set(rows("docs/clients.md", f"What {client}'s dicomweb-client cannot do"))
    tested = {row[1] for row in (*SEARCHES, *FILES, *FRAMES, *RENDERED) if row[0] == client} | ALONE[client]
    assert tested == methods - without
    assert {method for of, method, *_ in REFUSED if of == client} <= without <= methods


@pytest.mark.parametrize(("client", "method", "levels", "options", "tag", "expected"), SEARCHES)
def test_what_is_found(
    clients: dict[str, Any],
    viewed: Viewed,
    client: str,
    method: str,
    levels: int,
    options: dict[str, Any],
    tag: str,
    expected: str,
) -> None:
    if client == NPM:
        options = {"queryParams": options} if options else {}
    elif method.startswith("search") and not levels:
        others = {name: options[name] for name in options if name == "fuzzymatching"}
        filters = {name: value for name, value in options.items() if name not in others}
        options = {"search_filters": BY_PATIENT | filters, **others}
    found = ask(clients[client], method, viewed.ct[0], levels, **options)
    assert uids(found if isinstance(found, list) else [found], tag) == EXPECTED[expected](viewed)


def test_lists_of_uids_fields_and_pages(clients: dict[str, Any], viewed: Viewed) -> None:
    client, (study, series, _) = clients[PYPI], viewed.ct[0].names
    two = {study, viewed.others[REPORT].names[0]}
    assert uids(client.search_for_studies(search_filters={"StudyInstanceUID": ",".join(two)}), STUDY_UID) == two
    fields = ["ModalitiesInStudy", "NumberOfStudyRelatedInstances"]
    [found] = client.search_for_studies(search_filters={"StudyInstanceUID": study}, fields=fields)
    assert (found["00080061"]["Value"], found["00201208"]["Value"]) == (["CT"], [len(viewed.ct)])
    pages = [client.search_for_instances(study, series, limit=2, offset=offset) for offset in (0, 2, 4, 6)]
    assert [len(page) for page in pages] == [2, 2, 1, 0]
    every = client.search_for_instances(study, series, limit=2, get_remaining=True)
    assert every == [one for page in pages for one in page]


@pytest.mark.parametrize(("client", "method", "levels"), FILES)
def test_files_come_as_they_are_stored(
    clients: dict[str, Any], viewed: Viewed, client: str, method: str, levels: int
) -> None:
    """A series of several, and a compressed one."""
    for files in (viewed.ct if levels < 3 else viewed.ct[:1], [viewed.others[WAVELETS]]):
        if client == NPM:
            assert sorted(ask(clients[client], method, files[0], levels)) == sorted(file.content for file in files)
            continue
        for media_types in AS_STORED:
            found = ask(clients[client], method, files[0], levels, media_types=media_types)
            datasets = [found] if isinstance(found, Dataset) else found
            assert {one.SOPInstanceUID: one for one in datasets} == {file.names[2]: file.dataset for file in files}


def test_an_instance_comes_byte_for_byte(clients: dict[str, Any], viewed: Viewed) -> None:
    for file in viewed.others.values():
        assert ask(clients[NPM], "retrieveInstance", file) == file.content


@pytest.mark.parametrize("name", [REPORT, PALETTE])
def test_metadata_have_all_but_bulk_data(clients: dict[str, Any], viewed: Viewed, name: str) -> None:
    """And no address of bulk data."""
    file = viewed.others[name]
    found = ask(clients[PYPI], "retrieve_instance_metadata", file)
    dataset = Dataset.from_json(found)
    assert without_bulk_data(dataset) == without_bulk_data(file.dataset)
    assert (dataset.SOPInstanceUID, dataset.PatientName) == (file.names[2], PATIENT["PatientName"])
    assert not any("BulkDataURI" in element for element in found.values())
    assert not {"7FE00010", "00281201", "00281202", "00281203"} & found.keys()


@pytest.mark.parametrize(("client", "method"), FRAMES)
@pytest.mark.parametrize("numbers", [[1], [2, 1]])
def test_frames_come_as_they_are_stored(
    clients: dict[str, Any], viewed: Viewed, client: str, method: str, numbers: list[int]
) -> None:
    options: dict[str, Any] = {"frameNumbers" if client == NPM else "frame_numbers": numbers}
    for file in map(viewed.others.__getitem__, OF_SEVERAL_FRAMES):
        assert list(ask(clients[client], method, file, **options)) == [file.frames[number - 1] for number in numbers]


@pytest.mark.parametrize(("client", "method", "name", "frame", "kind"), RENDERED)
def test_rendered_images_show_the_pixels(
    clients: dict[str, Any], viewed: Viewed, client: str, method: str, name: str, frame: int | None, kind: str
) -> None:
    file, options = viewed.others[name], dict[str, Any]()
    if frame:
        options["frameNumbers" if client == NPM else "frame_numbers"] = [frame]
    if kind == "PNG":
        options |= {"mediaTypes": [{"mediaType": "image/png"}]} if client == NPM else {"media_types": ("image/png",)}
    content = ask(clients[client], method, file, **options)
    pixels = file.dataset.pixel_array
    if name == PALETTE:
        pixels = apply_color_lut(pixels, file.dataset) / 256
    off = np.abs(picture(content[0] if client == NPM else content, kind) - (pixels[frame - 1] if frame else pixels))
    assert off.max() == 0 if kind == "PNG" else off.mean() < 4


def test_a_thumbnail_has_the_shape_of_the_image(clients: dict[str, Any], viewed: Viewed) -> None:
    [content] = ask(clients[NPM], "retrieveInstanceThumbnail", viewed.others[RGB])
    rows_, columns, _ = picture(content, "JPEG").shape
    dataset = viewed.others[RGB].dataset
    assert abs(rows_ / columns - dataset.Rows / dataset.Columns) < 0.02


@pytest.mark.parametrize(("client", "method", "status", "refuse"), REFUSED, ids=[row[1] for row in REFUSED])
def test_the_app_refuses_what_it_does_not_offer(
    clients: dict[str, Any],
    viewed: Viewed,
    client: str,
    method: str,
    status: int,
    refuse: Callable[[Any, RealFile], Any],
) -> None:
    with pytest.raises((requests.HTTPError, NpmClientError)) as refused:
        refuse(clients[client], viewed.ct[0])
    error: Any = refused.value
    assert (error.status if client == "npm" else error.response.status_code) == status, method
    assert uids(clients[PYPI].search_for_instances(*viewed.ct[0].names[:2]), SOP_UID) == viewed.slices


def test_npm_refuses_any_media_type_of_instances_before_it_asks(clients: dict[str, Any], viewed: Viewed) -> None:
    media_types = [{"mediaType": "application/dicom", "transferSyntaxUID": "*"}]
    with pytest.raises(NpmClientError, match="Media type application/ is not supported") as refused:
        clients[NPM].call("retrieveInstance", **viewed.ct[0].options, mediaTypes=media_types)
    assert refused.value.status is None
