"""A container's blobs, page by page, with what the sweep needs of each; a listing can be gone on with later.

Where to go on is a continuation token, which only storage can make: on Azure it is opaque.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import unquote
from xml.etree.ElementTree import Element

from azure.core.exceptions import HttpResponseError
from azure.core.pipeline.policies import ContentDecodePolicy
from azure.storage.blob import BlobProperties
from azure.storage.blob.aio import ContainerClient

from shared.folders import is_folder

PAGE_SIZE = 5000  # the most that storage gives at once


class TokenRefused(Exception):
    """Storage does not know the place any more where a listing is to go on."""


@dataclass(frozen=True, slots=True)
class Row:
    """What a listing says of a blob.

    Args:
        name: of the blob.
        etag: its version, without quotation marks: a listing has none, all other answers have.
        size: in bytes.
        last_modified: when the version was written, to the second.
        metadata: of the blob.
        is_leased: whether it may not be deleted.
    """

    name: str
    etag: str
    size: int
    last_modified: datetime
    metadata: dict[str, str]
    is_leased: bool = False

    @classmethod
    def of(cls, properties: BlobProperties) -> Row:
        """Return what matters of a blob's properties."""
        return cls(
            str(properties.name),
            str(properties.etag).strip('"'),
            properties.size,
            properties.last_modified,
            properties.metadata or {},
            properties.lease.status == "locked",
        )

    @classmethod
    def of_element(cls, blob: Element) -> Row:
        """Read an entry of List Blobs' answer."""
        name = blob.findtext("Name", "")
        said = {child.tag: child.text or "" for child in blob.iterfind("Properties/*")}
        is_encoded = blob.find("Name[@Encoded='true']") is not None  # characters that XML cannot hold
        return cls(
            unquote(name) if is_encoded else name,
            said["Etag"].strip('"'),
            int(said["Content-Length"]),
            parsedate_to_datetime(said["Last-Modified"]),
            {child.tag: child.text or "" for child in blob.iterfind("Metadata/*")},
            said.get("LeaseStatus") == "locked",
        )

    @property
    def is_folder(self) -> bool:
        """Whether it only stands for a folder; with a hierarchical namespace every folder is listed so."""
        return is_folder(self.size, self.metadata)


class Listing:
    """The pages of a container, from its beginning or from a token on.

    Attributes:
        token: of the page that comes next; None before the first page, and after the last.
        is_at_end: whether there is none.
    """

    def __init__(self, container: ContainerClient, token: str | None = None) -> None:
        self.token = token
        self.is_at_end = False
        self._is_resumed = token is not None
        # The SDK's own reading of entries takes several times as long as all else in a sweep; of `list_blob_names` it
        # reads the names alone, and the rest is in the answer.
        blobs: Any = container.list_blob_names(
            include=["metadata"], results_per_page=PAGE_SIZE, raw_response_hook=self._note
        )
        self._pages = blobs.by_page(token)
        self._answer: Any = None

    async def next_page(self) -> list[Row]:
        """Return the next page, which may be empty: one request.

        Raises:
            TokenRefused: the listing cannot go on where it was to.
            AzureError: storage failed.
        """
        try:
            await anext(self._pages)
        except HttpResponseError as error:
            if self._is_resumed and error.status_code == 400:
                raise TokenRefused from None
            raise
        self._is_resumed = False
        self.token = self._pages.continuation_token or None
        self.is_at_end = self.token is None
        answer: Element = self._answer.context[ContentDecodePolicy.CONTEXT_NAME]
        return [Row.of_element(blob) for blob in answer.iterfind("Blobs/Blob")]

    async def pages(self) -> AsyncIterator[list[Row]]:
        """Yield every page that is left.

        Raises:
            TokenRefused, AzureError: as `next_page`.
        """
        while not self.is_at_end:
            yield await self.next_page()

    def _note(self, answer: Any) -> None:
        self._answer = answer
