"""Datasets in Implicit VR Little Endian, made byte by byte; a file that is read as a blob is; what pydicom reads."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import AsyncGenerator, Iterator

import pydicom
from pydicom import Dataset, uid

from shared.dicomweb import Body
from shared.part10 import Form, Header
from store_on_upload.transcoding.transcode import to_explicit_vr

UNDEFINED = 0xFFFFFFFF

# The path to an element, its VR, its bytes as they stand in the file, and what pydicom takes them for.
Read = tuple[tuple[int, ...], str, bytes, str]


def element(tag: int, value: bytes, length: int | None = None) -> bytes:
    """Encode an element, whose length may be another than its value's."""
    return struct.pack("<HHL", tag >> 16, tag & 0xFFFF, len(value) if length is None else length) + value


def sequence(tag: int, *items: bytes, defined: bool = True) -> bytes:
    """Encode a sequence, and its items in the same way."""
    if defined:
        return element(tag, b"".join(element(0xFFFEE000, item) for item in items))
    ended = b"".join(element(0xFFFEE000, item, UNDEFINED) + element(0xFFFEE00D, b"") for item in items)
    return element(tag, ended, UNDEFINED) + element(0xFFFEE0DD, b"")


def header(content: bytes, form: Form = Form.NO_META) -> Header:
    """Return the header of a file, by pydicom's word on File Meta; a mere dataset is in implicit VR."""
    if form is Form.NO_META:
        return Header(form, uid.ImplicitVRLittleEndian, 0, "1.2.840.10008.5.1.4.1.1.2", "1.2", "1.3", "1.4")
    file = io.BytesIO(content)
    file.seek(132 if form is Form.PART10 else 0)
    meta = pydicom.filereader._read_file_meta_info(file)
    return Header(form, meta.TransferSyntaxUID, file.tell(), None, None, None, None)


class Blob:
    """A file as it lies in storage; `bytes_read` counts what was asked for as ranges."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.bytes_read = 0

    async def read(self, offset: int, length: int) -> bytes:
        """Read a range."""
        self.bytes_read += length
        return self.content[offset : offset + length]

    async def chunks_from(self, offset: int) -> AsyncGenerator[bytes]:
        """Stream from an offset to the end, in chunks that fit nothing."""
        for start in range(offset, len(self.content), 333_333):
            yield self.content[start : start + 333_333]

    async def body(self, of: Header | None = None) -> Body:
        """Return the file as it is sent in explicit VR; a mere dataset, without a header."""
        return await to_explicit_vr(of or header(self.content), len(self.content), self.read, self.chunks_from)


async def transcoded(content: bytes, of: Header | None = None) -> bytes:
    """Return a file in explicit VR, as long as it was announced."""
    body = await Blob(content).body(of)
    sent = b"".join([chunk async for chunk in body])
    assert len(sent) == body.length
    return sent


def read_dataset(content: bytes, *, implicit: bool = True) -> list[Read]:
    """Return what pydicom reads in a mere dataset."""
    with warnings.catch_warnings(action="ignore"):
        dataset = pydicom.filereader.read_dataset(io.BytesIO(content), implicit, True)
        # Where there is no VR, pydicom would take the rest for implicit VR.
        assert implicit or all(raw.VR for raw in dataset.elements())
        return list(_elements(dataset))


def read_file(content: bytes) -> list[Read]:
    """Return what pydicom reads in the dataset of a Part 10 file."""
    of = header(content, Form.PART10)
    return read_dataset(content[of.dataset_at :], implicit=of.transfer_syntax_uid == uid.ImplicitVRLittleEndian)


def _elements(dataset: Dataset, path: tuple[int, ...] = ()) -> Iterator[Read]:
    """Yield each element but group lengths; of a sequence, the number of its items as well."""
    tags = list(dataset.keys())
    for tag in sorted(tag for tag in tags if tag & 0xFFFF):
        raw = dataset.get_item(tag)
        read = dataset[tag]
        if read.VR == "SQ":
            yield (*path, tag), "SQ", b"", str(len(read.value))
            for number, item in enumerate(read.value):
                yield from _elements(item, (*path, tag, number))
        else:
            value = (getattr(raw, "value", None) if raw and raw.is_raw else None) or b""
            yield (*path, tag), read.VR, value, repr(read.value)
