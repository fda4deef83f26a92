"""A page of another origin with cornerstone and dicomweb-client, in Chromium, lists, opens and shows what was dropped.

The function key goes into a header or into the address: the first needs preflights for everything, the second for
what the other headers need alone. What is to be seen is left as `screenshot.png` in the tests' `tmp_path`.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from local.stack import Stack
from shared.dicomweb import Resource
from tests.conftest import VIEWERS_ORIGIN

from .chromium import Chromium, PageError
from .real_files import RealFile, names_of, options_of
from .viewed import PATIENT, Viewed
from .viewer_pages import STRANGERS_ORIGIN, Viewer

Pixels = npt.NDArray[Any]

# What shows a picture, frame and how far pixels may be from pydicom's: decoders of lossy and of YBR round differently.
PICTURES = {
    "examples_rgb_color.dcm": (1, 1),
    "SC_ybr_full_422_uncompressed.dcm": (1, 1),
    "MR_small_bigendian.dcm": (1, 0),
    "image_dfl.dcm": (1, 0),
    "examples_ybr_color.dcm": (30, 4),
    "SC_rgb_jpeg_gdcm.dcm": (1, 0),
    "MR_small_jpeg_ls_lossless.dcm": (1, 0),
    "MR_small_jp2klossless.dcm": (1, 0),
    "693_J2KI.dcm": (1, 0),
    "examples_jpeg2k.dcm": (1, 1),
    "MR_small_RLE.dcm": (1, 0),
    "SC_rgb_rle_2frame.dcm": (2, 0),
}


# How dicomweb-client and the image loader ask for frames.
QUOTED = 'multipart/related; type="application/octet-stream"'
UNQUOTED = "multipart/related; type=application/octet-stream; transfer-syntax=*"


@pytest.fixture
def viewer(chromium: Chromium, stack: Stack) -> Viewer:
    """A page that sends the function key in a header."""
    return Viewer(chromium, VIEWERS_ORIGIN, stack.app_url, stack.function_key)


def path_of(file: RealFile, frame: int = 1) -> str:
    return f"{Resource(**file.uids).path}/frames/{frame}"


def metadata_of(viewer: Viewer, file: RealFile) -> dict[str, Any]:
    [metadata] = viewer.call("retrieveInstanceMetadata", **options_of(file))
    assert isinstance(metadata, dict)
    return metadata


def seen(shown: dict[str, Any]) -> Pixels:
    """Return what is to be seen: rows, columns, RGB."""
    canvas = shown["canvas"]
    rgba = np.frombuffer(base64.b64decode(canvas["rgba"]), np.uint8)
    colors: Pixels = rgba.reshape(canvas["height"], canvas["width"], 4)[:, :, :3].astype(float)
    return colors


def expected(pixels: Pixels, shown: dict[str, Any]) -> Pixels:
    """Return what must be seen of pixels as pydicom decodes them, grey or colours, in a window (PS3.3 §C.11.2.1.2)."""
    values = pixels * float(shown["slope"]) + shown["intercept"]
    seen: Pixels = ((values - shown["windowCenter"]) / shown["windowWidth"] + 0.5) * 255
    return np.clip(seen.reshape(*pixels.shape[:2], -1), 0, 255)


def check(shown: dict[str, Any], pixels: Pixels, tolerance: float) -> None:
    """Hold what is shown against pixels as pydicom decodes them."""
    assert (shown["rows"], shown["columns"]) == pixels.shape[:2]
    if pixels.ndim == 2:
        assert (shown["minPixelValue"], shown["maxPixelValue"]) == (pixels.min(), pixels.max())
    assert np.ptp(seen(shown)) > 100  # there is something to see
    assert np.abs(seen(shown) - expected(pixels, shown)).max() <= tolerance + 0.5


def test_it_lists(viewer: Viewer, viewed: Viewed) -> None:
    """Studies of a patient, the series and instances of one, and the metadata of each of these."""
    study, series, _ = names_of(viewed.ct[0])
    studies = viewer.call("searchForStudies", queryParams={"PatientID": PATIENT["PatientID"], "limit": 101})
    files = [viewed.ct[0], *viewed.others.values()]
    assert {found["0020000D"]["Value"][0] for found in studies} == {file.dataset.StudyInstanceUID for file in files}
    [found] = viewer.call("searchForSeries", studyInstanceUID=study)
    assert found["0020000E"]["Value"] == [series]
    uids = {file.dataset.SOPInstanceUID for file in viewed.ct}
    for method in ("searchForInstances", "retrieveSeriesMetadata"):
        instances = viewer.call(method, studyInstanceUID=study, seriesInstanceUID=series)
        assert {instance["00080018"]["Value"][0] for instance in instances} == uids


def test_it_scrolls_through_a_series(viewer: Viewer, viewed: Viewed, tmp_path: Path) -> None:
    """Each slice of a CT is the right one: each value in Hounsfield units, in the window that the values fill."""
    for file in viewed.ct:
        shown = viewer.show(path_of(file), metadata_of(viewer, file))
        assert (shown["slope"], shown["intercept"]) == (file.dataset.RescaleSlope, file.dataset.RescaleIntercept)
        check(shown, file.dataset.pixel_array, 0)
    viewer.page.screenshot(tmp_path / "screenshot.png")
    assert (tmp_path / "screenshot.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", PICTURES)
def test_it_shows_the_right_picture(viewer: Viewer, viewed: Viewed, tmp_path: Path, name: str) -> None:
    """Each way in which pictures are encoded, native and compressed, grey and in colour, is decoded by the page."""
    file, (frame, tolerance) = viewed.others[name], PICTURES[name]
    shown = viewer.show(path_of(file, frame), metadata_of(viewer, file))
    viewer.page.screenshot(tmp_path / "screenshot.png")
    frames = file.dataset.pixel_array if len(file.frames) > 1 else [file.dataset.pixel_array]
    check(shown, frames[frame - 1], tolerance)


def test_what_has_no_picture_is_an_error_of_the_frame_alone(viewer: Viewer, viewed: Viewed) -> None:
    """A report is listed, and its metadata are there."""
    report = viewed.others["test-SR.dcm"]
    metadata = metadata_of(viewer, report)
    assert metadata["0040A040"]["Value"] == ["CONTAINER"]
    with pytest.raises(PageError, match="frame: "):
        viewer.show(path_of(report), metadata)


def test_with_the_key_in_a_header_all_is_preflighted(stack: Stack, viewer: Viewer, viewed: Viewed) -> None:
    """The preflight is answered, then the frame comes, byte for byte."""
    file = viewed.ct[0]
    [frame] = viewer.call("retrieveInstanceFrames", **options_of(file), frameNumbers=[1])
    assert base64.b64decode(frame) == file.dataset.PixelData
    [preflight, sent] = sorted(viewer.page.exchanges(stack.app_url, 2), key=lambda one: one.method, reverse=True)
    assert (preflight.method, preflight.status) == ("OPTIONS", 204)
    assert preflight.headers["access-control-request-headers"] == "accept,x-functions-key"
    assert (sent.method, sent.status, sent.headers["accept"]) == ("GET", 200, QUOTED)


def test_with_the_key_in_the_address_quotes_alone_are_preflighted(
    chromium: Chromium, stack: Stack, viewer: Viewer, viewed: Viewed
) -> None:
    """The loader's spelling of Accept is one that a page may send without asking; dicomweb-client's is not."""
    file = viewed.ct[0]
    path = f"{path_of(file)}?code={stack.function_key}"
    other = Viewer(chromium, VIEWERS_ORIGIN, stack.app_url, None)
    check(other.show(path, metadata_of(viewer, file)), file.dataset.pixel_array, 0)
    [frame] = other.call("retrieveBulkData", BulkDataURI=stack.app_url + path)
    assert base64.b64decode(frame) == file.dataset.PixelData
    exchanges = other.page.exchanges(stack.app_url, 3)
    assert {one.headers["accept"] for one in exchanges if (one.method, one.status) == ("GET", 200)} == {
        QUOTED,
        UNQUOTED,
    }
    [preflight] = (one for one in exchanges if one.method == "OPTIONS")
    assert preflight.headers["access-control-request-headers"] == "accept"


def test_an_origin_that_is_not_allowed_gets_nothing(chromium: Chromium, stack: Stack, viewed: Viewed) -> None:
    """Neither with a preflight nor without: the browser keeps the answers from the page."""
    stranger = Viewer(chromium, STRANGERS_ORIGIN, stack.app_url, stack.function_key)
    methods = ("searchForStudies", "retrieveStudyMetadata", "retrieveInstanceFrames")
    for method in methods:
        with pytest.raises(PageError, match=f"{method}: 0"):
            stranger.call(method, **options_of(viewed.ct[0]), frameNumbers=[1])
    sent = stranger.page.exchanges(stack.app_url, 2 * len(methods))
    assert {(one.method, one.status) for one in sent} == {("OPTIONS", 204), ("GET", None)}
    stranger = Viewer(chromium, STRANGERS_ORIGIN, stack.app_url, None)
    with pytest.raises(PageError, match="searchForStudies: 0"):
        stranger.call("searchForStudies", queryParams={"code": stack.function_key})
    assert [one.method for one in stranger.page.exchanges(stack.app_url, 1)] == ["GET"]


def test_pages_may_read_no_header_but_the_plain_ones(viewer: Viewer, viewed: Viewed) -> None:
    """The platform's CORS exposes none: that there is more, that a search was adapted, and ETags stay hidden."""
    path = f"/studies/{viewed.ct[0].dataset.StudyInstanceUID}/metadata"
    assert viewer.readable_headers(path) <= {"cache-control", "content-length", "content-type"}
