"""A soak from its start to its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueClient

from local.soak.account import Account, pending, settle
from local.soak.disturbing import Disturber
from local.soak.dropping import Dropped, drop_all
from local.soak.plan import SOURCES, plan
from local.stack import Stack, without_trigger
from shared.queues import ARRIVALS

# So that no file is too young for the sweep; later, so that no file is waited for.
_FILES_ARE_OLD_SECONDS = 3600.0
_ALL_IS_DUE_SECONDS = 48 * 3600.0
_POLL_SECONDS = 0.1
_LOCK_SECONDS = 3.0
_LOOK_EVERY_SECONDS = 1.0
# While files are dropped; the rest has no faults, only the last kill.
_SHARE_IN_TROUBLE = 0.8
# To the sweep every file looks forgotten: each time, all that only wait for their turn come once more.
_SWEEP_EVERY_SECONDS = 60.0
_LAST_SWEEPS_EVERY_SECONDS = 10.0

Say = Callable[[str], None]


def soak(folder: Path, *, count: int, kills: int, faults: int, calm_seconds: float, seed: int, say: Say) -> Account:
    """Drop files, let much go wrong, wait until all have their verdicts, and account for each.

    Args:
        folder: where data and logs go.
        count: of the files.
        kills: how often the app is killed, spread over the files.
        faults: of the service at most; then what still waits is brought to its end without any more.
        calm_seconds: between two faults of the service, twice as long at most.
        seed: of all chance but that of the processes themselves.
        say: receives a line of progress.

    Raises:
        PartFailed: a process of the stack ended by itself.
    """
    random = Random(seed)  # noqa: S311 - no secret
    folder.mkdir(parents=True, exist_ok=True)
    with Stack(
        folder,
        auth=True,
        poll_seconds=_POLL_SECONDS,
        lock_seconds=_LOCK_SECONDS,
        clock_ahead_seconds=_FILES_ARE_OLD_SECONDS,
        settings=without_trigger(folder, SOURCES),
    ) as stack:
        return _Soak(stack, random, say).run(count, kills, faults, calm_seconds)


class _Soak:
    def __init__(self, stack: Stack, random: Random, say: Say) -> None:
        self._stack = stack
        self._random = random
        self._say = say
        self._storage = BlobServiceClient.from_connection_string(stack.connection_string)
        self._dropped: list[Dropped] = []
        self._swept_at = time.monotonic()

    def run(self, count: int, kills: int, faults: int, calm_seconds: float) -> Account:
        drops = plan(count, self._random)
        with QueueClient.from_connection_string(self._stack.connection_string, ARRIVALS) as queue:
            _create(queue)
        events = Random(self._random.random())  # noqa: S311 - no secret
        producer = threading.Thread(target=drop_all, args=(self._stack, drops, events, self._dropped), daemon=True)
        producer.start()
        with self._storage:
            self._disturb(count, kills, faults, calm_seconds)
            producer.join()
            self._wait_for_all()
        self._say("Comparing what was dropped with receipts, containers and the DICOM service ...")
        return settle(self._stack, self._dropped)

    def _disturb(self, count: int, kills: int, faults: int, calm_seconds: float) -> None:
        """Go on until most files have their verdicts, or enough has gone wrong: an outage would never end."""
        disturber = Disturber(self._stack, self._random)
        done, wanted = 0, count * _SHARE_IN_TROUBLE
        while done < wanted and disturber.faults < faults:
            disturber.fail()
            time.sleep(self._random.uniform(0, 2 * calm_seconds))
            self._sweep(_SWEEP_EVERY_SECONDS)
            done = len(self._dropped) - pending(self._storage, self._dropped)
            if done > disturber.kills * wanted / kills:
                disturber.kill()
            self._say(f"{len(self._dropped)} dropped, {done} done, {disturber.faults} faults, {disturber.kills} kills")
        disturber.close()

    def _wait_for_all(self) -> None:
        """Have the sweep bring back what waits, and what no event told of."""
        self._stack.restart_app(clock_ahead_seconds=_ALL_IS_DUE_SECONDS)
        self._swept_at = 0
        while left := pending(self._storage, self._dropped):
            self._say(f"{left} of {len(self._dropped)} files wait")
            self._sweep(_LAST_SWEEPS_EVERY_SECONDS)
            time.sleep(_LOOK_EVERY_SECONDS)

    def _sweep(self, every_seconds: float) -> None:
        if time.monotonic() - self._swept_at < every_seconds:
            return
        self._swept_at = time.monotonic()
        self._stack.fire("sweep_inbox")


def _create(queue: QueueClient) -> None:
    try:
        queue.create_queue()
    except ResourceExistsError:
        return
