"""Retrieve rendered instances and frames (PS3.18 §10.4.1.1.3)."""

from __future__ import annotations

import pytest

from tests.contract.differences import equal, expect
from tests.contract.files import File
from tests.contract.service import Service
from tests.contract.sources import AZURE, OPEN_SOURCE
from tests.kit.files import Sample, new_uid

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
def test_parameters_of_accept(service: Service, stored: File) -> None:
    """The media type may be in capitals and have a q."""
    response = expect(service.get(f"{stored.path}/rendered", "IMAGE/PNG;q=0.5"), 200)
    equal("Content-Type", response.headers["Content-Type"], "image/png")


@pytest.mark.source(OPEN_SOURCE)
@pytest.mark.parametrize("resource", ["", "/frames/1"])
@pytest.mark.parametrize(
    "accept",
    [
        "*/*",
        "image/*",
        "image/gif",
        "application/dicom",
        "image/jpeg, image/png",
        "image/png, */*;q=0.1",
        "image/png;q=0",
        'multipart/related; type="image/jpeg"',
    ],
)
def test_refused_accepts(service: Service, stored: File, resource: str, accept: str) -> None:
    """Anything but exactly one of the two, a wildcard and a list too, is 406."""
    expect(service.get(f"{stored.path}{resource}/rendered", accept), 406)


@pytest.mark.parametrize("accept", STARTS)
@pytest.mark.parametrize("resource", ["", "/frames/1"])
@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("quality=1", 200),
        ("quality=100", 200),
        ("Quality=50", 200),
        ("other=1", 200),
        ("quality=0", 400),
        ("quality=101", 400),
        ("quality=-1", 400),
        ("quality=high", 400),
        ("quality=50.5", 400),
        ("quality=", 400),
        ("quality=9999999999999999999999", 400),
    ],
)
def test_quality(service: Service, stored: File, query: str, status: int, resource: str, accept: str) -> None:
    """The quality is an integer from 1 to 100, whatever the media type."""
    expect(service.get(f"{stored.path}{resource}/rendered?{query}", accept), status)


def test_quality_makes_a_difference(service: Service, stored: File) -> None:
    """An image of quality 1 is smaller than one of 100."""
    sizes = [
        len(expect(service.get(f"{stored.path}/rendered?quality={quality}", "image/jpeg"), 200).content)
        for quality in (1, 100)
    ]
    equal("smaller", sizes[0] < sizes[1], True)


@pytest.mark.parametrize(
    ("frame", "status"),
    [("1", 200), ("2", 200), ("3", 404), ("0", 400), ("-1", 400), ("x", 400), ("1.0", 400), ("1,2", 400)],
)
def test_frame_numbers(service: Service, stored: File, frame: str, status: int) -> None:
    """One number, from 1 on; beyond the last frame it is 404."""
    expect(service.get(f"{stored.path}/frames/{frame}/rendered", "image/jpeg"), status)


def test_nothing_to_draw(service: Service) -> None:
    """An instance without pixel data and one that is not there are 404; a study and a series have no picture: 404."""
    sample = Sample()
    service.stored(sample)
    for path in (sample.path, f"{sample.path}/frames/1", f"{sample.series_path}/instances/{new_uid()}"):
        expect(service.get(f"{path}/rendered", "image/jpeg"), 404)
    for path in (sample.study_path, sample.series_path):
        expect(service.get(f"{path}/rendered", "image/jpeg"), 404)
