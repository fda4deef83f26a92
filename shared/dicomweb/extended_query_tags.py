"""Extended query tags of the Azure service: attributes that can be searched for beyond the usual ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from . import media_types
from .answers import fields_of, items_of
from .body import Body
from .errors import InvalidParameter
from .messages import Request
from .operations import started_operation
from .query import ATTRIBUTE, MAX_LIMIT
from .session import Session

TagLevel = Literal["Study", "Series", "Instance"]


@dataclass(frozen=True)
class ExtendedQueryTag:
    """One of them.

    Args:
        path: eight hexadecimal digits; to name a tag, its keyword will do.
        level: of what the attribute is searched for.
        vr: needed for private tags.
        private_creator: of a private tag.
        status: of the index: `adding`, `ready` or `deleting`; None in what is to be added.
        query_status: `disabled` once a stored value could not be indexed: searches for it are refused then.
        error_count: how many values these are.
        operation_id: of the reindexing that is under way.
    """

    path: str
    level: TagLevel
    vr: str | None = None
    private_creator: str | None = None
    status: str | None = None
    query_status: str | None = None
    error_count: int = 0
    operation_id: str | None = None


class ExtendedQueryTags:
    """Adds, lists and deletes them; every method raises `DICOMwebError`, see `errors`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, *tags: ExtendedQueryTag) -> str:
        """Have tags indexed from now on, and what is stored reindexed.

        Returns:
            The id of the operation that reindexes, for `Operations.wait`.

        Raises:
            Conflict: one of them is there already, or another reindexing is under way.
            StatusError: 400, one of them cannot be indexed.
        """
        if not tags:
            raise InvalidParameter("at least one tag must be named")
        content = json.dumps([_to_json(tag) for tag in tags]).encode()
        request = Request(
            "add extended query tags",
            "POST",
            "/extendedquerytags",
            accept=media_types.JSON,
            headers={"Content-Type": media_types.JSON},
            body=Body.from_bytes(content),
            statuses=frozenset({202}),
        )
        return await self._session.fetch_json(request, started_operation)

    async def list(self) -> Sequence[ExtendedQueryTag]:
        """Return all that there are: the service takes 128 at most, which is less than a page.

        Raises:
            DICOMwebError: see `errors`.
        """
        query = f"limit={MAX_LIMIT}"
        request = Request("list extended query tags", "GET", "/extendedquerytags", media_types.JSON, query=query)
        return await self._session.fetch_json(request, lambda decoded: [_tag(item) for item in items_of(decoded)])

    async def get(self, path: str) -> ExtendedQueryTag:
        """Return one of them.

        Raises:
            NotFound: it is none of them.
        """
        request = Request("get extended query tag", "GET", _resource(path), media_types.JSON)
        return await self._session.fetch_json(request, _tag)

    async def delete(self, path: str) -> None:
        """Give one of them up, with its index.

        Raises:
            NotFound: it is none of them.
        """
        statuses = frozenset({202, 204})
        request = Request("delete extended query tag", "DELETE", _resource(path), media_types.JSON, statuses=statuses)
        await self._session.fetch_nothing(request)


def _resource(path: str) -> str:
    if not ATTRIBUTE.fullmatch(path):
        raise InvalidParameter("a tag is named by its keyword or by eight hexadecimal digits")
    return f"/extendedquerytags/{path}"


def _to_json(tag: ExtendedQueryTag) -> dict[str, str]:
    _resource(tag.path)
    if tag.level not in get_args(TagLevel):
        raise InvalidParameter("level must be Study, Series or Instance")
    given = {"path": tag.path, "vr": tag.vr, "privateCreator": tag.private_creator, "level": tag.level}
    return {name: value for name, value in given.items() if value is not None}


def _tag(item: Any) -> ExtendedQueryTag:
    fields = fields_of(item)
    errors = fields_of(fields.get("errors") or {})
    operation = fields_of(fields.get("operation") or {})
    level: TagLevel = fields["level"].capitalize()
    return ExtendedQueryTag(
        path=fields["path"],
        level=level,
        vr=fields.get("vr"),
        private_creator=fields.get("privatecreator"),
        status=_lower(fields.get("status")),
        query_status=_lower(fields.get("querystatus")),
        error_count=int(errors.get("count", 0)),
        operation_id=operation.get("id"),
    )


def _lower(text: str | None) -> str | None:
    return None if text is None else text.lower()
