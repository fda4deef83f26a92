"""A lookup as an access, for the access record."""

from __future__ import annotations

import re
from collections.abc import Iterator

from shared.auditing.record import Access
from shared.dicomweb.checks import is_uid

from .lookup import Lookup
from .searching.values import listed

# What a search takes as a study's UID; whatever else is asked for is not written down.
_UID = re.compile(r"[0-9.]{1,64}", re.ASCII)
_STUDY_FILTERS = frozenset({"studyinstanceuid", "0020000d"})


def access_of(lookup: Lookup) -> Access:
    """Return what is recorded of a lookup."""
    route = lookup.route
    return Access(
        lookup.request_id,
        lookup.caller,
        route.transaction,
        route.resource,
        lookup.partition,
        tuple(_studies_of(lookup)),
    )


def _studies_of(lookup: Lookup) -> Iterator[str]:
    """Yield the UIDs of the studies that are asked for, as filters or in the path."""
    named = [value for name, value in lookup.http.query_params.multi_items() if name.lower() in _STUDY_FILTERS]
    yield from (uid for value in named for uid in listed("UI", value) if _UID.fullmatch(uid))
    if is_uid(study := lookup.http.path_params.get("study", "")):
        yield study
