"""What a file can cost the local DICOM service is bounded, and one that lies about its lengths is refused."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from local.dicom_service.instances import metered
from tests.kit.images import DEFLATED, image
from tests.kit.service import (
    EXPLICIT,
    IMPLICIT,
    Elements,
    Sample,
    ServiceClient,
    encoded,
    items,
    opened,
    part10,
    service,
    values,
)

__all__ = ["service"]

VALIDATION_FAILURE = 43264
RAMP = np.arange(1600, dtype=np.uint16).reshape(40, 40)


def deflated(sample: Sample, more: bytes = b"") -> bytes:
    """Return the sample's file, with some bytes after its dataset, deflated."""
    dataset = sample.content[len(part10(b"", transfer_syntax=sample.transfer_syntax)) :]
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return part10(compressor.compress(dataset + more) + compressor.flush(), transfer_syntax=DEFLATED)


def item(content: bytes, length: int | None = None) -> bytes:
    """Encode an item, which may lie about its length."""
    return struct.pack("<HHL", 0xFFFE, 0xE000, len(content) if length is None else length) + content


def sequence(content: bytes) -> Elements:
    """Return a private sequence of a defined length."""
    return {0x00211010: ("SQ", content)}


def endless_sequence(content: bytes) -> bytes:
    """Encode a private sequence of undefined length."""
    head = struct.pack("<HH2sHL", 0x0021, 0x1010, b"SQ", 0, 0xFFFFFFFF)
    return head + content + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)


def assert_refused(service: ServiceClient, content: bytes) -> None:
    """Store a file that fails as invalid."""
    response = service.store(content)
    assert response.status_code == 409
    (failed,) = items(response, "00081198")
    assert values(failed, "00081197") == [VALIDATION_FAILURE]


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceClient]:
    """A service that takes requests of 100 kB."""
    with opened(tmp_path_factory.mktemp("narrow"), max_request_bytes=100_000) as client:
        yield client


def test_inflated_size_is_bounded(narrow: ServiceClient) -> None:
    """A deflated file may not become larger than a request may be."""
    assert narrow.store(deflated(Sample(elements={0x00291010: ("OB", bytes(90_000))}))).status_code == 200
    assert_refused(narrow, deflated(Sample(elements={0x00291010: ("OB", bytes(101_000))})))


MANY = metered.MAX_HEADERS
TOO_MANY: dict[str, Callable[[], bytes]] = {
    "items": lambda: Sample(elements={**sequence(item(b"") * MANY)}).content,
    "items of a deflated file": lambda: deflated(Sample(), endless_sequence(item(b"") * MANY)),
    "items in an item": lambda: Sample(elements={**sequence(item(encoded(sequence(item(b"") * MANY))))}).content,
    "elements": lambda: Sample(elements=dict.fromkeys(range(0x00291000, 0x00291000 + MANY), ("SH", b""))).content,
}


@pytest.mark.parametrize("what", TOO_MANY)
def test_too_many_elements(service: ServiceClient, what: str) -> None:
    """A file of more elements and items than the limit fails with 43264."""
    assert_refused(service, TOO_MANY[what]())


@pytest.mark.parametrize("late", [{0x00080070: ("LO", b"Last")}, {0x00081140: ("SQ", item(b""))}])
def test_elements_out_of_order(service: ServiceClient, late: Elements) -> None:
    """A file whose last element has not the highest tag is whole, unless that element is cut short."""
    assert service.store(Sample().content + encoded(late)).status_code in (200, 202)
    assert_refused(service, Sample().content + encoded(late)[:-2])


@pytest.mark.parametrize("transfer_syntax", [EXPLICIT, IMPLICIT])
def test_element_after_the_pixel_data_is_cut_short(service: ServiceClient, transfer_syntax: str) -> None:
    """A file that ends within an element after its pixel data fails with 43264."""
    sample = image(RAMP, more={0xFFFCFFFC: ("OB", bytes(20))}, transfer_syntax=transfer_syntax)
    assert_refused(service, sample.content[:-2])
    assert service.store(sample.content).status_code in (200, 202)


CODE = encoded({0x00080100: ("SH", b"code")})
ROWS = encoded({0x00280010: ("US", b"\1\0")})


@pytest.mark.parametrize(
    "content",
    [
        item(b"", 8),
        item(CODE, 100),
        item(CODE[:-2]),
        item(ROWS[:-2], len(ROWS)),
        item(ROWS[:5]),
        item(encoded(sequence(item(b"", 0x7FFFFFFF)))),
    ],
)
def test_sequence_that_is_cut_short(service: ServiceClient, content: bytes) -> None:
    """A sequence whose items or elements claim more bytes than there are fails with 43264."""
    assert_refused(service, Sample(elements={0x00081140: ("SQ", content)}).content)
