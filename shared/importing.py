"""The import of the app, most of what a cold start takes."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Import inside without the garbage collector, and have it pass over for ever what is there by then.

    What is imported stays as long as the process does. To look for garbage in it, again and again while it grows,
    takes a fifth of the import.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
