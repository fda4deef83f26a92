"""WADO-RS: the caller's retrieval as a request to the service (PS3.18 §10.4)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from itertools import groupby

from starlette.responses import Response

from query_api.lookup import Lookup
from shared.dicomweb import NotAcceptable, Query, Request
from shared.dicomweb.media_types import media_type_of

from .etags import IfNoneMatch
from .negotiating import Form, Kind, negotiate, not_acceptable
from .opening import check_kind, open_content, open_parts, transaction_of
from .options import accepted, frame_numbers, retrieval_options
from .passing import Passed, not_modified, pass_json, pass_parts


async def instances(lookup: Lookup) -> Response:
    """Answer with all instances of a study or a series, or with one, as they are stored unless asked for otherwise.

    One comes as a plain file, several in multipart.
    """
    resource = lookup.resource
    kind: Kind = "instance" if resource.level == "instance" else "instances"
    forms = negotiate(kind, accepted(lookup, retrieval_options(lookup)))
    if any(form.is_of_one for form in forms) and not await _is_of_one(lookup):
        forms = [form for form in forms if not form.is_of_one]
    return await _retrieve_parts(lookup, kind, resource.path, forms)


async def frames(lookup: Lookup) -> Response:
    """Answer with frames of an instance, as multipart unless asked for otherwise (PS3.18 §8.7.3.3)."""
    numbers = frame_numbers(lookup)
    kind: Kind = "frames" if "," in numbers else "frame"
    forms = negotiate(kind, accepted(lookup, retrieval_options(lookup)))
    return await _retrieve_parts(lookup, kind, f"{lookup.resource.path}/frames/{numbers}", forms)


async def metadata(lookup: Lookup) -> Response:
    """Answer with the attributes of a study's, a series' or an instance's instances."""
    path = f"{lookup.resource.path}/metadata"
    form = negotiate("metadata", accepted(lookup, retrieval_options(lookup)))[0]
    known = IfNoneMatch.of(lookup.http.headers.getlist("if-none-match"))
    request = Request(
        transaction_of(lookup),
        "GET",
        path,
        accept=form.accept,
        headers=known.for_service,
        statuses=frozenset({200, 304}) if known.for_service else frozenset({200}),
    )
    async with AsyncExitStack() as upstream:
        answer = await upstream.enter_async_context(lookup.dicom.send(request))
        if answer.status_code == 304:
            return not_modified(lookup, known.tags[0])
        if known.has(answer.headers.get("etag")):
            return not_modified(lookup, answer.headers.get("etag"))
        response = pass_json(upstream, lookup, await open_content(upstream, answer, request.transaction), form)
    return response  # noqa: RET504  (inside, mypy would miss a return: the stack may swallow exceptions)


async def _is_of_one(lookup: Lookup) -> bool:
    """Say whether the study or series has no second instance."""
    resource = lookup.resource
    found = await lookup.dicom.search_for_instances(
        Query(limit=2),
        study_instance_uid=resource.study_instance_uid,
        series_instance_uid=resource.series_instance_uid,
    )
    return len(found) < 2


async def _retrieve_parts(lookup: Lookup, kind: Kind, path: str, forms: Sequence[Form]) -> Response:
    """Try one form after the other; those that the service is asked alike for share its answer."""
    for accept, alike in groupby(forms, key=lambda form: form.accept):
        try:
            if (response := await _in_one_of(lookup, path, accept, list(alike))) is not None:
                return response
        except NotAcceptable:
            continue
    raise not_acceptable(kind)


async def _in_one_of(lookup: Lookup, path: str, accept: str, forms: Sequence[Form]) -> Passed | None:
    request = Request(transaction_of(lookup), "GET", path, accept=accept)
    async with AsyncExitStack() as upstream:
        answer = await upstream.enter_async_context(lookup.dicom.send(request))
        opened = await open_parts(upstream, answer, request.transaction)
        check_kind(opened, media_type_of(accept)[1]["type"])
        form = next((form for form in forms if form.fits(opened.transfer_syntax)), None)
        response = pass_parts(upstream, lookup, opened, form) if form else None
    return response  # noqa: RET504
