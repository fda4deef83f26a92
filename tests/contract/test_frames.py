"""Retrieve frames (PS3.18 §10.4.1.1.4)."""

from __future__ import annotations

import struct

import pytest

from tests.contract.differences import equal, expect
from tests.contract.files import File
from tests.contract.service import Service
from tests.contract.sources import AZURE, OPEN_SOURCE
from tests.kit.dicomweb_messages import parts_of
from tests.kit.files import EXPLICIT, IMPLICIT, Sample, pixels

pytestmark = pytest.mark.source(f"{AZURE}, Retrieve frames")

FRAME = "application/octet-stream; transfer-syntax=*"
FRAMES = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
RLE = "1.2.840.10008.1.2.5"
CONTENT = [bytes([number] * 6) for number in (1, 2, 3)]


@pytest.fixture(scope="module")
def stored(service: Service) -> Sample:
    """An instance of three native frames."""
    sample = Sample(elements=pixels(b"".join(CONTENT), frames=3))
    service.stored(sample)
    return sample


def test_one_frame(service: Service, stored: Sample) -> None:
    """One frame as a single part is its pixels."""
    response = expect(service.get(f"{stored.path}/frames/2", FRAME), 200)
    equal("Content-Type", response.headers["Content-Type"], f"application/octet-stream; transfer-syntax={EXPLICIT}")
    equal("pixels", response.content, CONTENT[1])


def test_many_frames(service: Service) -> None:
    """Of the hundreds of tiles of a slide any may be asked for, in any order."""
    tiles = [struct.pack("<HH", number, ~number & 0xFFFF) * 128 for number in range(300)]
    slide = Sample(elements=pixels(b"".join(tiles), frames=300, rows=16, columns=16, bits=16))
    service.stored(slide)
    parts = parts_of(expect(service.get(f"{slide.path}/frames/300,1,128,257,256", FRAMES), 200))
    equal("same tiles", [tiles.index(content) + 1 for _, content in parts], [300, 1, 128, 257, 256])


@pytest.mark.parametrize(("frames", "accept"), [("3,1", FRAMES), ("3%2C1", FRAMES), ("3,1", "*/*")])
def test_several_frames(service: Service, stored: Sample, frames: str, accept: str) -> None:
    """Several frames are the parts of a multipart message, in the order asked for."""
    parts = parts_of(expect(service.get(f"{stored.path}/frames/{frames}", accept), 200))
    equal("pixels", [content for _, content in parts], [CONTENT[2], CONTENT[0]])
    equal("Content-Type", parts[0][0]["content-type"], f"application/octet-stream; transfer-syntax={EXPLICIT}")


@pytest.mark.parametrize(
    "accept",
    [
        "application/octet-stream",
        f"application/octet-stream; transfer-syntax={EXPLICIT}",
        'multipart/related; type="application/octet-stream"',
    ],
)
def test_default_syntax(service: Service, stored: Sample, accept: str) -> None:
    """Without `*` the frames come in Explicit VR Little Endian."""
    expect(service.get(f"{stored.path}/frames/1", accept), 200)


@pytest.mark.parametrize("accept", [None, "application/dicom", "image/jp2"])
def test_refused_accepts(service: Service, stored: Sample, accept: str | None) -> None:
    """Any other Accept, or none, is 406."""
    expect(service.get(f"{stored.path}/frames/1", accept), 406)


@pytest.mark.parametrize(
    ("frames", "status"), [("", 400), ("0", 400), ("-1", 400), ("1,", 400), ("x", 400), ("1.5", 400), ("4", 404)]
)
def test_frame_numbers(service: Service, stored: Sample, frames: str, status: int) -> None:
    """Zero, negative numbers and no numbers are 400; beyond the last frame it is 404."""
    expect(service.get(f"{stored.path}/frames/{frames}", FRAMES), status)


@pytest.mark.source(OPEN_SOURCE)
def test_several_frames_as_one_part(service: Service, stored: Sample) -> None:
    """Several frames as a single part are 400."""
    expect(service.get(f"{stored.path}/frames/1,2", FRAME), 400)


def test_no_pixel_data(service: Service) -> None:
    """An instance without pixel data has no frames: 404."""
    sample = Sample()
    service.stored(sample)
    expect(service.get(f"{sample.path}/frames/1", FRAME), 404)


def test_encapsulated_frames(service: Service) -> None:
    """Encapsulated frames come as they are stored with `*`, and decoded to native ones by default."""
    file = File(name="SC_rgb_rle_2frame.dcm")
    service.stored(file)
    raw = expect(service.get(f"{file.path}/frames/2", FRAME), 200)
    equal("Content-Type", raw.headers["Content-Type"], f"application/octet-stream; transfer-syntax={RLE}")
    native = expect(service.get(f"{file.path}/frames/1,2", 'multipart/related; type="application/octet-stream"'), 200)
    parts = parts_of(native)
    equal("bytes of the frames", [len(content) for _, content in parts], [100 * 100 * 3] * 2)
    equal("Content-Type", parts[0][0]["content-type"], f"application/octet-stream; transfer-syntax={EXPLICIT}")


def test_jpeg_2000(service: Service) -> None:
    """JPEG 2000 Lossless frames may be asked for as image/jp2, in multipart."""
    file = File(name="MR_small_jp2klossless.dcm")
    service.stored(file)
    ((headers, content),) = parts_of(
        expect(service.get(f"{file.path}/frames/1", 'multipart/related; type="image/jp2"'), 200)
    )
    equal("Content-Type", headers["content-type"], "image/jp2; transfer-syntax=1.2.840.10008.1.2.4.90")
    equal("start of the codestream", content[:4], b"\xff\x4f\xff\x51")


@pytest.mark.source(OPEN_SOURCE)
@pytest.mark.disputed("Azure docs say that only explicit VR is accepted")
def test_implicit_vr(service: Service) -> None:
    """Frames of an implicit VR instance are the same bytes in explicit VR."""
    sample = Sample(elements=pixels(b"abcdef"), transfer_syntax=IMPLICIT)
    service.stored(sample, statuses=(202,))
    response = expect(service.get(f"{sample.path}/frames/1", "application/octet-stream"), 200)
    equal("pixels", response.content, b"abcdef")
