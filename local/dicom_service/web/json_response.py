"""Responses in DICOM JSON."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import Response

MEDIA_TYPE = "application/dicom+json; charset=utf-8"


class DICOMJSONResponse(Response):
    """A dataset or an array of datasets in the DICOM JSON Model (PS3.18 §F)."""

    media_type = MEDIA_TYPE

    def render(self, content: Any) -> bytes:
        """Return the content as UTF-8."""
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
