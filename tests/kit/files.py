"""Small DICOM files made byte by byte, so that they may hold what no writer would write."""

from __future__ import annotations

import secrets
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydicom

TEST_FILES = Path(pydicom.__file__).parent / "data" / "test_files"

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
JPEG = "1.2.840.10008.1.2.4.50"
DEFLATED = "1.2.840.10008.1.2.1.99"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"

Elements = dict[int, tuple[str, bytes]]

_LONG = ("OB", "OW", "OD", "OF", "OL", "OV", "SQ", "UN", "UC", "UR", "UT", "SV", "UV")


def new_uid() -> str:
    """Return a UID that no other test uses."""
    return f"1.2.826.0.1.3680043.10.1.{secrets.randbits(90)}"


def encoded(elements: Elements, *, implicit: bool = False) -> bytes:
    """Encode a dataset, in little endian."""
    return b"".join(_element(tag, vr, value, implicit) for tag, (vr, value) in sorted(elements.items()))


def _element(tag: int, vr: str, value: bytes, implicit: bool) -> bytes:
    value += (b"\0" if vr in ("UI", "OB") else b" ") * (len(value) % 2)
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    if implicit:
        return head + struct.pack("<L", len(value)) + value
    if vr in _LONG:
        return head + vr.encode() + b"\0\0" + struct.pack("<L", len(value)) + value
    return head + vr.encode() + struct.pack("<H", len(value)) + value


def part10(dataset: bytes, *, transfer_syntax: str = EXPLICIT) -> bytes:
    """Put a dataset into a Part 10 file."""
    meta = encoded(
        {
            0x00020001: ("OB", b"\0\1"),
            0x00020002: ("UI", SECONDARY_CAPTURE.encode()),
            0x00020003: ("UI", b"1.2.3"),
            0x00020010: ("UI", transfer_syntax.encode()),
            0x00020012: ("UI", b"1.2.3.4"),
        }
    )
    return b"\0" * 128 + b"DICM" + encoded({0x00020000: ("UL", struct.pack("<L", len(meta)))}) + meta + dataset


@dataclass
class Instance:
    """An instance by its names; each is new unless it is given."""

    study: str = field(default_factory=new_uid)
    series: str = field(default_factory=new_uid)
    sop: str = field(default_factory=new_uid)

    @property
    def study_path(self) -> str:
        """Return the path of its study."""
        return f"/studies/{self.study}"

    @property
    def series_path(self) -> str:
        """Return the path of its series."""
        return f"{self.study_path}/series/{self.series}"

    @property
    def path(self) -> str:
        """Return its path."""
        return f"{self.series_path}/instances/{self.sop}"

    def search_path(self, query: str = "") -> str:
        """Return a search for its study, and for more."""
        return f"/studies?StudyInstanceUID={self.study}" + (f"&{query}" if query else "")

    @property
    def content(self) -> bytes:
        """Return the file."""
        raise NotImplementedError


# A value for all that the Azure service indexes but the study's date, which is a sample's own; and for more.
FULL: dict[int, tuple[str, bytes] | None] = {
    0x00080005: ("CS", b"ISO_IR 100"),
    0x00080050: ("SH", b"ACC-1"),
    0x00080060: ("CS", b"CT"),
    0x00080090: ("PN", b"House^Gregory"),
    0x00081030: ("LO", b"Head without contrast"),
    0x00081090: ("LO", b"Scanner 3000"),
    0x00100010: ("PN", "Müller^Änne".encode("latin-1")),
    0x00100020: ("LO", b"Pat-1"),
    0x00100030: ("DA", b"19700315"),
    0x00100040: ("CS", b"F"),
    0x00200011: ("IS", b"2"),
    0x00200013: ("IS", b"4"),
    0x00400244: ("DA", b"20240103"),
}


@dataclass
class Sample(Instance):
    """A small instance, by default alone in its study; `elements` replace or add to its own, None removes."""

    elements: dict[int, tuple[str, bytes] | None] = field(default_factory=dict)
    transfer_syntax: str = EXPLICIT

    @property
    def content(self) -> bytes:
        """Return the file."""
        dataset = deflated(self.dataset) if self.transfer_syntax == DEFLATED else self.dataset
        return part10(dataset, transfer_syntax=self.transfer_syntax)

    @property
    def dataset(self) -> bytes:
        """Return the file's dataset, not deflated."""
        own: dict[int, tuple[str, bytes] | None] = {
            0x00080016: ("UI", SECONDARY_CAPTURE.encode()),
            0x00080018: ("UI", self.sop.encode()),
            0x00080020: ("DA", b"20240102"),
            0x00080060: ("CS", b"OT"),
            0x00100010: ("PN", b"Doe^Jane"),
            0x00100020: ("LO", b"ID1"),
            0x0020000D: ("UI", self.study.encode()),
            0x0020000E: ("UI", self.series.encode()),
        }
        present = {tag: element for tag, element in {**own, **self.elements}.items() if element is not None}
        return encoded(present, implicit=self.transfer_syntax == IMPLICIT)

    def sibling(self, **changes: Any) -> Sample:
        """Return another instance of the same series, or of another one with `series=`."""
        return Sample(**{"study": self.study, "series": self.series, **changes})


def deflated(dataset: bytes) -> bytes:
    """Return a dataset as it is in a deflated file."""
    deflate = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    return deflate.compress(dataset) + deflate.flush()


def untold() -> Sample:
    """Return an instance whose study and series the app cannot read: they lie behind a MiB of a deflated dataset."""
    values: Elements = {0x00090010: ("LO", b"PADDING"), 0x00091001: ("UT", b" " * 3_000_000)}
    return Sample(elements={**values}, transfer_syntax=DEFLATED)


# An element whose end looks like that of compressed pixels, as a file has it whose last element they are.
LIKE_THE_END = encoded({0xFFFCFFFC: ("OB", b"\xfe\xff\xdd\xe0\0\0\0\0")})


def compressed(sample: Sample, behind: bytes = b"") -> bytes:
    """Return an instance with compressed pixels of 2 MiB (PS3.5 §A.4), and elements behind them.

    In front of `LIKE_THE_END` the app does not see these, unless it reads all fragments.
    """
    items = [b"\xfe\xff\0\xe0" + struct.pack("<L", len(value)) + value for value in (b"", bytes(1 << 21))]
    pixel_data = b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff" + b"".join(items) + b"\xfe\xff\xdd\xe0\0\0\0\0"
    return part10(sample.dataset + pixel_data + behind, transfer_syntax=JPEG)


def pixels(
    data: bytes, *, frames: int = 1, rows: int = 2, columns: int = 3, bits: int = 8
) -> dict[int, tuple[str, bytes] | None]:
    """Return the elements of native pixel data."""
    return {
        0x00280002: ("US", struct.pack("<H", 1)),
        0x00280004: ("CS", b"MONOCHROME2"),
        0x00280008: ("IS", str(frames).encode()),
        0x00280010: ("US", struct.pack("<H", rows)),
        0x00280011: ("US", struct.pack("<H", columns)),
        0x00280100: ("US", struct.pack("<H", bits)),
        0x7FE00010: ("OW" if bits > 8 else "OB", data),
    }
