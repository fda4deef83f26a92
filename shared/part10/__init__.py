"""The header of a DICOM file, read by ranges and without its pixels (PS3.10 §7, PS3.5 §7).

It answers before anything is sent: is this a whole DICOM file, how is it encoded, and which UIDs does its dataset
have? They are read from the dataset, since the copies in File Meta can differ. pydicom is not used here: it reads
files, blocks while it does, and forgives an end that comes too early.
"""

from .opening import PREAMBLE_BYTES, Form
from .reader import Header, HeaderReader, Patient, read_header
from .window import PREFIX_BYTES, Need, Unfit

__all__ = [
    "PREAMBLE_BYTES",
    "PREFIX_BYTES",
    "Form",
    "Header",
    "HeaderReader",
    "Need",
    "Patient",
    "Unfit",
    "read_header",
]
