"""The change feed as tests read it: the whole service's, of which each looks for what it did itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from tests.contract.differences import expect
from tests.contract.service import Service
from tests.dicom_samples import Sample

PAGE = 200
MOST_PAGES = 10  # a busy service is not read to its end
CLOCK_SKEW = timedelta(minutes=5)


class Feed:
    """The change feed since now."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.start = (datetime.now(UTC) - CLOCK_SKEW).isoformat()

    def read(self, **parameters: str | int) -> list[dict[str, Any]]:
        """Return one page; keys and the values of state and action are made lower case."""
        query = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in parameters.items())
        response = expect(self.service.get(f"{self.service.version_url}/changefeed?{query}"), 200)
        return [{key.lower(): value for key, value in entry.items()} for entry in response.json()]

    def entries(self, *samples: Sample) -> list[dict[str, Any]]:
        """Return the entries of some studies, in the order of the feed."""
        found, wanted = list[dict[str, Any]](), {sample.study for sample in samples}
        for page in range(MOST_PAGES):
            entries = self.read(startTime=self.start, limit=PAGE, offset=page * PAGE)
            found += [entry for entry in entries if entry["studyinstanceuid"] in wanted]
            if not entries:
                break
        return found


def story(entries: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return action and state of each entry, in lower case."""
    return [(entry["action"].lower(), entry["state"].lower()) for entry in entries]
