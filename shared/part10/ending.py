"""Where encapsulated Pixel Data ends (PS3.5 §A.4), without reading all of it."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial

from .elements import ITEM_GROUP, Element, NotFollowed
from .walk import Walk
from .window import Need, Unfit, Window, at_hand

_SEQUENCE_END_NUMBER = 0xE0DD
# The first one will do, unless Data Set Trailing Padding (FFFC,FFFC) or private elements follow that are longer.
_TAILS_BYTES = (64 * 1024, 1024 * 1024)
_MAX_CANDIDATES = 8
_MAX_RANGES_OF_FRAGMENTS = 16


def pass_pixel_data(window: Window, walk: Walk, pixel_data: Element) -> Generator[Need, None, None]:
    """Take the walk behind the delimiter of encapsulated Pixel Data, or to the end of a file that has one at its end.

    If the file ends within the range at hand, each fragment is passed. The fragments of a longer one may be many
    thousands: its end is looked at first, and they are passed, as far as a few ranges go, if that did not tell. Of what
    the end tells, more elements may lie unseen between the pixels and it: `Walk.may_miss_elements` says so.

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
        if _ends_whole(tail, walk):
            walk.at = window.size
            walk.may_miss_elements = True
            return
    if is_near:
        raise Unfit("unfinished")
    with window.at_most(_MAX_RANGES_OF_FRAGMENTS):
        if not (yield from _pass_fragments(window, walk)):
            raise Unfit("unfinished")


def pass_all_fragments(window: Window, walk: Walk, pixel_data: Element) -> Generator[Need, None, None]:
    """Take the walk behind the delimiter of encapsulated Pixel Data, fragment by fragment, so that nothing is unseen.

    Raises:
        Unfit: a fragment ends beyond the file.
        NotFollowed: there is no delimiter, or enough ranges have been read.
    """
    walk.at = pixel_data.value_at
    yield from at_hand(window, walk.pass_fragments, lambda: walk.at)


def _pass_fragments(window: Window, walk: Walk) -> Generator[Need, None, bool]:
    try:
        yield from at_hand(window, walk.pass_fragments, lambda: walk.at)
    except NotFollowed:
        return False
    return True


def _ends_whole(tail: bytes, walk: Walk) -> bool:
    """Say whether there is a sequence delimiter behind which whole elements follow, up to the end, or none.

    Identifying elements among them are added to `walk.doubtful`.

    Taken for whole, though it is not, is a file that was cut right behind these eight bytes in a fragment, or right
    behind a sequence that lies inside an element that follows the pixels. Neither is likely enough to read it all.
    """
    delimiter = walk.encoding.head.pack(ITEM_GROUP, _SEQUENCE_END_NUMBER, 0)
    at = len(tail)
    for _ in range(_MAX_CANDIDATES):
        at = tail.rfind(delimiter, 0, at + len(delimiter) - 1)
        if at < 0:
            return False
        if _is_whole(tail[at + len(delimiter) :], walk):
            return True
    return False


def _is_whole(elements: bytes, walk: Walk) -> bool:
    behind = Walk(Window.of(elements, len(elements)), 0, walk.encoding)
    behind.pixel_data_at = 0  # they are in front of these elements
    behind.highest_tag = walk.highest_tag
    try:
        if behind.run() is not None:
            return False
    except (NotFollowed, Unfit):
        return False
    walk.doubtful |= behind.doubtful
    return True
