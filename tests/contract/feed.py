"""The change feed as tests read it: the whole service's, of which each looks for what it did itself."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from tests.contract.differences import expect
from tests.contract.service import Service
from tests.kit.files import Sample

PAGE = 200
MOST_PAGES = 10  # a busy service is not read to its end


class Feed:
    """The change feed since now, by the service's own clock: from its latest entry on."""

    def __init__(self, service: Service) -> None:
        self.service = service
        latest = expect(service.get(f"{service.version_url}/changefeed/latest?includeMetadata=false"), 200, 204)
        self._window = {"startTime": _lowered(latest.json())["timestamp"]} if latest.status_code == 200 else {}

    def read(self, **parameters: str | int) -> list[dict[str, Any]]:
        """Return one page; keys and the values of state and action are made lower case."""
        query = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in parameters.items())
        response = expect(self.service.get(f"{self.service.version_url}/changefeed?{query}"), 200)
        return [_lowered(entry) for entry in response.json()]

    def entries(self, *samples: Sample) -> list[dict[str, Any]]:
        """Return the entries of some studies, in the order of the feed; skip the test where others fill the feed."""
        found, wanted = list[dict[str, Any]](), {sample.study for sample in samples}
        for page in range(MOST_PAGES):
            entries = self.read(**self._window, limit=PAGE, offset=page * PAGE)
            if not entries:
                return found
            found += [entry for entry in entries if entry["studyinstanceuid"] in wanted]
        pytest.skip(f"the change feed is too busy: more than {PAGE * MOST_PAGES} entries since the test began")


def _lowered(entry: dict[str, Any]) -> dict[str, Any]:
    return {key.lower(): value for key, value in entry.items()}


def story(entries: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return action and state of each entry, in lower case."""
    return [(entry["action"].lower(), entry["state"].lower()) for entry in entries]
