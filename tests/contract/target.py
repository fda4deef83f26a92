"""Which service the contract is held against, and what it can do: from the environment, or by asking it.

| variable | meaning |
|---|---|
| CONTRACT_URL | the service with its version; without it, the stand-in of this project |
| DICOM_TOKEN | a bearer token with all rights; without it, azure-identity's DefaultAzureCredential gets one |
| DICOM_READER_TOKEN | a bearer token that may only read |
| CONTRACT_EXTENDED_QUERY_TAGS | 1: extended query tags may be added and removed |
| CONTRACT_EXPIRY | 1: studies are seen to expire, which may take minutes: how soon they do is not documented |
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import DefaultAzureCredential

from tests.contract.service import Bearer, Made, Service

SCOPE = "https://dicom.healthcareapis.azure.com/.default"
PARTITION = "contract-a"  # partitions cannot be deleted: every run takes the same ones
OTHER_PARTITION = "contract-b"

# Feature → what is said of a service that has it not.
FEATURES = {
    "partitions": "the service has no partitions",
    "no-partitions": "the service has partitions",
    "upsert": "the service takes no PUT of studies",
    "reader": "DICOM_READER_TOKEN is not set",
    "extended-query-tags": "CONTRACT_EXTENDED_QUERY_TAGS is not 1",
    "expiry": "CONTRACT_EXPIRY is not 1",
}


class Unusable(Exception):
    """The contract cannot be held against this service; the text says why, for whoever started the run."""


@dataclass(frozen=True)
class Target:
    """A service, the two kinds of tokens for it, and the features that it has."""

    url: str
    auth: httpx.Auth
    reader: httpx.Auth | None
    features: frozenset[str]

    def service(self, made: Made) -> Service:
        """Return a client; of a partition where the service has them."""
        return Service(self.url, self.auth, made, partition=PARTITION if "partitions" in self.features else None)


def from_environment() -> Target | None:
    """Return the service that CONTRACT_URL names, if any.

    Raises:
        Unusable: it is no address of a service, does not answer, or refuses the token.
    """
    url = os.environ.get("CONTRACT_URL", "").rstrip("/")
    if not url:
        return None
    _check_url(url)
    reader = os.environ.get("DICOM_READER_TOKEN")
    auth, made = Bearer(_token_source()), Made()
    try:
        features = _features(Service(url, auth, made))
    except httpx.HTTPError as error:
        raise Unusable(f"{url} does not answer: {type(error).__name__}") from None
    finally:
        made.close()
    return Target(url, auth, Bearer(lambda: reader) if reader else None, features)


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    if not parts.path.endswith("/v2"):
        raise Unusable("CONTRACT_URL has to end in /v2")
    if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost"):
        raise Unusable("CONTRACT_URL has to be https: a token is sent there")


def _token_source() -> Callable[[], str]:
    if token := os.environ.get("DICOM_TOKEN"):
        return lambda: token
    credential = DefaultAzureCredential()
    try:
        credential.get_token(SCOPE)
    except ClientAuthenticationError:
        raise Unusable("no token is to be had; run az login, or set DICOM_TOKEN") from None
    return lambda: credential.get_token(SCOPE).token


def _features(service: Service) -> frozenset[str]:
    _check_access(service)
    has_partitions = service.get("/partitions").status_code == 200
    studies = f"/partitions/{PARTITION}/studies" if has_partitions else "/studies"
    refused = service.send("PUT", studies, headers={"Content-Type": "text/plain"}, content=b"x")
    found = {
        "partitions": has_partitions,
        "no-partitions": not has_partitions,
        "upsert": refused.status_code == 415,
        "reader": bool(os.environ.get("DICOM_READER_TOKEN")),
        "extended-query-tags": os.environ.get("CONTRACT_EXTENDED_QUERY_TAGS") == "1",
        "expiry": os.environ.get("CONTRACT_EXPIRY") == "1",
    }
    return frozenset(name for name, is_there in found.items() if is_there)


def _check_access(service: Service) -> None:
    status = service.get("/changefeed?limit=1&includeMetadata=false").status_code
    if status in (401, 403):
        raise Unusable(f"the token is refused ({status}); it needs the role DICOM Data Owner")
