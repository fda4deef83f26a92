"""The DICOM service of a running stack, by whose owner it is spoken to past the app."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import httpx

from local.stack import Stack
from local.tokens import Bearer

DICOM = "application/dicom"
DICOM_JSON = "application/dicom+json"
THERE_ALREADY = "[45070]"  # the failure reason


@dataclass(frozen=True)
class Service:
    """The DICOM service of a stack.

    Args:
        stack: which runs.
        partition: the one that is meant; None where the service has none.
    """

    stack: Stack
    partition: str | None = None

    def store(self, *files: bytes) -> None:
        """Store files; what is there already is left as it is."""
        for content in files:
            stored = self._ask("POST", "/studies", content)
            assert stored.is_success or THERE_ALREADY in stored.text

    def store_streamed(self, chunks: Iterable[bytes], length_bytes: int) -> None:
        """Store one file, too large to be held as a whole."""
        self._ask("POST", "/studies", chunks, **{"Content-Length": str(length_bytes)}).raise_for_status()

    def delete(self, path: str) -> None:
        """Delete a study, a series or an instance."""
        assert self._ask("DELETE", path).status_code == 204

    def has_study(self, study: str) -> bool:
        """Say whether the service itself has a study."""
        return self._ask("GET", f"/studies/{study}/metadata").status_code == 200

    def inject(self, **fault: object) -> None:
        """Have the service fail: for one request unless `requests` says otherwise, None for all."""
        httpx.post(self._admin("faults"), json=fault, trust_env=False).raise_for_status()

    def mend(self) -> None:
        """End every fault."""
        httpx.delete(self._admin("faults"), trust_env=False).raise_for_status()

    def forget_requests(self) -> None:
        """Count requests from nought again."""
        httpx.delete(self._admin("requests"), trust_env=False).raise_for_status()

    def requests(self) -> dict[str, int]:
        """Return how many requests of each kind there were."""
        counts = httpx.get(self._admin("requests"), trust_env=False).json()
        return {kind: count["requests"] for kind, count in counts.items()}

    def traces(self, kind: str) -> list[str]:
        """Return what requests of a kind, such as `store`, said of their traces."""
        told = httpx.get(self._admin("traces"), trust_env=False).json()
        return [trace for of_kind, trace in told if of_kind == kind]

    def _ask(
        self, method: str, path: str, content: bytes | Iterable[bytes] | None = None, **headers: str
    ) -> httpx.Response:
        below = "" if self.partition is None else f"/partitions/{self.partition}"
        return httpx.request(
            method,
            f"{self.stack.dicom_url}{below}{path}",
            content=content,
            headers={"Accept": DICOM_JSON, "Content-Type": DICOM, **headers},
            auth=Bearer(self.stack.token()),
            timeout=120,
            trust_env=False,
        )

    def _admin(self, what: str) -> str:
        return f"{self.stack.dicom_url.removesuffix('/v2')}/admin/{what}"
