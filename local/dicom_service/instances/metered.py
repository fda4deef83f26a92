"""A file that only so much can be read of: what is built of its elements takes far more memory than their bytes do.

The bounds are for one file. They are met before anything is built, sequences within sequences included.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from typing import BinaryIO

MAX_HEADERS = 100_000
MAX_BYTES = 64 * 1024 * 1024
MAX_BYTES_IN_SEQUENCES = 4 * MAX_BYTES  # each level of nesting copies what is below it
MAX_VALUES = 5_000_000
_HEADER_BYTES = 8


class TooMuch(ValueError):
    """A dataset has more elements, bytes or values than can be held in memory."""


class CutShort(ValueError):
    """A sequence ends before an item or an element in it does."""


@dataclass
class _Left:
    headers: int = MAX_HEADERS
    bytes: int = MAX_BYTES
    bytes_in_sequences: int = MAX_BYTES_IN_SEQUENCES
    values: int = MAX_VALUES


class MeteredFile:
    """What pydicom needs of a file: `read`, `seek` and `tell`, the first within bounds."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = _Left()
        self._in_sequence = False
        self.tell = file.tell

    def inside(self, sequence: bytes) -> MeteredFile:
        """Return the value of a sequence as a file within the same bounds."""
        nested = MeteredFile(io.BytesIO(sequence))
        nested._left = self._left
        nested._in_sequence = True
        return nested

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Change the position."""
        return self._file.seek(offset, whence)

    def read(self, size: int) -> bytes:
        """Read from the position on.

        Raises:
            TooMuch: this is beyond the bounds.
            CutShort: the sequence has not so many bytes.
        """
        self._count(size)
        data = self._file.read(size)
        # Of an empty item at the end pydicom reads the first tag.
        if self._in_sequence and len(data) < size and data + bytes(size > _HEADER_BYTES // 2):
            raise CutShort
        return data

    def count_values(self, number: int) -> None:
        """Count values that are about to be converted.

        Raises:
            TooMuch: they are too many.
        """
        self._left.values -= number
        if self._left.values < 0:
            raise TooMuch

    def _count(self, size: int) -> None:
        left = self._left
        left.headers -= size == _HEADER_BYTES  # as each element and item has; a value of that length counts too
        if self._in_sequence:
            left.bytes_in_sequences -= size
        else:
            left.bytes -= size
        if size < 0 or min(left.headers, left.bytes, left.bytes_in_sequences) < 0:
            raise TooMuch
