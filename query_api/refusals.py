"""What lookups refuse or fail at by themselves, each with a stable code; `docs/query-api.md` has the remedies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from shared.auditing.auditor import NOT_RECORDED
from shared.problems import Refused

# Code → status, what it means. What the service answers is in `shared.problems`.
REFUSALS: Final[Mapping[str, tuple[int, str]]] = {
    "too-broad": (400, "More results of the DICOM service would have to be looked through than is done for a search."),
    "not-adapted": (400, "It cannot be answered as it stands, and was not to be answered in another way."),
    "not-signed-in": (401, "The platform vouches for no one who asks this."),
    "not-your-partition": (403, "Whoever asks this may not see this partition."),
    "no-picture": (404, "There is nothing here that a picture could show."),
    "unknown-path": (404, "There is nothing at this path."),
    "method-not-allowed": (405, "Lookups are asked for by GET or HEAD; nothing here can write or delete."),
    # The service's own 406 has the same code.
    "not-acceptable": (406, "It cannot be had in any form that is accepted."),
    "uri-too-long": (414, "The path and the query are longer than can be passed on."),
    "too-many-lookups": (503, "The app answers as many lookups as it can at a time; try again."),
    "not-recorded": NOT_RECORDED,
    "too-slow": (504, "The DICOM service did not answer in time."),
}
_RETRY_AFTER_SECONDS = 2


def refused(
    code: str, *, members: Mapping[str, object] | None = None, headers: Mapping[str, str] | None = None
) -> Refused:
    """Return the exception that stands for a refusal of the table.

    Args:
        code: of the table.
        members: what else the body has: `detail`, for what is the caller's to mend; never a value.
        headers: what else the answer has.
    """
    status, title = REFUSALS[code]
    retry_after_seconds = _RETRY_AFTER_SECONDS if status == 503 else None
    return Refused(status, code, title, retry_after_seconds, members=members, headers=headers)
