"""Retrieve (PS3.18 §10.4): instances and frames as they are stored, rendered pictures."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

from . import media_types
from .checks import check_int
from .errors import InvalidParameter, InvalidResponse
from .messages import Request
from .parts import Part, parts_of
from .resource import Resource
from .transactions import Transactions


class RetrieveTransaction(Transactions):
    """Retrieve; what is large is a context, to be read while it is open.

    With `original`, all but frames and pictures are as they were first stored, before the Azure service's bulk update
    changed them.
    """

    @asynccontextmanager
    async def retrieve_instance(
        self,
        *,
        study_instance_uid: str,
        series_instance_uid: str,
        sop_instance_uid: str,
        original: bool = False,
        multipart: bool = False,
    ) -> AsyncIterator[Part]:
        """Give one instance as it is stored, a Part 10 file.

        Args:
            multipart: have it travel as multipart of one part, whose end is marked: a short answer is then seen to be
                one, even if it was sent as a whole one.

        Raises:
            NotFound: there is none under these UIDs.
        """
        resource = Resource.instance(study_instance_uid, series_instance_uid, sop_instance_uid)
        accept = media_types.INSTANCE if self._single_part and not multipart else media_types.INSTANCES
        async with self._retrieve(retrieve_request(resource, accept, original=original)) as parts:
            yield await _first(parts, "retrieve instance")

    @asynccontextmanager
    async def retrieve_series(
        self, *, study_instance_uid: str, series_instance_uid: str, original: bool = False
    ) -> AsyncIterator[AsyncIterator[Part]]:
        """Give the instances of a series, one part each, in no stated order.

        Raises:
            NotFound: there is none under these UIDs.
        """
        resource = Resource.series(study_instance_uid, series_instance_uid)
        async with self._retrieve(retrieve_request(resource, media_types.INSTANCES, original=original)) as parts:
            yield parts

    @asynccontextmanager
    async def retrieve_study(
        self, *, study_instance_uid: str, original: bool = False
    ) -> AsyncIterator[AsyncIterator[Part]]:
        """Give the instances of a study, one part each, in no stated order.

        Raises:
            NotFound: there is none under this UID.
        """
        resource = Resource.study(study_instance_uid)
        async with self._retrieve(retrieve_request(resource, media_types.INSTANCES, original=original)) as parts:
            yield parts

    @asynccontextmanager
    async def retrieve_frames(
        self, frames: Sequence[int], *, study_instance_uid: str, series_instance_uid: str, sop_instance_uid: str
    ) -> AsyncIterator[AsyncIterator[Part]]:
        """Give frames as they are stored, one part each, in the order asked for.

        Args:
            frames: numbers from 1 on.

        Raises:
            NotFound: the instance, or a frame of it, is not there.
        """
        frames = list(frames)
        suffix = _frames_path(frames)
        resource = Resource.instance(study_instance_uid, series_instance_uid, sop_instance_uid)
        accept = media_types.FRAME if self._single_part and len(frames) == 1 else media_types.FRAMES
        async with (
            self._retrieve(retrieve_request(resource, accept, suffix, "frames")) as parts,
            aclosing(_as_many(parts, len(frames))) as counted,
        ):
            yield counted

    @asynccontextmanager
    async def retrieve_instance_rendered(
        self,
        *,
        study_instance_uid: str,
        series_instance_uid: str,
        sop_instance_uid: str,
        media_type: media_types.RenderedMediaType = "image/jpeg",
        quality: int | None = None,
    ) -> AsyncIterator[Part]:
        """Give a picture of an instance's first frame (PS3.18 §10.4.1.1.3).

        Args:
            quality: of a JPEG, from 1 to 100.

        Raises:
            NotFound: there is no such instance, or it has no pixel data.
            NotAcceptable: the service cannot draw it.
        """
        resource = Resource.instance(study_instance_uid, series_instance_uid, sop_instance_uid)
        async with self._rendered(resource, "", "instance", media_type, quality) as part:
            yield part

    @asynccontextmanager
    async def retrieve_frame_rendered(
        self,
        frame: int,
        *,
        study_instance_uid: str,
        series_instance_uid: str,
        sop_instance_uid: str,
        media_type: media_types.RenderedMediaType = "image/jpeg",
        quality: int | None = None,
    ) -> AsyncIterator[Part]:
        """Give a picture of one frame, numbered from 1 on; otherwise as `retrieve_instance_rendered`.

        Raises:
            NotFound: there is no such frame.
            NotAcceptable: the service cannot draw it.
        """
        resource = Resource.instance(study_instance_uid, series_instance_uid, sop_instance_uid)
        async with self._rendered(resource, _frames_path([frame]), "frame", media_type, quality) as part:
            yield part

    @asynccontextmanager
    async def _retrieve(self, request: Request) -> AsyncIterator[AsyncIterator[Part]]:
        async with (
            self._session.send(request) as answer,
            aclosing(parts_of(request, answer)) as parts,
        ):
            yield parts

    @asynccontextmanager
    async def _rendered(
        self, resource: Resource, frames_path: str, what: str, media_type: str, quality: int | None
    ) -> AsyncIterator[Part]:
        if media_type not in media_types.RENDERED:
            raise InvalidParameter("media_type must be image/jpeg or image/png")
        if quality is not None:
            check_int("quality", quality, 1, 100)
        query = "" if quality is None else f"quality={quality}"
        request = retrieve_request(resource, media_type, f"{frames_path}/rendered", f"{what} rendered", query=query)
        async with self._retrieve(request) as parts:
            yield await _first(parts, request.transaction)


def retrieve_request(
    resource: Resource,
    accept: str,
    suffix: str = "",
    what: str | None = None,
    *,
    query: str = "",
    original: bool = False,
    headers: dict[str, str] | None = None,
) -> Request:
    """Return the request for a resource, or for what `suffix` names of it."""
    headers = headers or {}
    return Request(
        f"retrieve {what or resource.level}",
        "GET",
        resource.path + suffix,
        accept=accept,
        query=query,
        headers={**headers, "msdicom-request-original": "true"} if original else headers,
        # 304 is an answer to those alone who told what they have.
        statuses=frozenset({200, 304}) if "If-None-Match" in headers else frozenset({200}),
    )


def _frames_path(frames: Sequence[int]) -> str:
    if not frames:
        raise InvalidParameter("at least one frame must be named")
    return "/frames/" + ",".join(str(check_int("a frame's number", frame, 1)) for frame in frames)


async def _as_many(parts: AsyncIterator[Part], count: int) -> AsyncGenerator[Part]:
    given = 0
    async for part in parts:
        given += 1
        if given > count:
            break
        yield part
    if given != count:
        raise InvalidResponse("retrieve frames: the answer has another number of frames than asked for")


async def _first(parts: AsyncIterator[Part], transaction: str) -> Part:
    async for part in parts:
        return part
    raise InvalidResponse(f"{transaction}: the answer has no part")
