"""Expiry: an extension of the Azure service to DICOMweb. A Store request may say when its studies are to be deleted.

The last request that stored anything in a study decides; one without the headers lets the study stay.
"""

from __future__ import annotations

import logging
import math
import re

import anyio
from anyio import to_thread
from starlette.datastructures import Headers

from local.dicom_service.change_feed import timestamps
from local.dicom_service.stored.files import Files
from local.dicom_service.stored.index import Index
from local.dicom_service.web.errors import bad_request

TIME = "msdicom-expiry-time-milliseconds"
OPTION, OPTION_VALUE = "msdicom-expiry-option", "RelativeToNow"
LEVEL, LEVEL_VALUE = "msdicom-expiry-level", "Study"

_RETRY_SECONDS = 10.0
_TICKS_PER_MILLISECOND = timestamps.TICKS_PER_SECOND // 1000
_MILLISECONDS = re.compile(r"0*[1-9][0-9]{0,13}")  # some three thousand years

log = logging.getLogger(__name__)


def ticks_of(headers: Headers) -> int | None:
    """Return how long the studies of a Store request are to stay, in ticks; None is for ever.

    Raises:
        ServiceError: 400, one of the headers has a value that it cannot have.
    """
    for name, value in ((OPTION, OPTION_VALUE), (LEVEL, LEVEL_VALUE)):
        if headers.get(name, value) != value:
            raise bad_request(f"The only value of {name} is {value}.")
    milliseconds = headers.get(TIME)
    if milliseconds is None:
        return None
    if not _MILLISECONDS.fullmatch(milliseconds):
        raise bad_request(f"The value of {TIME} must be a positive integer of at most 14 digits.")
    return int(milliseconds) * _TICKS_PER_MILLISECOND


class Expiry:
    """Deletes each study when its time has come, and sleeps until then."""

    def __init__(self, index: Index, files: Files) -> None:
        self._index = index
        self._files = files
        self._changed = anyio.Event()

    def changed(self) -> None:
        """Tell it that a study may have to go sooner than it knows; call this on the event loop."""
        self._changed.set()

    async def run(self) -> None:
        """Do it until cancelled."""
        while True:
            changed = self._changed = anyio.Event()
            with anyio.move_on_after(await to_thread.run_sync(self._step)):
                await changed.wait()

    def _step(self) -> float:
        """Delete a study that is due, if one is, and return in how many seconds there is more to do."""
        try:
            self._files.remove(self._index.delete_expired())
            due = self._index.next_expiry()
        except Exception as error:  # its text might quote values
            log.error("expiry failed: %s", type(error).__name__)
            return _RETRY_SECONDS
        return math.inf if due is None else max(0.0, (due - timestamps.now()) / timestamps.TICKS_PER_SECOND)
