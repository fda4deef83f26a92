"""A DICOM service asked in plain HTTP."""

from __future__ import annotations

from typing import Any

import httpx

from tests.contract.differences import expect
from tests.kit.dicomweb_messages import DICOM_JSON


class PlainClient:
    """Asks a service over an HTTP client whose base address ends with its version, or with a partition of it."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def get(self, path: str, accept: str | None = DICOM_JSON, **headers: str) -> httpx.Response:
        """Get a path with one Accept header, or with none."""
        return self.send("GET", path, accept, headers=headers)

    def send(self, method: str, path: str, accept: str | None = DICOM_JSON, **options: Any) -> httpx.Response:
        """Send a request with one Accept header, or with none."""
        request = self.http.build_request(method, path, **options)
        if accept is None:
            del request.headers["Accept"]
        else:
            request.headers["Accept"] = accept
        return self.http.send(request)

    def search(self, path: str) -> list[dict[str, Any]]:
        """Return the results of a search, none for 204.

        Raises:
            Difference: it was answered with neither.
        """
        response = expect(self.get(path), 200, 204)
        return response.json() if response.status_code == 200 else []
