"""Azure's policy of immutability on the containers of records, which Azurite has not: a gateway refuses by it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

from azure.storage.blob import BlobServiceClient

from shared.settings import ACCESS_AUDIT, RETENTION_RECORDS
from tests.kit.connection_strings import endpoint, through
from tests.kit.gateway import Gateway, Step

REFUSAL = "BlobImmutableDueToPolicy"
_CONTAINERS = frozenset({RETENTION_RECORDS, ACCESS_AUDIT})


@dataclass
class Immutability:
    """A container-level policy that allows protected append writes: what is written once stays as it is.

    Stricter than Azure's in one thing: a lease may not be taken either, for nothing here is to need one.

    Args:
        storage: the account, by a way past the gateway.
        is_on: whether there is one.
        refused: what was, by method, container and what it was about.
    """

    storage: BlobServiceClient
    is_on: bool = True
    refused: list[str] = field(default_factory=list)

    def forbids(self, step: Step) -> str | None:
        address = urlsplit(step.path)
        _, _, container, *folders = address.path.split("/")
        about = parse_qs(address.query).get("comp", [""])[0]
        if container not in _CONTAINERS or not folders or step.method in ("GET", "HEAD") or about == "appendblock":
            return None
        if not self.is_on or not self.storage.get_blob_client(container, unquote("/".join(folders))).exists():
            return None
        self.refused.append(f"{step.method} {container} {about}".strip())
        return REFUSAL


@contextmanager
def immutable(connection_string: str) -> Iterator[tuple[str, Immutability]]:
    with BlobServiceClient.from_connection_string(connection_string) as storage:
        policy = Immutability(storage)
        with Gateway(endpoint(connection_string, "blob"), forbids=policy.forbids) as gateway:
            yield through(connection_string, blob=gateway.urls[0]), policy
