"""The reader: which ranges of a file it takes to know its header."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass, field

from .deflated import inflated
from .elements import NotFollowed, encoding_of
from .ending import pass_all_fragments, pass_pixel_data
from .opening import Form, Opening, check_encoding, read_opening
from .walk import (
    PATIENT,
    PATIENT_BIRTH_DATE,
    PATIENT_ID,
    SERIES_INSTANCE_UID,
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
    SPECIFIC_CHARACTER_SET,
    STUDY_INSTANCE_UID,
    UIDS,
    Walk,
)
from .window import PREFIX_BYTES, Need, Unfit, Window, at_hand

_OF_INSTANCE = (STUDY_INSTANCE_UID, SERIES_INSTANCE_UID, SOP_INSTANCE_UID)
_OF_PATIENT = (PATIENT_ID, PATIENT_BIRTH_DATE, SPECIFIC_CHARACTER_SET)


@dataclass(frozen=True)
class Patient:
    """Whose an instance is, by its bytes as they stand in the dataset; empty where the element is missing.

    Args:
        patient_id: in the encoding that `character_set` names (PS3.3 §C.12.1.1.2).
    """

    patient_id: bytes = field(repr=False)
    birth_date: bytes = field(repr=False)
    character_set: bytes = b""


@dataclass(frozen=True)
class Header:
    """What is known of a file without its pixels.

    A dataset that has one of the UIDs twice, or behind an element of a higher tag, has none of them as far as is known:
    other software may take another value. This is seen as far as the dataset is read. Elements behind compressed pixels
    are seen only at the end of the file, unless they are read `through_pixels`; a deflated dataset, in its first MiB.

    Args:
        transfer_syntax_uid: File Meta's; for `Form.NO_META`, the one that the dataset was found to be in.
        dataset_at: the byte where the dataset begins.
        sop_class_uid: the dataset's own, as the other UIDs: None where it was not found, be it that it is invalid and
            lies beyond the first MiB, that the header could not be followed so far, or that a UID is repeated or out of
            order.
        pixel_data_at: the byte where the element begins that holds the pixels, if it was reached in a file that is not
            deflated.
        is_dicomdir: whether it is a directory of a medium (PS3.10 §8.6), which has no UIDs of its own.
        patient: None where it cannot be told: if any element was not seen, sequences are badly nested, so that other
            software may see other elements, an identifying one is repeated or out of order, or a value is longer than
            any that is valid.
    """

    form: Form
    transfer_syntax_uid: str
    dataset_at: int
    sop_class_uid: str | None
    study_instance_uid: str | None
    series_instance_uid: str | None
    sop_instance_uid: str | None
    pixel_data_at: int | None = None
    is_dicomdir: bool = False
    patient: Patient | None = None


async def read_header(
    prefix: bytes, size: int, fetch: Callable[[int, int], Awaitable[bytes]], *, through_pixels: bool = False
) -> Header:
    """Read the header of a file of `size` bytes.

    Args:
        prefix: its first `PREFIX_BYTES`, or all of it if it is shorter.
        size: in bytes.
        fetch: reads a range, given its offset and length in bytes.
        through_pixels: pass each fragment of compressed pixels, so that no element behind them is unseen. This takes a
            request for each large fragment.

    Raises:
        Unfit: it is empty, no DICOM file, cut short, or its dataset lacks a valid UID.
    """
    reader = HeaderReader(size, through_pixels=through_pixels)
    # In a thread: a MiB of tiny elements takes a few tenths of a second.
    step = await asyncio.to_thread(reader.feed, 0, prefix)
    while isinstance(step, Need):
        data = await fetch(step.offset, step.length)
        step = await asyncio.to_thread(reader.feed, step.offset, data)
    return step


class HeaderReader:
    """Reads the header of a file of `size` bytes: ranges in, header out. The first one begins at byte 0.

    It reads to the pixels and behind them, values skipped by their length, in as many ranges as `Window` allows. It
    steps into sequences, whatever their length, for as long as half of these ranges are left. Where
    the dataset cannot be followed, what is not known by then is None: other software may understand it.
    """

    def __init__(self, size: int, *, through_pixels: bool = False) -> None:
        self._pass_pixels = pass_all_fragments if through_pixels else pass_pixel_data
        self._window = Window(size)
        self._need: Need | None = Need(0, self._window.limit)
        self._steps = self._read()

    def feed(self, offset: int, data: bytes) -> Need | Header:
        """Take in the bytes at `offset`, all that were asked for or the first of them.

        Returns:
            The range to read next, of `PREFIX_BYTES` at most; or the header.

        Raises:
            Unfit: the file cannot be stored as it is.
            ValueError: these bytes were not asked for, or there are none.
        """
        need, self._need = self._need, None
        if need is None or offset != need.offset or (need.length and not data):
            raise ValueError("not the bytes that were asked for")
        self._window.add(data[: need.length])
        try:
            self._need = next(self._steps)
        except StopIteration as end:
            header: Header = end.value
            return header
        return self._need

    def _read(self) -> Generator[Need, None, Header]:
        window = self._window
        opening = yield from at_hand(window, lambda: read_opening(window), lambda: 0)
        at = opening.dataset_at
        if opening.is_deflated:
            window, at = (yield from at_hand(window, lambda: inflated(self._window, at), lambda: at)), 0
        walk = Walk(window, at, encoding_of(opening.transfer_syntax_uid))
        try:
            yield from self._walk(window, walk, opening)
            walk.may_miss_elements |= window.has_unknown_vrs
        except NotFollowed:
            walk.may_miss_elements = True
            return _header(opening, walk, is_near=False)
        return _header(opening, walk, is_near=window.size <= PREFIX_BYTES)

    def _walk(self, window: Window, walk: Walk, opening: Opening) -> Generator[Need, None, None]:
        yield from at_hand(window, lambda: check_encoding(window, walk.at, walk.encoding), lambda: walk.at)
        while pixel_data := (yield from at_hand(window, walk.run, lambda: walk.at)):
            if opening.form is Form.NO_META:
                raise Unfit("unreadable")  # in which of the compressed transfer syntaxes, nothing tells
            yield from self._pass_pixels(window, walk, pixel_data)


def _header(opening: Opening, walk: Walk, *, is_near: bool) -> Header:
    """Return the header; `is_near` says that the whole dataset was walked over, all of it within the first MiB."""
    is_near = is_near or (walk.pixel_data_at is not None and walk.pixel_data_at < PREFIX_BYTES)
    known = {} if walk.doubtful & UIDS else walk.uids
    uids = [known.get(tag, "" if is_near and known is walk.uids else None) for tag in _OF_INSTANCE]
    if "" in uids and not opening.is_dicomdir:
        raise Unfit("uids_missing")
    if not opening.names_syntax:
        raise Unfit("unreadable")
    study, series, instance = (None if opening.is_dicomdir else one for one in uids)
    return Header(
        form=opening.form,
        transfer_syntax_uid=opening.transfer_syntax_uid,
        dataset_at=opening.dataset_at,
        sop_class_uid=known.get(SOP_CLASS_UID) or None,
        study_instance_uid=study,
        series_instance_uid=series,
        sop_instance_uid=instance,
        pixel_data_at=None if opening.is_deflated else walk.pixel_data_at,
        is_dicomdir=opening.is_dicomdir,
        patient=_patient(walk) if study else None,
    )


def _patient(walk: Walk) -> Patient | None:
    values = [walk.patient.get(tag, b"") for tag in _OF_PATIENT]
    if None in values or walk.may_miss_elements or walk.doubtful & PATIENT:
        return None
    return Patient(*(value or b"" for value in values))
