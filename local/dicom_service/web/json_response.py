"""Responses in JSON: a whole dataset, or an array as it is read."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any, TypeVar

from anyio import to_thread
from starlette.responses import Response

from shared.dicomweb.media_types import DICOM_JSON

MEDIA_TYPE = f"{DICOM_JSON}; charset=utf-8"

_BATCH = 20  # members that are in memory at a time: some metadata is large
_T = TypeVar("_T")


class DICOMJSONResponse(Response):
    """A dataset or an array of datasets in the DICOM JSON Model (PS3.18 §F)."""

    media_type = MEDIA_TYPE

    def render(self, content: Any) -> bytes:
        """Return the content as UTF-8."""
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


async def json_array(items: Sequence[_T], texts_of: Callable[[Sequence[_T]], Iterable[str]]) -> AsyncIterator[str]:
    """Yield a JSON array; `texts_of` is called in a thread and returns the members for some of the items."""
    separator = "["
    for start in range(0, len(items), _BATCH):
        for text in await to_thread.run_sync(texts_of, items[start : start + _BATCH]):
            yield separator + text
            separator = ","
    yield "]" if separator == "," else "[]"
