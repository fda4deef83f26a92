"""Retrieve rendered instances and frames (PS3.18 §10.4.1.1.3)."""

from __future__ import annotations

import pytest

from tests.contract.differences import equal, expect
from tests.contract.files import File
from tests.contract.service import Service
from tests.contract.sources import AZURE, OPEN_SOURCE
from tests.dicom_samples import Sample, new_uid

pytestmark = pytest.mark.source(f"{AZURE}, Retrieve rendered")

STARTS = {"image/jpeg": b"\xff\xd8\xff", "image/png": b"\x89PNG\r\n\x1a\n"}


@pytest.fixture(scope="module")
def stored(service: Service) -> File:
    """An instance of two frames."""
    file = File(name="SC_rgb_rle_2frame.dcm")
    service.stored(file)
    return file


@pytest.mark.parametrize("accept", STARTS)
@pytest.mark.parametrize("resource", ["", "/frames/2"])
def test_images(service: Service, stored: File, resource: str, accept: str) -> None:
    """An instance, by its first frame, and a frame are drawn as JPEG or PNG."""
    response = expect(service.get(f"{stored.path}{resource}/rendered", accept), 200)
    equal("Content-Type", response.headers["Content-Type"], accept)
    equal("begin of the image", response.content[: len(STARTS[accept])], STARTS[accept])


def test_default(service: Service, stored: File) -> None:
    """Without an Accept header it is JPEG."""
    response = expect(service.get(f"{stored.path}/rendered", None), 200)
    equal("Content-Type", response.headers["Content-Type"], "image/jpeg")


@pytest.mark.source(OPEN_SOURCE)
@pytest.mark.parametrize("accept", ["*/*", "image/gif", "image/*", "image/jpeg, image/png"])
def test_refused_accepts(service: Service, stored: File, accept: str) -> None:
    """Anything but exactly one of the two, a wildcard and a list too, is 406."""
    expect(service.get(f"{stored.path}/rendered", accept), 406)


@pytest.mark.parametrize(("quality", "status"), [("1", 200), ("100", 200), ("0", 400), ("101", 400), ("x", 400)])
def test_quality(service: Service, stored: File, quality: str, status: int) -> None:
    """The quality of a JPEG is 1 to 100."""
    expect(service.get(f"{stored.path}/rendered?quality={quality}", "image/jpeg"), status)


def test_quality_makes_a_difference(service: Service, stored: File) -> None:
    """An image of quality 1 is smaller than one of 100."""
    sizes = [
        len(expect(service.get(f"{stored.path}/rendered?quality={quality}", "image/jpeg"), 200).content)
        for quality in (1, 100)
    ]
    equal("smaller", sizes[0] < sizes[1], True)


@pytest.mark.parametrize(("frame", "status"), [("0", 400), ("-1", 400), ("3", 404)])
def test_frame_numbers(service: Service, stored: File, frame: str, status: int) -> None:
    """Zero and negative numbers are 400; beyond the last frame it is 404."""
    expect(service.get(f"{stored.path}/frames/{frame}/rendered", "image/jpeg"), status)


def test_nothing_to_draw(service: Service) -> None:
    """An instance without pixel data, and one that is not there, are 404."""
    sample = Sample()
    service.stored(sample)
    expect(service.get(f"{sample.path}/rendered", "image/jpeg"), 404)
    expect(service.get(f"{sample.series_path}/instances/{new_uid()}/rendered", "image/jpeg"), 404)
