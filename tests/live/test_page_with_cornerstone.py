"""A page of another origin with cornerstone and dicomweb-client, in Chromium, lists, opens and shows what was dropped.

The function key goes into a header, which needs preflights for everything, or into the address, which needs them for
what the other headers need alone. What is to be seen is left as `screenshot.png` in the tests' `tmp_path`.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from local.stack import Stack
from tests.conftest import VIEWERS_ORIGIN

from .chromium import Chromium, PageError
from .conftest import STRANGERS_ORIGIN
from .viewed import PATIENT, RealFile, Viewed

# What shows an image, frame and how far pixels may be from pydicom's: decoders of lossy and of YBR round differently.
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


class Viewer:
    """One page of an origin, and the service that it asks; without a key it goes into the address."""

    def __init__(self, chromium: Chromium, origin: str, url: str, key: str | None) -> None:
        self.page = chromium.page()
        self.page.open(f"{origin}/viewer/")
        self._service = {"url": url, "key": key}

    def call(self, method: str, **options: Any) -> Any:
        """Call a method of npm's dicomweb-client; ArrayBuffers are base64. A PageError says the status, 0 if hidden."""
        return self.evaluate("call", method, options)

    def evaluate(self, function: str, *arguments: Any) -> Any:
        """Call a function of viewer.js."""
        return self.page.evaluate(f"{function}({', '.join(map(json.dumps, (self._service, *arguments)))})")


@pytest.fixture
def viewer(chromium: Chromium, stack: Stack) -> Viewer:
    """A page that sends the function key in a header."""
    return Viewer(chromium, VIEWERS_ORIGIN, stack.app_url, stack.function_key)


def shown(viewer: Viewer, file: RealFile, frame: int = 1, tolerance: float = 0) -> dict[str, Any]:
    """Show a frame, and hold what is to be seen against what pydicom decodes, in its window (PS3.3 §C.11.2.1.2)."""
    [metadata] = viewer.call("retrieveInstanceMetadata", **file.options)
    found: dict[str, Any] = viewer.evaluate("show", f"{file.path}/frames/{frame}", metadata)
    pixels = (file.dataset.pixel_array if len(file.frames) > 1 else [file.dataset.pixel_array])[frame - 1]
    assert (found["rows"], found["columns"]) == pixels.shape[:2]
    if pixels.ndim == 2:
        assert (found["minPixelValue"], found["maxPixelValue"]) == (pixels.min(), pixels.max())
    canvas = found["canvas"]
    rgba = np.frombuffer(base64.b64decode(canvas["rgba"]), np.uint8).reshape(canvas["height"], canvas["width"], 4)
    values = pixels * float(found["slope"]) + found["intercept"]
    window = ((values - found["windowCenter"]) / found["windowWidth"] + 0.5) * 255
    assert np.ptp(rgba[:, :, :3]) > 100  # there is something to see
    off = rgba[:, :, :3].astype(float) - np.clip(window.reshape(*pixels.shape[:2], -1), 0, 255)
    assert np.abs(off).max() <= tolerance + 0.5
    return found


def test_it_lists(viewer: Viewer, viewed: Viewed) -> None:
    studies = viewer.call("searchForStudies", queryParams={"PatientID": PATIENT["PatientID"], "limit": 101})
    assert {found["0020000D"]["Value"][0] for found in studies} == viewed.studies
    options = dict(list(viewed.ct[0].options.items())[:2])
    for method in ("searchForInstances", "retrieveSeriesMetadata"):
        assert {found["00080018"]["Value"][0] for found in viewer.call(method, **options)} == viewed.slices


def test_it_scrolls_through_a_series(viewer: Viewer, viewed: Viewed) -> None:
    """Each slice of a CT is the right one: each value in Hounsfield units, in the window that the values fill."""
    for file in viewed.ct:
        found = shown(viewer, file)
        assert (found["slope"], found["intercept"]) == (file.dataset.RescaleSlope, file.dataset.RescaleIntercept)


@pytest.mark.parametrize("name", PICTURES)
def test_it_shows_the_right_image(viewer: Viewer, viewed: Viewed, tmp_path: Path, name: str) -> None:
    shown(viewer, viewed.others[name], *PICTURES[name])
    screenshot = viewer.page.call("Page.captureScreenshot", format="png")["data"]
    (tmp_path / "screenshot.png").write_bytes(base64.b64decode(screenshot))


def test_what_has_no_image_is_an_error_of_the_frame_alone(viewer: Viewer, viewed: Viewed) -> None:
    report = viewed.others["test-SR.dcm"]
    [metadata] = viewer.call("retrieveInstanceMetadata", **report.options)
    assert metadata["0040A040"]["Value"] == ["CONTAINER"]
    with pytest.raises(PageError, match="frame: "):
        viewer.evaluate("show", f"{report.path}/frames/1", metadata)


def test_with_the_key_in_a_header_all_is_preflighted(stack: Stack, viewer: Viewer, viewed: Viewed) -> None:
    file = viewed.ct[0]
    [frame] = viewer.call("retrieveInstanceFrames", **file.options, frameNumbers=[1])
    assert base64.b64decode(frame) == file.dataset.PixelData
    [preflight, sent] = sorted(viewer.page.exchanges(stack.app_url, 2), key=lambda one: one.method, reverse=True)
    assert (preflight.method, preflight.status) == ("OPTIONS", 204)
    assert preflight.headers["access-control-request-headers"] == "accept,x-functions-key"
    assert (sent.method, sent.status, sent.headers["accept"]) == ("GET", 200, QUOTED)


def test_with_the_key_in_the_address_quotes_alone_are_preflighted(
    chromium: Chromium, stack: Stack, viewer: Viewer, viewed: Viewed
) -> None:
    """The loader's spelling of Accept is one that a page may send without asking; dicomweb-client's is not."""
    [metadata] = viewer.call("retrieveInstanceMetadata", **viewed.ct[0].options)
    path = f"{viewed.ct[0].path}/frames/1?code={stack.function_key}"
    other = Viewer(chromium, VIEWERS_ORIGIN, stack.app_url, None)
    other.evaluate("show", path, metadata)
    other.call("retrieveBulkData", BulkDataURI=stack.app_url + path)
    exchanges = other.page.exchanges(stack.app_url, 3)
    got = {one.headers["accept"] for one in exchanges if (one.method, one.status) == ("GET", 200)}
    assert got == {QUOTED, UNQUOTED}
    [preflight] = (one for one in exchanges if one.method == "OPTIONS")
    assert preflight.headers["access-control-request-headers"] == "accept"


def test_an_origin_that_is_not_allowed_gets_nothing(chromium: Chromium, stack: Stack, viewed: Viewed) -> None:
    """Neither with a preflight nor without: the browser keeps the answers from the page."""
    stranger = Viewer(chromium, STRANGERS_ORIGIN, stack.app_url, stack.function_key)
    methods = ("searchForStudies", "retrieveStudyMetadata", "retrieveInstanceFrames")
    for method in methods:
        with pytest.raises(PageError, match=f"{method}: 0"):
            stranger.call(method, **viewed.ct[0].options, frameNumbers=[1])
    sent = stranger.page.exchanges(stack.app_url, 2 * len(methods))
    assert {(one.method, one.status) for one in sent} == {("OPTIONS", 204), ("GET", None)}
    stranger = Viewer(chromium, STRANGERS_ORIGIN, stack.app_url, None)
    with pytest.raises(PageError, match="searchForStudies: 0"):
        stranger.call("searchForStudies", queryParams={"code": stack.function_key})
    assert [one.method for one in stranger.page.exchanges(stack.app_url, 1)] == ["GET"]


def test_pages_may_read_no_header_but_the_plain_ones(viewer: Viewer, viewed: Viewed) -> None:
    """The platform's CORS exposes none: that there is more, that a search was adapted, and ETags stay hidden."""
    found = set(viewer.evaluate("readableHeaders", f"/studies/{viewed.ct[0].names[0]}/metadata"))
    assert found <= {"cache-control", "content-length", "content-type"}
