"""Searches with dicomweb-client, page after page until there are enough results."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import time
from typing import Any

from dicomweb_client.api import DICOMwebClient

from bench.programs import take_turns


async def main(url: str, headers: dict[str, str]) -> None:
    """Search in rounds."""
    logging.getLogger("dicomweb_client").setLevel(logging.ERROR)  # it warns that there is more on each page
    client = DICOMwebClient(url, headers=headers)

    async def measure(results: int, page: int, times: int) -> float:
        """Return the seconds that a search takes."""
        started = time.perf_counter()
        for _ in range(times):
            found: list[dict[str, Any]] = []
            while len(found) < results and (rows := client.search_for_studies(limit=page, offset=len(found))):
                found += rows
            uids = {row["0020000D"]["Value"][0] for row in found}
            if not len(found) == len(uids) == results:
                raise RuntimeError(f"{len(found)} results, {len(uids)} of them different, in place of {results}")
        return (time.perf_counter() - started) / times

    await take_turns(measure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True, help="of the DICOM service, with the version, or of the app")
    parser.add_argument("--headers", type=json.loads, default={}, help="of each request, in JSON")
    options = parser.parse_args()
    asyncio.run(main(options.url, options.headers))
