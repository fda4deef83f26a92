"""Pictures that the service draws (PS3.18 §10.4.1.1.3): of an instance or a frame."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass

from starlette.responses import Response

from query_api.lookup import Lookup
from shared.dicomweb import InvalidParameter, Request

from .negotiating import Form, negotiate
from .opening import open_content, transaction_of
from .options import accepted, frame_numbers, picture_options
from .passing import pass_picture


@dataclass(frozen=True)
class Wanted:
    """What a picture is to be like.

    Args:
        form: of the answer.
        query: for the service.
    """

    form: Form
    query: str


async def rendered(lookup: Lookup) -> Response:
    """Answer with a picture of an instance's first frame, or of the one frame that the path names."""
    path = lookup.resource.path
    if "frames" in lookup.http.path_params:
        path += f"/frames/{_one_frame(lookup)}"
    return await draw(lookup, path, wanted(lookup))


def wanted(lookup: Lookup) -> Wanted:
    """Return what the caller wants a picture to be like.

    Raises:
        InvalidParameter, Refused: it cannot be had so.
    """
    options = picture_options(lookup)
    form = negotiate("picture", accepted(lookup, options))[0]
    return Wanted(form, f"quality={options['quality']}" if "quality" in options else "")


async def draw(lookup: Lookup, path: str, picture: Wanted) -> Response:
    """Answer with a picture.

    Args:
        lookup: the caller's.
        path: of an instance or a frame.
        picture: what it is to be like.

    Raises:
        NotFound: there is nothing there, or nothing to draw.
        NotAcceptable: the service cannot draw it.
    """
    request = Request(
        transaction_of(lookup), "GET", f"{path}/rendered", accept=picture.form.accept, query=picture.query
    )
    async with AsyncExitStack() as upstream:
        answer = await upstream.enter_async_context(lookup.dicom.send(request))
        opened = await open_content(upstream, answer, request.transaction)
        response = pass_picture(upstream, lookup, opened, picture.form)
    return response  # noqa: RET504  (inside, mypy would miss a return: the stack may swallow exceptions)


def _one_frame(lookup: Lookup) -> str:
    number = frame_numbers(lookup)
    if "," in number:
        raise InvalidParameter("frames must be a single one here: a picture shows one frame")
    return number
