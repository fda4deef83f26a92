"""What is done in another way than a search asks for, by code; pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from query_api.lookup import Adaptation

# Code → what the caller is told; `{}` stands for names of attributes.
ADAPTATIONS: Final[Mapping[str, str]] = {
    "list-split": "{} has several values: each is searched for by itself, and the results are merged",
    "star-dropped": "{} is * alone, which all results match: it is left out",
    "wildcard-by-fuzzymatching": "{} has wildcards: names are found by fuzzymatching and then matched by the app; what "
    "was stored a moment ago may be missing",
    "wildcard-by-scan": "{} has wildcards: the app matches the results of the search without it",
    "includefield-dropped": "includefield: {} cannot be had and is left out",
    "includefield-modality": "includefield: Modality is of series; ModalitiesInStudy is given instead",
    "limit-capped": "limit is too large: so many results are not given at a time",
    "filled-in": "{} is not given by the DICOM service: found by searching for it",
    "not-filled-in": "{} is not given by the DICOM service, and there are too many results to search for it",
}

Adapt = Callable[[Adaptation], None]

_MAX_NAMES: Final = 20  # in one text: headers have their limits


def adaptation(code: str, *names: str) -> Adaptation:
    """Return an adaptation of the table.

    Args:
        code: of the table.
        names: of attributes, or what stands for one.
    """
    told = list(dict.fromkeys(names))
    more = [f"{len(told) - _MAX_NAMES} more"] if len(told) > _MAX_NAMES else []
    return Adaptation(code, ADAPTATIONS[code].format(", ".join(told[:_MAX_NAMES] + more)))
