"""The walk over a dataset: from element to element, past every value but those that identify the instance."""

from __future__ import annotations

import sys
from typing import NamedTuple

from shared.dicomweb.checks import is_uid

from .elements import (
    HEAD_BYTES,
    IMPLICIT,
    ITEM,
    ITEM_END,
    ITEM_GROUP,
    SEQUENCE_END,
    UNDEFINED,
    Element,
    Encoding,
    NotFollowed,
    is_sequence,
)
from .window import PREFIX_BYTES, Beyond, Unfit, Window

SOP_CLASS_UID = 0x00080016
SOP_INSTANCE_UID = 0x00080018
STUDY_INSTANCE_UID = 0x0020000D
SERIES_INSTANCE_UID = 0x0020000E
UIDS = frozenset((SOP_CLASS_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID, SERIES_INSTANCE_UID))
SPECIFIC_CHARACTER_SET = 0x00080005
PATIENT_ID = 0x00100020
PATIENT_BIRTH_DATE = 0x00100030
PATIENT = frozenset((SPECIFIC_CHARACTER_SET, PATIENT_ID, PATIENT_BIRTH_DATE))
# Float Pixel Data, Double Float Pixel Data, Pixel Data (PS3.3 §C.7.6.24, §C.7.6.25, §C.7.6.3).
_PIXEL_DATA = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))

_MAX_UID_BYTES = 128  # some pad a UID; nobody this much
_MAX_PATIENT_BYTES = 1024  # 64 characters of four bytes at most, and escape sequences between them
_MAX_DEPTH = 32
_NO_LIMIT = sys.maxsize
_WITH_ITEMS = (b"SQ", b"UN", b"")  # of undefined length; others have fragments


class _Around(NamedTuple):
    """A sequence or an item that the walk has stepped into."""

    is_item: bool
    encoding: Encoding
    is_defined: bool  # whether its own length is
    limit: int  # where the innermost one of defined length ends
    has_fragments: bool = False  # these hold no elements


class Walk:
    """A position in a dataset, and what was found before it.

    Each method goes on from `at` when it is called again, after it has raised `Beyond` and more is at hand.
    """

    def __init__(self, window: Window, at: int, encoding: Encoding) -> None:
        self.at = at
        self.uids: dict[int, str] = {}  # of the dataset itself, by tag; empty where invalid
        self.patient: dict[int, bytes | None] = {}  # values that say whose it is, by tag; None where not read
        # Identifying tags that are repeated or out of order: other software may read another of their values.
        self.doubtful: set[int] = set()
        self.pixel_data_at: int | None = None
        # Whether elements were skipped unseen, or sequences are so badly nested that other software may see others.
        self.may_miss_elements = False
        self.highest_tag = 0  # of the dataset itself
        self.encoding = encoding
        self._window = window
        self._around: list[_Around] = []  # from the outermost to the innermost

    def run(self) -> Element | None:
        """Go on to encapsulated Pixel Data, and return it, or else to the end of the dataset.

        Raises:
            Unfit: an element ends beyond the file.
            Beyond: more must be at hand.
            NotFollowed: these bytes are no element, or are nested too deep.
        """
        while True:
            if self._around:
                self._step_out()
            elif self._is_over():
                return None
            elif element := self._step():
                return element

    def pass_fragments(self) -> None:
        """Go on from the first item of encapsulated Pixel Data to what is behind its delimiter (PS3.5 §A.4).

        Raises:
            Unfit, Beyond, NotFollowed: as `run`.
        """
        while (item := self._window.element(self.at, self.encoding)).tag == ITEM and item.length != UNDEFINED:
            self.at = item.end
        if item.tag != SEQUENCE_END:
            raise NotFollowed
        self.at = item.value_at

    def _step(self) -> Element | None:
        try:
            element = self._window.element(self.at, self.encoding)
        except NotFollowed:
            if not self._is_zeros():
                raise
            self.at = self._window.size
            return None
        if element.tag in UIDS:
            self._note_uid(element)
        elif element.tag in PATIENT:
            self._note_patient(element)
        elif element.tag in _PIXEL_DATA:
            self.pixel_data_at = self.at
        elif element.tag >> 16 == ITEM_GROUP:  # other software may end here
            self.may_miss_elements = True
        if element.tag > self.highest_tag:
            self.highest_tag = element.tag
        if element.tag in _PIXEL_DATA and element.length == UNDEFINED:
            return element
        self._pass(element)
        return None

    def _step_out(self) -> None:
        """Step to where the outermost sequence ends, or out of what cannot be followed inside of a defined length."""
        try:
            while self._around:
                self._step_inside()
        except (NotFollowed, Unfit):
            if self._limit == _NO_LIMIT:
                raise
            self._leave()
        except Beyond as beyond:
            if self._limit == _NO_LIMIT or self._window.may_step_inside(self.at, beyond.end):
                raise
            self._leave()

    @property
    def _limit(self) -> int:
        """Where the innermost one of defined length ends."""
        return self._around[-1].limit if self._around else _NO_LIMIT

    def _leave(self) -> None:
        """Go on behind the outermost one of defined length, as if it had not been stepped into."""
        outermost = next(index for index, around in enumerate(self._around) if around.is_defined)
        self.at = self._around[outermost].limit
        del self._around[outermost:]
        self.may_miss_elements = True

    def _step_inside(self) -> None:
        around = self._around[-1]
        if around.is_item:
            self.at = self._window.pass_values(self.at, around.limit, around.encoding)
        if around.is_defined and self.at == around.limit:
            self._around.pop()
            return
        if around.limit - self.at < HEAD_BYTES:
            raise NotFollowed
        element = self._window.element(self.at, around.encoding)
        if (element.value_at if element.length == UNDEFINED else element.end) > around.limit:
            raise NotFollowed
        if element.tag >> 16 != ITEM_GROUP:
            if not around.is_item:
                raise NotFollowed
            self._pass(element)
        elif element.tag == (ITEM_END if around.is_item else SEQUENCE_END) and not around.is_defined:
            self._around.pop()
            self.at = element.value_at
        elif around.is_item:
            self._pass_misplaced(element)
        elif element.tag != ITEM:
            raise NotFollowed
        else:
            self._step_into_item(element)

    def _step_into_item(self, item: Element) -> None:
        around = self._around[-1]
        is_defined = item.length != UNDEFINED
        if around.has_fragments and is_defined:
            self.at = item.end
            return
        self.may_miss_elements |= around.has_fragments
        self._around.append(_Around(True, around.encoding, is_defined, item.end if is_defined else around.limit))
        self.at = item.value_at

    def _pass_misplaced(self, element: Element) -> None:
        """Pass an item or a delimiter that stands among elements: other software may end a sequence here."""
        if self._limit != _NO_LIMIT:
            raise NotFollowed
        self.may_miss_elements = True
        self._pass(element)

    def _pass(self, element: Element) -> None:
        is_defined = element.length != UNDEFINED
        if is_defined and not is_sequence(element):
            self.at = element.end
            return
        if len(self._around) > 2 * _MAX_DEPTH:
            if not is_defined:
                raise NotFollowed
            self.may_miss_elements = True
            self.at = element.end
            return
        encoding = self._around[-1].encoding if self._around else self.encoding
        # UN holds items in implicit VR, whatever surrounds it (PS3.5 §6.2.2).
        encoding = IMPLICIT if element.vr == b"UN" else encoding
        limit = element.end if is_defined else self._limit
        has_fragments = element.vr not in _WITH_ITEMS
        self._around.append(_Around(False, encoding, is_defined, limit, has_fragments))
        self.at = element.value_at

    def _note_uid(self, element: Element) -> None:
        self._note_order(element)
        value = ""
        if element.length <= _MAX_UID_BYTES:
            value = self._window.take(element.value_at, element.length).rstrip(b" \0").decode("ascii", "replace")
        if is_uid(value):
            self.uids[element.tag] = value
        elif element.end <= PREFIX_BYTES:  # one that lies further behind is left to the service to judge
            self.uids[element.tag] = ""

    def _note_patient(self, element: Element) -> None:
        self._note_order(element)
        is_short = element.length <= _MAX_PATIENT_BYTES
        self.patient[element.tag] = self._window.take(element.value_at, element.length) if is_short else None

    def _note_order(self, element: Element) -> None:
        """Note an identifying element that is repeated, or stands behind one of a higher tag (PS3.5 §7.1)."""
        if element.tag <= self.highest_tag:
            self.doubtful.add(element.tag)

    def _is_over(self) -> bool:
        """Say whether the dataset ends here, be it that a line break follows, as some senders add one, or zeros."""
        left = self._window.size - self.at
        if left >= HEAD_BYTES or not left:
            return not left
        return self._window.take(self.at, left) in (b"\n", b"\r\n") or self._is_zeros()

    def _is_zeros(self) -> bool:
        """Say whether nothing but zeros follows; a single one may begin an element, though none that follows pixels."""
        left = self._window.size - self.at
        least = 2 if self.pixel_data_at is None else 1
        return left >= least and self._window.reaches_end and not self._window.take(self.at, left).strip(b"\0")
