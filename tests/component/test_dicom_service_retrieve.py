"""The local DICOM service sends what it stored: studies, series, instances and frames."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import httpx
import pytest

from tests.component.dicom_images import DEFLATED, JPEG_2000_LOSSLESS, RLE, encapsulated
from tests.component.dicom_service_support import (
    EXPLICIT,
    IMPLICIT,
    STORED_INSTANCE,
    STORED_INSTANCES,
    TEST_FILES,
    Sample,
    ServiceClient,
    encoded,
    new_uid,
    part10,
    parts_of,
    path_of,
    pixels,
    running,
    service,
)

__all__ = ["service"]

FRAME = "application/octet-stream; transfer-syntax=*"
FRAMES = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'


def with_fragments(
    sample: Sample, fragments: list[bytes], *, frames: int, offsets: list[int] | None = None, end: bool = True
) -> bytes:
    """Return the sample's file with encapsulated pixel data."""
    sample.elements.update(pixels(b"", frames=frames))
    sample.elements[0x7FE00010] = None
    return sample.content + encapsulated(fragments, offsets, end=end)


def test_instance_as_one_part(service: ServiceClient) -> None:
    """A single part is the file itself, with its transfer syntax in the Content-Type."""
    sample = Sample()
    service.store_samples(sample)
    response = service.get(sample.path, STORED_INSTANCE)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == f"application/dicom; transfer-syntax={EXPLICIT}"
    assert response.content == sample.content


def test_any_media_type_on_an_instance_is_multipart(service: ServiceClient) -> None:
    """`Accept: */*` on an instance gives multipart, not a plain file."""
    sample = Sample()
    service.store_samples(sample)
    response = service.get(sample.path, "*/*")
    assert response.headers["Content-Type"].startswith("multipart/related; boundary=")
    assert "type=" not in response.headers["Content-Type"].partition(";")[2]
    ((headers, content),) = parts_of(response)
    assert headers == {"content-type": f"application/dicom; transfer-syntax={EXPLICIT}"}
    assert content == sample.content


@pytest.mark.parametrize(
    "accept",
    [
        "application/dicom",
        "application/dicom; transfer-syntax=1.2.840.10008.1.2.1",
        'application/dicom; transfer-syntax="*"',
        'multipart/related; type="application/dicom"',
        "multipart/related; type=application/dicom; transfer-syntax=*",
        "text/html, application/dicom;q=0.5",
    ],
)
def test_accepted_representations_of_an_instance(service: ServiceClient, accept: str) -> None:
    """Single part and multipart, quoted or not, with the stored syntax by default."""
    sample = Sample()
    service.store_samples(sample)
    assert service.get(sample.path, accept).status_code == 200


@pytest.mark.parametrize(
    "accept",
    [
        None,
        "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.50",
        "application/dicom+json",
        "application/octet-stream",
        "multipart/related",
        'multipart/related; type="application/octet-stream"',
        "application/*",
    ],
)
def test_refused_representations_of_an_instance(service: ServiceClient, accept: str | None) -> None:
    """Any other Accept, or none at all, is 406."""
    sample = Sample()
    service.store_samples(sample)
    assert service.get(sample.path, accept).status_code == 406


def test_best_quality_is_chosen_and_any_syntax_among_equals(service: ServiceClient) -> None:
    """The highest q wins; at equal q the one that takes any transfer syntax, wherever it stands."""
    sample = Sample()
    service.store_samples(sample)
    single, multi = "application/dicom", 'multipart/related; type="application/dicom"'
    kinds = {
        f"{single};q=0.5, {multi};q=0.9": "multipart/related",
        f"{multi}, {single}; transfer-syntax=*": "application/dicom",
        f"{single}, */*": "multipart/related",
        f"{single}, {multi}; transfer-syntax=*;q=0.9": "application/dicom",
    }
    for accept, kind in kinds.items():
        assert service.get(sample.path, accept).headers["Content-Type"].startswith(kind)


def test_study_and_series_send_all_instances(service: ServiceClient) -> None:
    """A study sends the instances of all its series, a series its own, each with its bytes."""
    one = Sample()
    two, other_series = one.sibling(), one.sibling(series=new_uid())
    service.store_samples(one, two, other_series)
    study = parts_of(service.get(one.study_path, STORED_INSTANCES))
    series = parts_of(service.get(one.series_path, STORED_INSTANCES))
    assert {content for _, content in study} == {one.content, two.content, other_series.content}
    assert {content for _, content in series} == {one.content, two.content}


def test_several_instances_need_any_transfer_syntax(service: ServiceClient) -> None:
    """More than one instance is 406 in any syntax but `*`, even in the one that all have."""
    one = Sample()
    service.store_samples(one)
    plain = 'multipart/related; type="application/dicom"'
    assert service.get(one.study_path, plain).status_code == 200
    service.store_samples(one.sibling())
    for path in (one.study_path, one.series_path):
        assert service.get(path, plain).status_code == 406
        assert service.get(path, f"{plain}; transfer-syntax={EXPLICIT}").status_code == 406
        assert service.get(path, "*/*").status_code == 200
    assert service.get(one.study_path, "application/dicom").status_code == 406


def test_mixed_transfer_syntaxes(service: ServiceClient) -> None:
    """Each part names its own transfer syntax."""
    one = Sample()
    service.store_samples(one)
    assert service.store(one.sibling(transfer_syntax=IMPLICIT).content).status_code == 202
    parts = parts_of(service.get(one.study_path, STORED_INSTANCES))
    assert [headers["content-type"].rpartition("=")[2] for headers, _ in parts] == [EXPLICIT, IMPLICIT]


def test_order_of_refusals(service: ServiceClient) -> None:
    """UID syntax comes before Accept, Accept before existence; in metadata Accept comes first."""
    bad, absent = "/studies/1.x", f"/studies/{new_uid()}"
    assert service.get(bad, "text/html").status_code == 400
    assert service.get(absent, "text/html").status_code == 406
    assert service.get(absent, STORED_INSTANCES).status_code == 404
    assert service.get(f"{bad}/metadata", "text/html").status_code == 406
    assert service.get(f"{bad}/metadata").status_code == 400
    assert service.get(f"{absent}/metadata").status_code == 404


def test_absent_levels_are_not_found(service: ServiceClient) -> None:
    """404 at each level, in a plain sentence."""
    sample = Sample()
    service.store_samples(sample)
    for path, what in (
        (f"/studies/{new_uid()}", "study"),
        (f"{sample.study_path}/series/{new_uid()}", "series"),
        (f"{sample.series_path}/instances/{new_uid()}", "instance"),
    ):
        response = service.get(path, STORED_INSTANCES)
        assert response.status_code == 404
        assert response.headers["Content-Type"].startswith("text/plain")
        assert what in response.text


def test_native_frames(service: ServiceClient) -> None:
    """Frames are cut from the file, in the order asked for."""
    frames = [bytes([number] * 6) for number in (1, 2, 3)]
    sample = Sample(elements=pixels(b"".join(frames), frames=3))
    service.store_samples(sample)
    single = service.get(f"{sample.path}/frames/2", FRAME)
    assert single.content == frames[1]
    assert single.headers["Content-Type"] == f"application/octet-stream; transfer-syntax={EXPLICIT}"
    several = service.get(f"{sample.path}/frames/3,1", FRAMES)
    assert [content for _, content in parts_of(several)] == [frames[2], frames[0]]
    encoded_comma = service.get(f"{sample.path}/frames/1%2C2", "*/*")
    assert [content for _, content in parts_of(encoded_comma)] == frames[:2]


def test_frames_by_default_syntax(service: ServiceClient) -> None:
    """Without a transfer syntax frames are asked for in explicit VR; implicit ones have the same bytes."""
    sample = Sample(elements=pixels(b"abcdef"), transfer_syntax=IMPLICIT)
    assert service.store(sample.content).status_code == 202
    response = service.get(f"{sample.path}/frames/1", "application/octet-stream")
    assert response.content == b"abcdef"
    assert response.headers["Content-Type"].endswith(f"={EXPLICIT}")


@pytest.mark.parametrize(
    ("frames", "status"), [("", 400), ("0", 400), ("-1", 400), ("x", 400), ("1,", 400), ("1.5", 400), ("4", 404)]
)
def test_frame_numbers(service: ServiceClient, frames: str, status: int) -> None:
    """Numbers that are none, zero or negative are 400; beyond the last it is 404."""
    sample = Sample(elements=pixels(b"abcdef" * 3, frames=3))
    service.store_samples(sample)
    assert service.get(f"{sample.path}/frames/{frames}", FRAMES).status_code == status


def test_several_frames_as_one_part_are_refused(service: ServiceClient) -> None:
    """Several frames do not fit in a single part: 400."""
    sample = Sample(elements=pixels(b"abcdef" * 2, frames=2))
    service.store_samples(sample)
    assert service.get(f"{sample.path}/frames/1,2", FRAME).status_code == 400


def test_frames_without_pixel_data(service: ServiceClient) -> None:
    """An instance without pixel data has no frames: 404; and frames need an Accept: 406."""
    sample = Sample()
    service.store_samples(sample)
    assert service.get(f"{sample.path}/frames/1", FRAME).status_code == 404
    assert service.get(f"{sample.path}/frames/1", None).status_code == 406
    assert service.get(f"{sample.path}/frames/1", "application/dicom").status_code == 406


def test_one_bit_frames_start_within_a_byte(service: ServiceClient) -> None:
    """Frames of one-bit pixels are moved to the start of their first byte."""
    sample = Sample(elements=pixels(bytes([0b11_010101, 0b0000_1100]), frames=2, bits=1))
    service.store_samples(sample)
    parts = parts_of(service.get(f"{sample.path}/frames/1,2", FRAMES))
    assert [content for _, content in parts] == [bytes([0b010101]), bytes([0b110011])]


def test_encapsulated_frames_of_one_fragment_each(service: ServiceClient) -> None:
    """As many fragments as frames: each is one, whatever the offset table says."""
    sample = Sample(transfer_syntax=RLE)
    assert service.store(with_fragments(sample, [b"ab", b"cdef", b"gh"], frames=3)).status_code == 200
    parts = parts_of(service.get(f"{sample.path}/frames/3,2", FRAMES))
    assert [content for _, content in parts] == [b"gh", b"cdef"]
    assert parts[0][0]["content-type"] == f"application/octet-stream; transfer-syntax={RLE}"
    assert service.get(f"{sample.path}/frames/4", FRAMES).status_code == 404
    assert service.get(f"{sample.path}/frames/1", "application/octet-stream").status_code == 406


def test_encapsulated_frames_by_offset_table(service: ServiceClient) -> None:
    """Where frames have several fragments, the Basic Offset Table tells them apart."""
    sample = Sample(transfer_syntax=JPEG_2000_LOSSLESS)
    content = with_fragments(sample, [b"ab", b"cd", b"efgh"], frames=2, offsets=[0, 20])
    assert service.store(content).status_code == 200
    jp2 = service.get(f"{sample.path}/frames/1,2", 'multipart/related; type="image/jp2"')
    assert [part for _, part in parts_of(jp2)] == [b"abcd", b"efgh"]
    assert parts_of(jp2)[0][0]["content-type"] == f"image/jp2; transfer-syntax={JPEG_2000_LOSSLESS}"
    assert service.get(f"{sample.path}/frames/1", "image/jp2").status_code == 406


def test_encapsulated_single_frame_of_several_fragments(service: ServiceClient) -> None:
    """A single frame is all fragments together."""
    sample = Sample(transfer_syntax=JPEG_2000_LOSSLESS)
    assert service.store(with_fragments(sample, [b"ab", b"cd"], frames=1)).status_code == 200
    assert service.get(f"{sample.path}/frames/1", FRAME).content == b"abcd"


def test_extended_offset_table(service: ServiceClient) -> None:
    """Where the Basic Offset Table is empty, the Extended Offset Table tells the frames apart."""
    sample = Sample(transfer_syntax=JPEG_2000_LOSSLESS, elements={0x7FE00001: ("OV", struct.pack("<2Q", 0, 20))})
    assert service.store(with_fragments(sample, [b"ab", b"cd", b"ef"], frames=2)).status_code == 200
    parts = parts_of(service.get(f"{sample.path}/frames/1,2", FRAMES))
    assert [content for _, content in parts] == [b"abcd", b"ef"]


def test_truncated_fragments_are_refused(service: ServiceClient) -> None:
    """Encapsulated pixel data without its delimiter, or cut within a fragment, is not stored."""
    without_end = with_fragments(Sample(transfer_syntax=RLE), [b"ab"], frames=1, end=False)
    assert service.store(without_end).status_code == 409
    assert service.store(without_end[:-1]).status_code == 409


def test_deflated_instance(service: ServiceClient) -> None:
    """A deflated dataset is read, sent as it came, and its frames are inflated."""
    sample = Sample(elements=pixels(b"abcdef"))
    dataset = sample.content.partition(b"DICM")[2]
    start = dataset.index(encoded({0x00080016: ("UI", b"")})[:6])
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    deflated = deflater.compress(dataset[start:]) + deflater.flush()
    content = part10(deflated, transfer_syntax=DEFLATED)
    assert service.store(content).status_code == 200
    whole = service.get(sample.path, STORED_INSTANCE)
    assert whole.content == content
    assert whole.headers["Content-Type"].endswith(f"={DEFLATED}")
    for accept in (FRAME, "application/octet-stream"):
        frame = service.get(f"{sample.path}/frames/1", accept)
        assert frame.content == b"abcdef"
        assert frame.headers["Content-Type"].endswith(f"={EXPLICIT}")
    assert service.get(f"{sample.path}/metadata").json()[0]["00100020"] == {"vr": "LO", "Value": ["ID1"]}
    assert service.store(content[:-10]).status_code == 409


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


def test_method_not_allowed(service: ServiceClient) -> None:
    """A resource that exists but knows no such method is 405."""
    assert service.http.delete("/studies").status_code == 405
