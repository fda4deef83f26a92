"""The local DICOM service sends what it stored, in more detail than the contract has it; and what it cannot send."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.kit.images import JPEG_2000_LOSSLESS, RLE, encapsulated
from tests.kit.service import (
    STORED_INSTANCES,
    TEST_FILES,
    Sample,
    ServiceClient,
    parts_of,
    path_of,
    pixels,
    running,
    service,
    values,
)

__all__ = ["service"]

FRAME = "application/octet-stream; transfer-syntax=*"


def with_fragments(
    sample: Sample, fragments: list[bytes], *, frames: int, offsets: list[int] | None = None, end: bool = True
) -> bytes:
    """Return the sample's file with encapsulated pixel data."""
    sample.elements.update(pixels(b"", frames=frames))
    sample.elements[0x7FE00010] = None
    return sample.content + encapsulated(fragments, offsets, end=end)


def test_encapsulated_frames_by_offset_table(service: ServiceClient) -> None:
    """Where frames have several fragments, the Basic Offset Table tells them apart."""
    sample = Sample(transfer_syntax=JPEG_2000_LOSSLESS)
    content = with_fragments(sample, [b"ab", b"cd", b"efgh"], frames=2, offsets=[0, 20])
    assert service.store(content).status_code == 200
    jp2 = service.get(f"{sample.path}/frames/1,2", 'multipart/related; type="image/jp2"')
    assert [part for _, part in parts_of(jp2)] == [b"abcd", b"efgh"]
    assert parts_of(jp2)[0][0]["content-type"] == f"image/jp2; transfer-syntax={JPEG_2000_LOSSLESS}"
    assert service.get(f"{sample.path}/frames/1", "image/jp2").status_code == 406


def test_truncated_fragments_are_refused(service: ServiceClient) -> None:
    """Encapsulated pixel data without its delimiter, or cut within a fragment, is not stored."""
    without_end = with_fragments(Sample(transfer_syntax=RLE), [b"ab"], frames=1, end=False)
    assert service.store(without_end).status_code == 409
    assert service.store(without_end[:-1]).status_code == 409


def test_big_endian_frames(service: ServiceClient) -> None:
    """Big endian frames come as they are for any syntax, and in little endian by default."""
    content = (TEST_FILES / "MR_small_bigendian.dcm").read_bytes()
    assert service.store(content).status_code == 200
    (found,) = service.search("/instances?PatientID=4MR1")
    path = path_of(found)
    stored = service.get(f"{path}/frames/1", FRAME).content
    assert stored == content_of_pixels(content)
    swapped = service.get(f"{path}/frames/1", "application/octet-stream").content
    assert (swapped[::2], swapped[1::2]) == (stored[1::2], stored[::2])


def content_of_pixels(content: bytes) -> bytes:
    """Return the native pixel data of a big endian file."""
    start = content.index(b"\x7f\xe0\x00\x10OW\0\0") + 12
    return content[start : start + 64 * 64 * 2]


def test_failure_under_way_cuts_the_connection(tmp_path: Path) -> None:
    """What goes wrong after the headers breaks the answer off: there is no closing delimiter."""
    with running(tmp_path) as root:
        client = ServiceClient(root)
        with client.http:
            one = Sample()
            client.store_samples(one)
            for path in tmp_path.glob("instances/*/*"):
                path.unlink()
            client.store_samples(one.sibling())
            with pytest.raises(httpx.RemoteProtocolError):
                client.get(one.study_path, STORED_INSTANCES)


@pytest.mark.parametrize("group", [0x7FE1, 0x8E05])
def test_private_elements_after_the_pixel_data(service: ServiceClient, group: int) -> None:
    """A file with private elements after its pixel data is stored, and its metadata has all of its attributes."""
    private = {group << 16 | 0x0010: ("LO", b"MAKER "), group << 16 | 0x1001: ("LO", b"note")}
    sample = Sample(elements={**pixels(b"abcdef" * 3, frames=3), 0x00280103: ("US", b"\0\0"), **private})
    service.store_samples(sample)
    (metadata,) = service.get(f"{sample.path}/metadata").json()
    shown = [values(metadata, tag) for tag in ("00280103", f"{group:04X}0010", f"{group:04X}1001")]
    assert shown == [[0], ["MAKER"], ["note"]]
