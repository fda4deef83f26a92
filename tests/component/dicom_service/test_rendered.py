"""The local DICOM service draws what it stored: instances and frames as JPEG or PNG."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from tests.kit.images import (
    JPEG_2000,
    JPEG_2000_LOSSLESS,
    JPEG_BASELINE,
    RLE,
    Samples,
    compressed,
    fragments_of,
    image,
    pixels_of,
    stored,
    us,
)
from tests.kit.service import (
    EXPLICIT,
    Elements,
    Sample,
    ServiceClient,
    service,
)

__all__ = ["service"]

JPEG, PNG = "image/jpeg", "image/png"
RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)


def drawn(service: ServiceClient, sample: Sample, path: str = "") -> Samples:
    """Store a sample and return its picture."""
    assert service.store(sample.content).status_code in (200, 202)
    response = service.get(f"{sample.path}{path}/rendered", PNG)
    assert response.status_code == 200, response.text
    return pixels_of(response.content)


def window(center: str, width: str, function: str = "") -> Elements:
    """Return the elements of a window."""
    elements = {0x00281050: ("DS", center.encode()), 0x00281051: ("DS", width.encode())}
    return {**elements, 0x00281056: ("CS", function.encode())} if function else elements


def rescale(slope: str, intercept: str) -> Elements:
    """Return the elements of a rescale."""
    return {0x00281052: ("DS", intercept.encode()), 0x00281053: ("DS", slope.encode())}


def test_window(service: ServiceClient) -> None:
    """A window's lower end is black and its upper white (PS3.3 §C.11.2.1.2); of several the first counts."""
    values = np.array([[0, 99, 100, 150, 200, 4095]], np.uint16)
    sample = image(values, bits_stored=12, more=window("150\\600", "101\\1000"))
    assert drawn(service, sample).tolist() == [[0, 0, 1, 129, 255, 255]]
    exact = image(values, bits_stored=12, more=window("150", "100", "LINEAR_EXACT"))
    assert drawn(service, exact).tolist() == [[0, 0, 0, 128, 255, 255]]
    sigmoid = image(values, bits_stored=12, more=window("150", "100", "SIGMOID"))
    assert drawn(service, sigmoid).tolist() == [[1, 29, 30, 128, 225, 255]]


def test_rescale_comes_before_the_window(service: ServiceClient) -> None:
    """The window is in rescaled values: Hounsfield units, for one; a negative slope turns the grays round."""
    values = np.array([[0, 1024, 1224, 4095]], np.uint16)
    hounsfield = image(values, bits_stored=12, more={**rescale("1", "-1024"), **window("100.5", "201")})
    assert drawn(service, hounsfield).tolist() == [[0, 0, 255, 255]]
    negative = image(RAMP, more=rescale("-2", "10"))
    assert (drawn(service, negative) == 255 - RAMP).all()


def test_monochrome1_is_inverted(service: ServiceClient) -> None:
    """The smallest value of MONOCHROME1 is white."""
    assert (drawn(service, image(RAMP, "MONOCHROME1")) == 255 - RAMP).all()
    windowed = image(RAMP, "MONOCHROME1", more=window("128", "256"))
    assert (drawn(service, windowed) == 255 - RAMP).all()


def test_colours(service: ServiceClient) -> None:
    """RGB stays what it is, by pixel or by plane; 16 bits become 8; YBR_FULL becomes RGB."""
    colours = np.random.default_rng(2).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    assert (drawn(service, image(colours, "RGB")) == colours).all()
    planes = image(colours, "RGB", more={0x00280006: us(1), 0x7FE00010: ("OB", colours.transpose(2, 0, 1).tobytes())})
    assert (drawn(service, planes) == colours).all()
    assert (drawn(service, image(colours.astype(np.uint16) * 257, "RGB")) == colours).all()
    ybr = np.array([[[76, 85, 255], [255, 128, 128], [0, 128, 128]]], np.uint8)
    red, white, black = drawn(service, image(ybr, "YBR_FULL"))[0].astype(int)
    assert np.abs(red - (254, 0, 0)).max() <= 1
    assert white.tolist() == [255, 255, 255]
    assert black.tolist() == [0, 0, 0]


def test_palette_color(service: ServiceClient) -> None:
    """Samples are looked up in the palette, whose entries have 8 or 16 bits."""
    indexes = np.array([[0, 1, 2]], np.uint8)
    expected = [[[0, 255, 0], [128, 0, 255], [255, 128, 64]]]
    red, green, blue = (0, 128, 255, 1), (255, 0, 128, 2), (0, 255, 64, 3)
    for code, bits, scale in (("B", 8, 1), ("H", 16, 257)):
        tables = {
            0x00281201 + number: ("OW", struct.pack(f"<4{code}", *(entry * scale for entry in entries)))
            for number, entries in enumerate((red, green, blue))
        }
        descriptors = {0x00281101 + number: us(4, 0, bits) for number in range(3)}
        assert drawn(service, image(indexes, "PALETTE COLOR", more={**descriptors, **tables})).tolist() == expected


def rle_bomb(segment_bytes: int) -> bytes:
    """Return an RLE frame of one segment whose every two bytes stand for 128."""
    return struct.pack("<16L", 1, 64, *[0] * 14) + b"\x81\0" * (segment_bytes // 2)


def jp2_with_an_empty_box() -> bytes:
    """Return a JP2 file whose second box claims to have no length, as a reader that goes on by it never does."""
    return b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0\0\0\0free" + b"\0" * 64


HOSTILE = {
    "native, far too large": lambda: image(RAMP, more={0x00280010: us(65535), 0x00280011: us(65535)}).content,
    "native, too few bytes": lambda: image(RAMP, more={0x00280010: us(17)}).content,
    "native, no rows": lambda: image(RAMP, more={0x00280010: us(0)}).content,
    "native, no bits": lambda: image(RAMP, more={0x00280100: us(0)}).content,
    "native, odd bits": lambda: image(RAMP, more={0x00280100: us(7)}).content,
    "native, more bits stored than allocated": lambda: image(RAMP, more={0x00280101: us(200)}).content,
    "native, 5 samples": lambda: image(RAMP, more={0x00280002: us(5)}).content,
    "native, unknown colours": lambda: image(RAMP, "ULTRAVIOLET").content,
    "native, a colour space that none converts": lambda: (
        image(np.zeros((2, 2, 3), np.uint8), "YBR_PARTIAL_420").content
    ),
    "a palette that is missing": lambda: image(RAMP, "PALETTE COLOR").content,
    "a palette that is cut short": lambda: (
        image(
            RAMP,
            "PALETTE COLOR",
            more={**{0x00281101 + n: us(0, 0, 16) for n in range(3)}, 0x00281201: ("OW", b"\0\0")},
        ).content
    ),
    "RLE, a bomb": lambda: compressed(image(RAMP), RLE, rle_bomb(8_000_000)),
    "RLE, nothing": lambda: compressed(image(RAMP), RLE, b""),
    "RLE, far too large": lambda: compressed(
        image(RAMP, more={0x00280010: us(65535), 0x00280011: us(65535)}), RLE, rle_bomb(1000)
    ),
    "RLE, segments elsewhere": lambda: compressed(
        image(RAMP), RLE, struct.pack("<16L", 15, *[0xFFFFFFFF] * 15) + b"\0" * 8
    ),
    "JPEG, not at all": lambda: compressed(image(RAMP), JPEG_BASELINE, b"GIF89a and so on"),
    "JPEG, cut": lambda: compressed(
        colour_of(240, 320), JPEG_BASELINE, fragments_of("examples_ybr_color.dcm")[0][:400]
    ),
    "JPEG, of another size": lambda: compressed(
        colour_of(16, 16), JPEG_BASELINE, fragments_of("examples_ybr_color.dcm")[0]
    ),
    "JPEG, that claims gigabytes": lambda: compressed(
        image(RAMP), JPEG_BASELINE, b"\xff\xd8\xff\xc0\0\x0b\x08\xff\xff\xff\xff\1\1\x11\0"
    ),
    "JPEG 2000, an empty box": lambda: compressed(image(RAMP), JPEG_2000, jp2_with_an_empty_box()),
    "JPEG 2000, of another size": lambda: compressed(
        image(RAMP), JPEG_2000_LOSSLESS, fragments_of("MR_small_jp2klossless.dcm")[0]
    ),
    "JPEG 2000, no tiles": lambda: compressed(
        image(RAMP), JPEG_2000, b"\xff\x4f\xff\x51\0\x29\0\0" + struct.pack(">8LH", 16, 16, 0, 0, 0, 0, 0, 0, 1)
    ),
    "a video": lambda: compressed(image(RAMP), "1.2.840.10008.1.2.4.100", b"\0\0\1\xba"),
    "an unknown transfer syntax": lambda: compressed(image(RAMP), "1.2.3.4.5", b"1234"),
    "fragments in a native transfer syntax": lambda: compressed(image(RAMP), EXPLICIT, b"1234"),
    "a frame that is missing": lambda: compressed(
        image(RAMP, frames=2, more={0x00280008: ("IS", b"5")}), RLE, b"1234", b"5678"
    ),
}


def colour_of(rows: int, columns: int) -> Sample:
    """Return a colour image of that size."""
    return image(np.zeros((rows, columns, 3), np.uint8), "YBR_FULL_422")


@pytest.mark.parametrize("what", HOSTILE)
def test_what_cannot_be_drawn(service: ServiceClient, what: str) -> None:
    """Files that lie about their size, or are broken, are 406."""
    with stored(service, HOSTILE[what]()) as path:
        response = service.get(f"{path}/rendered", PNG)
        assert response.status_code == 406
        assert response.headers["Content-Type"].startswith("text/plain")
