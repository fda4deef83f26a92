"""Where encapsulated Pixel Data ends (PS3.5 §A.4), without reading all of it."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial

from .elements import ITEM_GROUP, Element, Encoding, NotFollowed
from .walk import Walk
from .window import Need, Unfit, Window, at_hand

_SEQUENCE_END_NUMBER = 0xE0DD
# The first one will do, unless Data Set Trailing Padding (FFFC,FFFC) or private elements follow that are longer.
_TAILS_BYTES = (64 * 1024, 1024 * 1024)
_MAX_CANDIDATES = 8


def pass_pixel_data(window: Window, walk: Walk, pixel_data: Element) -> Generator[Need, None, None]:
    """Take the walk behind the delimiter of encapsulated Pixel Data, or to the end of a file that has one at its end.

    If the file ends within the range at hand, each fragment is passed. The fragments of a longer one may be many
    thousands: its end is looked at first, and they are passed, as far as the ranges go, if that did not tell.

    Raises:
        Unfit: there is no delimiter.
        NotFollowed: too many ranges were read before.
    """
    walk.at = pixel_data.value_at
    is_near = window.reaches_end
    if is_near and (yield from _pass_fragments(window, walk)):
        return
    for length in _TAILS_BYTES:
        start = max(pixel_data.value_at, window.size - length)
        tail = yield from at_hand(window, partial(window.take, start, window.size - start), partial(int, start))
        if _ends_whole(tail, walk.encoding):
            walk.at = window.size
            return
    if is_near or not (yield from _pass_fragments(window, walk)):
        raise Unfit("unfinished")


def _pass_fragments(window: Window, walk: Walk) -> Generator[Need, None, bool]:
    try:
        yield from at_hand(window, walk.pass_fragments, lambda: walk.at)
    except NotFollowed:
        return False
    return True


def _ends_whole(tail: bytes, encoding: Encoding) -> bool:
    """Say whether there is a sequence delimiter behind which whole elements follow, up to the end, or none.

    Taken for whole, though it is not, is a file that was cut right behind these eight bytes in a fragment, or right
    behind a sequence that lies inside an element that follows the pixels. Neither is likely enough to read it all.
    """
    delimiter = encoding.head.pack(ITEM_GROUP, _SEQUENCE_END_NUMBER, 0)
    at = len(tail)
    for _ in range(_MAX_CANDIDATES):
        at = tail.rfind(delimiter, 0, at + len(delimiter) - 1)
        if at < 0:
            return False
        if _is_whole(tail[at + len(delimiter) :], encoding):
            return True
    return False


def _is_whole(elements: bytes, encoding: Encoding) -> bool:
    walk = Walk(Window.of(elements, len(elements)), 0, encoding)
    walk.pixel_data_at = 0  # they are in front of these elements
    try:
        return walk.run() is None
    except (NotFollowed, Unfit):
        return False
