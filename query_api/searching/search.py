"""QIDO-RS: the caller's search, from its query to the answer (PS3.18 §10.6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from starlette.responses import Response

from query_api.lookup import Endpoint, Lookup
from shared.accept import media_ranges
from shared.dicomweb import media_types
from shared.dicomweb.search import Kind, Row

from .attributes import Scope
from .extended import ExtendedAttributes
from .filling import fill, lacking
from .finding import Found, find
from .parameters import Parameters, other_tags, pairs_of, read_query
from .plain import plain
from .planning import Plan, plan_of
from .results import headers_of, is_plain, next_query, response_of
from .rows import Rows

_extended: Final = ExtendedAttributes()


def search(kind: Kind) -> Endpoint:
    """Return what answers a search for studies, series or instances."""

    async def answer(lookup: Lookup) -> Response:
        return await _Searching(lookup, Scope(kind, lookup.resource)).answer()

    return answer


class _Searching:
    def __init__(self, lookup: Lookup, scope: Scope) -> None:
        self._lookup = lookup
        self._scope = scope
        self._query: bytes = lookup.http.scope["query_string"]
        self._rows = Rows(scope, lookup.address)
        self._is_plain = False

    async def answer(self) -> Response:
        parameters = await self._read()
        accepted = media_ranges(self._lookup.http.headers.getlist("accept"))
        self._is_plain = is_plain(accepted, asked=parameters.is_plain)
        self._lookup.is_strict_by_default = self._is_plain
        plan = plan_of(parameters, self._scope, self._lookup.settings.max_results, self._lookup.adapt)
        plan = plan.strictly() if self._lookup.is_strict else plan
        found = await find(self._lookup.dicom, plan, self._rows, self._lookup.settings.wildcard_scan_limit)
        try:
            return self._response(plan, await self._filled(plan, found))
        except BaseException:
            await found.aclose()
            raise

    async def _read(self) -> Parameters:
        is_usual = not other_tags(pairs_of(self._query))
        extended = {} if is_usual else await _extended.of(self._lookup.service)
        return read_query(self._query, self._scope, extended)

    async def _filled(self, plan: Plan, found: Found) -> Found:
        """Return what was found, all of it at once where something has to be filled in."""
        if not lacking(plan, found.first):
            return found
        filled = await fill(self._lookup.dicom, plan, self._rows, await found.all(), self._lookup.adapt)
        return replace(found, first=filled, rest=None)

    def _response(self, plan: Plan, found: Found) -> Response:
        media_type = media_types.JSON if self._is_plain else media_types.DICOM_JSON
        next_url = self._next_url(plan) if found.has_more else None
        return response_of(found, self._lookup, self._told, media_type, headers_of(self._lookup, found, next_url))

    def _next_url(self, plan: Plan) -> str:
        path = self._scope.parent.search_path(self._scope.kind)
        return f"{self._lookup.address}{path}?{next_query(self._query, plan.offset + plan.limit)}"

    def _told(self, rows: list[Row]) -> Iterable[Mapping[str, Any]]:
        linked = self._rows.linked(rows)
        return map(plain, linked) if self._is_plain else linked
