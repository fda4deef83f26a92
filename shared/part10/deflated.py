"""A dataset in Deflated Explicit VR Little Endian (PS3.5 §A.5)."""

from __future__ import annotations

import zlib

from .window import PREFIX_BYTES, Unfit, Window

# Of what is inflated in part only, the size is not known.
_WITHOUT_END = 1 << 62


def inflated(window: Window, at: int) -> Window:
    """Inflate what the file's first range has of a dataset, up to a MiB.

    Raises:
        Unfit: it is not deflated, or the file ends before it does.
        Beyond: not all of that range is at hand.
    """
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        dataset = inflater.decompress(window.take(at, window.limit - at), PREFIX_BYTES)
    except zlib.error:
        raise Unfit("unreadable") from None
    # Less than was asked for: the input has ended before the stream did. At the limit nothing can be said.
    if not inflater.eof and window.reaches_end and len(dataset) < PREFIX_BYTES:
        raise Unfit("unfinished")
    return Window.of(dataset, len(dataset) if inflater.eof else _WITHOUT_END)
