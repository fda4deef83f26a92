"""The local DICOM service draws what it stored: instances and frames as JPEG or PNG."""

from __future__ import annotations

import struct

import numpy as np
import pydicom
import pytest

from local.dicom_service.instances import part10
from local.dicom_service.pictures.decoding import MAX_BYTES
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
    TEST_FILES,
    Elements,
    Sample,
    ServiceClient,
    new_uid,
    pixels,
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


def test_frames_are_drawn_one_by_one(service: ServiceClient) -> None:
    """Each frame is its own picture, and the instance's is that of the first."""
    frames = [RAMP, RAMP[::-1], RAMP.T]
    sample = image(RAMP, frames=3, more={0x7FE00010: ("OB", np.concatenate(frames).tobytes())})
    service.store_samples(sample)
    for number, expected in enumerate(frames, start=1):
        assert (pixels_of(service.get(f"{sample.path}/frames/{number}/rendered", PNG).content) == expected).all()
    assert (pixels_of(service.get(f"{sample.path}/rendered", PNG).content) == RAMP).all()


def test_order_of_refusals(service: ServiceClient) -> None:
    """What is malformed comes before Accept, Accept before existence, existence before what cannot be drawn."""
    absent = Sample().path
    broken = image(RAMP, more={0x00280010: us(65535)})
    service.store_samples(broken)
    for suffix in ("/frames/0/rendered", "/frames/1/rendered?quality=0", "/rendered?quality=0"):
        assert service.get(f"{absent}{suffix}", "*/*").status_code == 400
    bad_uid = f"/studies/1.x/series/1/instances/{new_uid()}"
    assert service.get(f"{bad_uid}/rendered", "*/*").status_code == 400
    assert service.get(f"{absent}/rendered", "*/*").status_code == 406
    assert service.get(f"{absent}/rendered", JPEG).status_code == 404
    assert service.get(f"{broken.path}/frames/2/rendered", JPEG).status_code == 404
    assert service.get(f"{broken.path}/frames/1/rendered", JPEG).status_code == 406


def test_range_of_the_frame_without_window(service: ServiceClient) -> None:
    """Without a window the frame's smallest value is black and its largest white, for 8 and 16 bits and signed ones."""
    expected = np.array([[0, 128, 255]], np.uint8)
    for values in (
        np.array([[10, 20, 30]], np.uint8),
        np.array([[1000, 2000, 3000]], np.uint16),
        np.array([[-100, 0, 100]], np.int16),
        np.array([[-100_000, 0, 100_000]], np.int32),
    ):
        assert np.abs(drawn(service, image(values)).astype(int) - expected).max() <= 1
    assert (drawn(service, image(np.full((2, 2), 7, np.uint8))) == 0).all()


def test_window(service: ServiceClient) -> None:
    """A window's lower end is black and its upper white (PS3.3 §C.11.2.1.2); of several the first counts."""
    values = np.array([[0, 99, 100, 150, 200, 4095]], np.uint16)
    sample = image(values, bits_stored=12, more=window("150\\600", "101\\1000"))
    assert drawn(service, sample).tolist() == [[0, 0, 1, 129, 255, 255]]
    exact = image(values, bits_stored=12, more=window("150", "100", "LINEAR_EXACT"))
    assert drawn(service, exact).tolist() == [[0, 0, 0, 128, 255, 255]]
    sigmoid = image(values, bits_stored=12, more=window("150", "100", "SIGMOID"))
    assert drawn(service, sigmoid).tolist() == [[1, 29, 30, 128, 225, 255]]


@pytest.mark.parametrize(("center", "width"), [("", ""), ("100", ""), ("100", "0"), ("100", "-5"), ("x", "y")])
def test_unusable_window(service: ServiceClient, center: str, width: str) -> None:
    """A window that cannot be applied counts as none."""
    sample = image(RAMP, more=window(center, width))
    assert (drawn(service, sample) == RAMP).all()


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


def test_one_bit_frames(service: ServiceClient) -> None:
    """One-bit frames are black and white, also those that start within a byte."""
    sample = Sample(elements=pixels(bytes([0b11_010101, 0b0000_1100]), frames=2, bits=1))
    sample.elements[0x00280101] = us(1)
    service.store_samples(sample)
    pictures = [pixels_of(service.get(f"{sample.path}/frames/{n}/rendered", PNG).content) for n in (1, 2)]
    assert [picture.tolist() for picture in pictures] == [
        [[255, 0, 255], [0, 255, 0]],
        [[255, 255, 0], [0, 255, 255]],
    ]


COLOUR_FILES = """
    SC_rgb_dcmtk_+eb+cr.dcm SC_rgb_dcmtk_+eb+cy+n1.dcm SC_rgb_dcmtk_+eb+cy+n2.dcm SC_rgb_dcmtk_+eb+cy+np.dcm
    SC_rgb_dcmtk_+eb+cy+s2.dcm SC_rgb_dcmtk_+eb+cy+s4.dcm SC_rgb_gdcm_KY.dcm SC_rgb_jpeg.dcm SC_rgb_jpeg_dcmd.dcm
    SC_rgb_jpeg_dcmtk.dcm SC_rgb_jpeg_gdcm.dcm SC_rgb_jpeg_lossy_gdcm.dcm SC_rgb_rle.dcm SC_rgb_rle_2frame.dcm
    SC_rgb_small_odd.dcm SC_rgb_small_odd_big_endian.dcm SC_rgb_small_odd_jpeg.dcm SC_ybr_full_422_uncompressed.dcm
    SC_jpeg_no_color_transform.dcm examples_jpeg2k.dcm examples_rgb_color.dcm examples_ybr_color.dcm
"""
GRAY_FILES = """
    693_J2KI.dcm CT_small.dcm J2K_pixelrep_mismatch.dcm JPEG2000.dcm JPGExtended.dcm MR_small.dcm MR_small_RLE.dcm
    MR_small_bigendian.dcm MR_small_expb.dcm MR_small_implicit.dcm MR_small_jp2klossless.dcm
    MR_small_jpeg_ls_lossless.dcm image_dfl.dcm liver_1frame.dcm liver_expb_1frame.dcm rtdose.dcm rtdose_expb.dcm
    rtdose_rle.dcm examples_overlay.dcm badVR.dcm
"""


@pytest.mark.parametrize("name", COLOUR_FILES.split())
def test_colour_files(service: ServiceClient, name: str) -> None:
    """The first frame of pydicom's colour files, in ten transfer syntaxes, has the colours that pydicom finds."""
    part10.silence_pydicom()
    dataset = pydicom.dcmread(TEST_FILES / name)
    expected = dataset.pixel_array
    first = expected[0] if expected.ndim == 4 else expected
    with stored(service, (TEST_FILES / name).read_bytes()) as path:
        assert (pixels_of(service.get(f"{path}/rendered", PNG).content) == first).all()


@pytest.mark.parametrize("name", GRAY_FILES.split())
def test_gray_files(service: ServiceClient, name: str) -> None:
    """The pictures of pydicom's gray files keep the order of the values: what is brighter is not drawn darker."""
    part10.silence_pydicom()
    dataset = pydicom.dcmread(TEST_FILES / name)
    dataset.NumberOfFrames = 1 if name == "badVR.dcm" else dataset.get("NumberOfFrames", 1)
    samples = dataset.pixel_array
    first = samples[0] if samples.ndim == 3 else samples
    with stored(service, (TEST_FILES / name).read_bytes()) as path:
        picture = pixels_of(service.get(f"{path}/rendered", PNG).content)
    assert picture.shape == first.shape
    assert picture.max() == 255
    ascending = picture.ravel()[np.argsort(first, axis=None, kind="stable")].astype(int)
    assert (np.diff(ascending) >= 0).all()


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


def test_largest_frame(service: ServiceClient) -> None:
    """A frame of more than 100 MiB, and a file of more, is 406; it is still sent as stored."""
    rows, columns = 10241, 10240
    assert rows * columns > MAX_BYTES
    sample = image(RAMP, more={0x00280010: us(rows), 0x00280011: us(columns)})
    sample.elements[0x7FE00010] = ("OB", bytes(rows * columns))
    service.store_samples(sample)
    assert service.get(f"{sample.path}/rendered", JPEG).status_code == 406
    assert service.get(f"{sample.path}/frames/1/rendered", PNG).status_code == 406
