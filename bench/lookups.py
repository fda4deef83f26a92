"""Lookups through the whole app, beside the same ones asked of the DICOM service itself.

The app runs under the local functions host, before the stand-in of the DICOM service, each a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import struct
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import aiohttp

from local.soak.plan import small_instance
from local.stack import Stack

INSTANCES = 16
PIXELS_BYTES = 512 * 1024
AT_ONCE = (1, 8)
ROUNDS = 5
_LENGTH_AND_PIXELS = 4 + 64  # the end of a small instance

JSON = "application/dicom+json"
FILE = "application/dicom; transfer-syntax=*"
FILES = 'multipart/related; type="application/dicom"; transfer-syntax=*'
OCTETS = "application/octet-stream; transfer-syntax=*"


@dataclass(frozen=True)
class Lookup:
    """What is asked for, in the form in which the service has it, too."""

    name: str
    path: str
    accept: str


@dataclass(frozen=True)
class Place:
    """Where it is asked for.

    Args:
        url: its base address.
        headers: that open it.
    """

    url: str
    headers: dict[str, str]


def instance(number: int) -> bytes:
    """Return a file with half a MiB of pixels."""
    return small_instance(number)[0][:-_LENGTH_AND_PIXELS] + struct.pack("<L", PIXELS_BYTES) + bytes(PIXELS_BYTES)


async def store(http: aiohttp.ClientSession, service: Place) -> list[str]:
    """Store the instances of a study; return the UIDs of the study, the series and the first instance."""
    headers = {**service.headers, "Accept": JSON, "Content-Type": "application/dicom"}
    for number in range(INSTANCES):
        async with http.post(f"{service.url}/studies", data=instance(number), headers=headers) as stored:
            assert stored.status in (200, 409), stored.status
    async with http.get(f"{service.url}/instances?includefield=0020000D,0020000E", headers=headers) as found:
        row = (await found.json(content_type=None))[0]
        return [row[tag]["Value"][0] for tag in ("0020000D", "0020000E", "00080018")]


async def rate(http: aiohttp.ClientSession, place: Place, lookup: Lookup, at_once: int, seconds: float) -> float:
    """Return the lookups a second, so many at once."""
    until, count = time.perf_counter() + seconds, 0

    async def one_after_the_other() -> None:
        nonlocal count
        while time.perf_counter() < until:
            headers = {**place.headers, "Accept": lookup.accept}
            async with http.get(place.url + lookup.path, headers=headers) as response:
                assert response.status == 200, response.status
                async for _ in response.content.iter_any():
                    pass
            count += 1

    started = time.perf_counter()
    await asyncio.gather(*[one_after_the_other() for _ in range(at_once)])
    return count / (time.perf_counter() - started)


async def main(stack: Stack, seconds: float) -> None:
    """Print the table: the medians of the rounds, service and app in turns."""
    service = Place(stack.dicom_url, {"Authorization": f"Bearer {stack.token()}"})
    app = Place(stack.app_url, {"x-functions-key": stack.function_key})
    print("| lookup | at once | at the service, 1/s | through the app, 1/s | times as long |\n|---|---|---|---|---|")
    async with aiohttp.ClientSession() as http:
        study, series, sop = await store(http, service)
        path = f"/studies/{study}/series/{series}/instances/{sop}"
        lookups = (
            Lookup("a study by its UID", f"/studies?StudyInstanceUID={study}", JSON),
            Lookup("the instances of a study", f"/studies/{study}/instances", JSON),
            Lookup("metadata of a study", f"/studies/{study}/metadata", JSON),
            Lookup("a frame of 512 KiB", f"{path}/frames/1", OCTETS),
            Lookup("an instance of 512 KiB", path, FILE),
            Lookup(f"a study of {INSTANCES // 2} MiB", f"/studies/{study}", FILES),
        )
        for lookup in lookups:
            for at_once in AT_ONCE:
                there, here = [], []
                for _ in range(ROUNDS):
                    there.append(await rate(http, service, lookup, at_once, seconds))
                    here.append(await rate(http, app, lookup, at_once, seconds))
                _print_row(lookup.name, at_once, median(there), median(here))


def _print_row(name: str, at_once: int, there: float, here: float) -> None:
    print(f"| {name} | {at_once} | {there:.0f} | {here:.0f} | {there / here:.1f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a round")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder), auth=True) as stack:
        asyncio.run(main(stack, options.seconds))
