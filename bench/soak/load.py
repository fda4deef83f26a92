"""What goes on in a soak, all at once: files are dropped, lookups of all kinds, nights of retention, faults.

The archive holds the newest studies alone: a night reads the studies of a patient, and has them in memory, so that what
it takes grows with the archive. Once that is as large as it gets, nothing of the app has a reason to grow.

While the app warms up, everything comes twice as often: what it has taken at its busiest a process keeps, so that the
rest of the time it needs no more, unless something leaks.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from random import Random

import aiohttp
import httpx
from azure.storage.blob import BlobServiceClient
from azure.storage.blob.aio import ContainerClient

from bench.retention.policy import ALL_IS_DUE
from local.soak.disturbing import Disturber
from local.soak.plan import INSTANCES_PER_STUDY, small_instance, uids_of
from local.stack import Stack
from local.tokens import Bearer
from shared.settings import DEFAULT_INBOX, RETENTION_POLICY

SETTINGS = {
    "AFTER_STORE": "delete",
    "PURGE_MODE": "report",
    "FEED_LAG_SECONDS": "0",
    # asyncio takes 256 KiB for each read of a socket. From glibc's heap, which they splinter, they cost some MiB in an
    # hour; pages of their own (mallopt(3), M_MMAP_THRESHOLD) are given back, and what grows then is the app's.
    "MALLOC_MMAP_THRESHOLD_": str(128 * 1024),
}
STUDIES_HELD = 60
_DROPS_EVERY_SECONDS = 0.5
_LOOKUPS_AT_ONCE = 4
_HASTE = 2  # of all of it, while the app warms up
_PAUSE_SECONDS = 0.1
_HUNG_UP_SHARE = 0.2
_FAULTS_EVERY_SECONDS = 20.0
_DELETIONS_EVERY_SECONDS = 5.0
_NIGHTS_EVERY_SECONDS = 20.0
_ANSWER_SECONDS = 60.0
_FILE, _FILES = "application/dicom; transfer-syntax=*", 'multipart/related; type="application/dicom"; transfer-syntax=*'
_FRAME = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
# Path → what is asked for. {study} and the like are those of a file that was dropped.
_LOOKUPS = (
    ("/studies?limit=1", "application/dicom+json"),
    ("/studies?limit=200&PatientID=ID1", "application/dicom+json"),
    ("/studies?StudyInstanceUID={study}", "application/dicom+json"),
    ("/studies/{study}/instances?includefield=all", "application/dicom+json"),
    ("/studies/{study}/metadata", "application/dicom+json"),
    ("/studies/{study}", _FILES),
    ("/studies/{study}/series/{series}/instances/{instance}", _FILE),
    ("/studies/{study}/series/{series}/instances/{instance}/frames/1", _FRAME),
    ("/studies/{study}/series/{series}/instances/{instance}/rendered", "image/png"),
    ("/studies?StudyDate=nonsense", "application/dicom+json"),
    ("/studies/1.2.3/metadata", "application/dicom+json"),
    ("/health/ready", "application/json"),
)


class Load:
    """Does it, until it is cancelled.

    Args:
        stack: that runs, with `SETTINGS`.
        random: decides what is asked for, what is hung up, what fails.
        warm_up_seconds: how long the app warms up.
    """

    def __init__(self, stack: Stack, random: Random, warm_up_seconds: float) -> None:
        self.counts: Counter[str] = Counter()
        self._stack = stack
        self._random = random
        self._warm_at = time.monotonic() + warm_up_seconds
        self._dropped = 0
        self._deleted_studies = 0
        write_policy(stack)

    async def run(self) -> None:
        """Do all of it at once; returns only by an exception, such as when it is cancelled."""
        async with asyncio.TaskGroup() as group:
            for work in (self._drop, self._delete, self._look_up, self._spend_nights, self._fail):
                group.create_task(work())

    async def _drop(self) -> None:
        connection = self._stack.connection_string
        async with ContainerClient.from_connection_string(connection, DEFAULT_INBOX) as inbox:
            for number in itertools.count():
                content = self._content(number)
                await inbox.upload_blob(f"{number // 1000}/{number:08}.dcm", content, overwrite=True)
                self._dropped = number + 1
                self.counts["files dropped"] += 1
                await asyncio.sleep(self._pause(_DROPS_EVERY_SECONDS))

    def _content(self, number: int) -> bytes:
        """Return an instance: most are new, one in ten is an earlier one again, one in twenty is no DICOM."""
        if number % 20 == 19:
            return f"letter {number}".encode()
        content, _ = small_instance(number - 7 if number % 10 == 8 else number)
        return content

    async def _delete(self) -> None:
        """Delete the oldest studies, as if others did: the app learns of it by the change feed."""
        async with httpx.AsyncClient(base_url=self._stack.dicom_url, trust_env=False) as service:
            await self._again_and_again(lambda: self._delete_oldest(service), _DELETIONS_EVERY_SECONDS)

    async def _delete_oldest(self, service: httpx.AsyncClient) -> None:
        while self._deleted_studies < self._dropped // INSTANCES_PER_STUDY - STUDIES_HELD:
            study, _, _ = uids_of(self._deleted_studies * INSTANCES_PER_STUDY)
            try:
                answer = await service.delete(f"/studies/{study}", auth=Bearer(self._stack.token()))
            except httpx.HTTPError:
                return  # a fault cut it: the next time
            if answer.status_code not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND):
                return
            self._deleted_studies += 1
            self.counts["studies deleted"] += answer.status_code == HTTPStatus.NO_CONTENT

    async def _look_up(self) -> None:
        timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
        headers = {"x-functions-key": self._stack.function_key}
        async with aiohttp.ClientSession(timeout=timeout, headers=headers) as http, asyncio.TaskGroup() as group:
            for number in range(_HASTE * _LOOKUPS_AT_ONCE):
                until = math.inf if number < _LOOKUPS_AT_ONCE else self._warm_at
                group.create_task(self._again_and_again(lambda: self._look_up_once(http), _PAUSE_SECONDS, until))

    async def _look_up_once(self, http: aiohttp.ClientSession) -> None:
        path, accept = self._random.choice(_LOOKUPS)
        url = self._stack.app_url + path.format(**self._uids())
        is_hung_up = self._random.random() < _HUNG_UP_SHARE
        try:
            async with http.get(url, headers={"Accept": accept}) as response:
                async for _ in response.content.iter_any():
                    if is_hung_up:
                        response.close()
                        break
            self.counts["lookups hung up" if is_hung_up else f"lookups, {response.status // 100}xx"] += 1
        except (aiohttp.ClientError, TimeoutError):  # a fault of the service cuts an answer that has begun
            self.counts["lookups cut"] += 1

    def _uids(self) -> dict[str, str]:
        """Return those of a file that was dropped, and not deleted since."""
        oldest = self._deleted_studies * INSTANCES_PER_STUDY
        uids = uids_of(self._random.randrange(oldest, max(1, self._dropped)))
        return dict(zip(("study", "series", "instance"), uids, strict=True))

    async def _spend_nights(self) -> None:
        async def night() -> None:
            await asyncio.to_thread(self._stack.fire, "purge_study")
            self.counts["nights"] += 1

        await self._again_and_again(night, _NIGHTS_EVERY_SECONDS)

    async def _fail(self) -> None:
        disturber = Disturber(self._stack, self._random)

        async def fail() -> None:
            await asyncio.to_thread(disturber.fail)
            self.counts["faults"] += 1

        try:
            await self._again_and_again(fail, _FAULTS_EVERY_SECONDS)
        finally:
            disturber.close()

    async def _again_and_again(
        self, do: Callable[[], Awaitable[None]], pause_seconds: float, until: float = math.inf
    ) -> None:
        while (started := time.monotonic()) < until:
            await do()
            pause = self._pause(pause_seconds)
            await asyncio.sleep(max(pause - (time.monotonic() - started), pause / 10))

    def _pause(self, seconds: float) -> float:
        return seconds / _HASTE if time.monotonic() < self._warm_at else seconds


def write_policy(stack: Stack) -> None:
    """Put a policy by which all that is dropped is due."""
    with BlobServiceClient.from_connection_string(stack.connection_string) as storage:
        storage.get_blob_client(RETENTION_POLICY, "policy.toml").upload_blob(ALL_IS_DUE.encode(), overwrite=True)
