"""Retrieve metadata (PS3.18 §10.4.1.1.2): the attributes of instances, without bulk data."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from pydicom import Dataset

from . import media_types
from .answers import datasets_of
from .errors import InvalidResponse
from .messages import Answer
from .resource import Resource
from .retrieve import retrieve_request
from .transactions import Transactions

T = TypeVar("T")
Read: TypeAlias = Callable[[AsyncIterator[dict[str, Any]]], Awaitable[T]]


@dataclass(frozen=True)
class Metadata:
    """The attributes of instances, without bulk data.

    Args:
        datasets: one for each instance; none where nothing was modified.
        etag: what to hand over as `if_none_match` next time; it changes whenever one of the instances does.
        is_modified: False where the service says that nothing has changed since (304).
    """

    datasets: list[Dataset]
    etag: str | None
    is_modified: bool = True


class MetadataTransaction(Transactions):
    """Retrieve metadata; with `original` as `RetrieveTransaction` has it."""

    async def retrieve_study_metadata(
        self, *, study_instance_uid: str, if_none_match: str | None = None, original: bool = False
    ) -> Metadata:
        """Return the metadata of a study's instances (PS3.18 §10.4.1.1.2).

        Raises:
            NotFound: there is none under this UID.
        """
        return await self._metadata(Resource.study(study_instance_uid), if_none_match, original)

    async def read_study_metadata(self, read: Read[T], *, study_instance_uid: str) -> tuple[T, str | None]:
        """Return what `read` makes of the metadata of a study, however many its instances, and their ETag.

        Args:
            read: takes DICOM JSON objects (PS3.18 Annex F) as they come, one for each instance; called anew, with all
                of them, where a connection was lost.

        Raises:
            NotFound: there is none under this UID.
        """
        study = Resource.study(study_instance_uid)
        request = retrieve_request(study, media_types.DICOM_JSON, "/metadata", "study metadata")

        async def build(answer: Answer) -> tuple[T, str | None]:
            async with aclosing(answer.objects()) as objects:
                return await read(objects), answer.headers.get("etag")

        return await self._session.fetch(request, build)

    async def retrieve_series_metadata(
        self,
        *,
        study_instance_uid: str,
        series_instance_uid: str,
        if_none_match: str | None = None,
        original: bool = False,
    ) -> Metadata:
        """Return the metadata of a series' instances.

        Raises:
            NotFound: there is none under these UIDs.
        """
        return await self._metadata(Resource.series(study_instance_uid, series_instance_uid), if_none_match, original)

    async def retrieve_instance_metadata(
        self,
        *,
        study_instance_uid: str,
        series_instance_uid: str,
        sop_instance_uid: str,
        if_none_match: str | None = None,
        original: bool = False,
    ) -> Metadata:
        """Return the metadata of an instance.

        Raises:
            NotFound: there is none under these UIDs.
        """
        resource = Resource.instance(study_instance_uid, series_instance_uid, sop_instance_uid)
        metadata = await self._metadata(resource, if_none_match, original)
        if metadata.is_modified and len(metadata.datasets) != 1:
            raise InvalidResponse("retrieve instance metadata: the answer is not of one instance")
        return metadata

    async def _metadata(self, resource: Resource, if_none_match: str | None, original: bool) -> Metadata:
        headers = {} if if_none_match is None else {"If-None-Match": if_none_match}
        request = retrieve_request(
            resource,
            media_types.DICOM_JSON,
            "/metadata",
            f"{resource.level} metadata",
            original=original,
            headers=headers,
        )

        async def read(answer: Answer) -> Metadata:
            if answer.status_code == 304:
                return Metadata([], if_none_match, is_modified=False)
            datasets = await datasets_of(request.transaction, await answer.json())
            return Metadata(datasets, answer.headers.get("etag"))

        return await self._session.fetch(request, read)
