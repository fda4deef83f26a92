"""Small images for the tests of what the local DICOM service decodes: samples made here, and pydicom's own files."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image

from tests.kit.service import TEST_FILES, Elements, Sample, ServiceClient, items, values

RLE = "1.2.840.10008.1.2.5"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
JPEG_LOSSLESS = "1.2.840.10008.1.2.4.57"
JPEG_2000_LOSSLESS = "1.2.840.10008.1.2.4.90"
JPEG_2000 = "1.2.840.10008.1.2.4.91"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"

Samples = NDArray[Any]


def us(*numbers: int) -> tuple[str, bytes]:
    """Return an element of unsigned shorts."""
    return "US", struct.pack(f"<{len(numbers)}H", *numbers)


def image(
    samples: Samples, photometric: str = "MONOCHROME2", *, frames: int = 1, more: Elements | None = None, **options: Any
) -> Sample:
    """Return an instance with native pixel data; `samples` are (rows, columns) or (rows, columns, 3) of one frame."""
    rows, columns = samples.shape[:2]
    bits = 8 * samples.dtype.itemsize
    elements: dict[int, tuple[str, bytes] | None] = {
        0x00280002: us(3 if samples.ndim == 3 else 1),
        0x00280004: ("CS", photometric.encode()),
        0x00280006: us(0) if samples.ndim == 3 else None,
        0x00280008: ("IS", str(frames).encode()),
        0x00280010: us(rows),
        0x00280011: us(columns),
        0x00280100: us(bits),
        0x00280101: us(options.pop("bits_stored", bits)),
        0x00280102: us(bits - 1),
        0x00280103: us(int(samples.dtype.kind == "i")),
        0x7FE00010: ("OW" if bits > 8 else "OB", samples.tobytes()),
        **(more or {}),
    }
    return Sample(elements=elements, **options)


def encapsulated(fragments: list[bytes], offsets: list[int] | None = None, *, end: bool = True) -> bytes:
    """Encode encapsulated pixel data as it follows a dataset."""
    table = struct.pack(f"<{len(offsets or [])}L", *(offsets or []))
    body = b"".join(struct.pack("<HHL", 0xFFFE, 0xE000, len(item)) + item for item in [table, *fragments])
    head = struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF)
    return head + body + (struct.pack("<HHL", 0xFFFE, 0xE0DD, 0) if end else b"")


def compressed(sample: Sample, transfer_syntax: str, *fragments: bytes) -> bytes:
    """Return the sample's file with these fragments for its pixel data."""
    changed = Sample(
        study=sample.study,
        series=sample.series,
        sop=sample.sop,
        elements={**sample.elements, 0x7FE00010: None},
        transfer_syntax=transfer_syntax,
    )
    return changed.content + encapsulated([part + b"\0" * (len(part) % 2) for part in fragments])


def fragments_of(name: str) -> list[bytes]:
    """Return the compressed frames of one of pydicom's files, whose every frame is one fragment."""
    dataset = pydicom.dcmread(TEST_FILES / name)
    count = int(dataset.get("NumberOfFrames") or 1)
    return list(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=count))


@contextmanager
def stored(service: ServiceClient, content: bytes) -> Iterator[str]:
    """Store a file, yield the path of its instance, and delete it: some of pydicom's files share their UIDs."""
    response = service.store(content)
    assert response.status_code in (200, 202), response.status_code
    (item,) = items(response, "00081199")
    path = values(item, "00081190")[0].removeprefix(f"{service.root}/v2")
    try:
        yield path
    finally:
        assert service.delete(path) == 204


def pixels_of(picture: bytes) -> Samples:
    """Return the pixels of a JPEG or PNG picture."""
    with Image.open(io.BytesIO(picture)) as opened:
        return np.asarray(opened)
