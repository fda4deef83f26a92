"""REPLACE_STUCK=true, over real storage and a real stand-in: remains of a store that died give way after an hour."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from local import tokens
from local.tokens import Bearer
from shared import clock
from shared.arrivals import Arrival, Door
from shared.clients import Clients
from shared.dicomweb import Body, DICOMwebClient, ResponseLost, StoreReason
from store_on_upload.setback import outage
from store_on_upload.storing import store
from store_on_upload.storing.stuck import clear_remains
from store_on_upload.upload import handle
from store_on_upload.waiting.put_off import put_off
from tests.kit.files import LIKE_THE_END, Sample, compressed, encoded
from tests.kit.runs import Place, other, place_at, uids
from tests.kit.service import running

SetClockAhead = Callable[[timedelta], None]
HOUR = timedelta(hours=1)
SECRET = "a secret of the tests, long enough for HS256"
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def place(clients: Clients, service: str) -> AsyncIterator[Place]:
    async with place_at(clients, service, replace_stuck=True) as place:
        yield place


@pytest.fixture
async def limited(clients: Clients, tmp_path: Path) -> AsyncIterator[Place]:
    """Where the app may store, and not delete, as `infra/` deploys it."""
    with running(tmp_path, token_secret=SECRET) as root:
        auth = Bearer(tokens.issue(SECRET, role="ingest"))
        async with (
            place_at(clients, root, replace_stuck=True) as place,
            DICOMwebClient(f"{root}/v2", auth=auth) as dicom,
        ):
            yield replace(place, clients=replace(place.clients, dicom=dicom))


@pytest.fixture
def ahead(monkeypatch: pytest.MonkeyPatch) -> SetClockAhead:
    """Set the app's clock ahead of the time at which the test began, whatever time that takes."""
    began = datetime.now(UTC).replace(microsecond=0)

    def set_clock(by: timedelta) -> None:
        monkeypatch.setattr(clock, "now", lambda: began + by)

    set_clock(timedelta())
    return set_clock


async def leave_remains(place: Place, name: str, content: bytes) -> None:
    """Let a file's first store die midway, and its second attempt find what it left."""
    await place.inject(fault="stuck_creation", kind="store")
    await place.drop(name, content)
    await handle(place.process(), Arrival((name,), Door.BLOB))
    assert await reason_after_another_run(place, name) == "being_stored"


async def reason_after_another_run(place: Place, name: str) -> str | None:
    await handle(place.process(), Arrival((name,), Door.DEFERRAL))
    receipt = await place.receipt(name)
    return receipt.reason if receipt.verdict is None else receipt.verdict


async def test_after_an_hour_the_remains_give_way(place: Place, ahead: SetClockAhead) -> None:
    """Not a second earlier."""
    sample = Sample()
    await leave_remains(place, "stuck.dcm", sample.content)
    ahead(HOUR - timedelta(seconds=1))
    assert await reason_after_another_run(place, "stuck.dcm") == "being_stored"
    ahead(HOUR)
    assert await reason_after_another_run(place, "stuck.dcm") == "stored"
    assert await place.stored(sample) == sample.content


async def test_of_a_file_with_compressed_pixels(place: Place, ahead: SetClockAhead) -> None:
    """They are passed, to see that no other UIDs are behind them."""
    await leave_remains(place, "compressed.dcm", compressed(Sample(), LIKE_THE_END))
    ahead(HOUR)
    assert await reason_after_another_run(place, "compressed.dcm") == "stored"


async def test_what_is_left_of_another_instance_stays(place: Place, ahead: SetClockAhead) -> None:
    """A file with a second series behind compressed pixels is of the second one: what its header names is not its."""
    sample = Sample()
    await leave_remains(place, "first series.dcm", sample.content)
    second = encoded({0x0020000E: ("UI", b"1.2.3")})
    await leave_remains(place, "second series.dcm", compressed(sample, second + LIKE_THE_END))
    ahead(HOUR)
    assert await reason_after_another_run(place, "second series.dcm") == "being_stored"
    result = await place.clients.dicom.store_instance(Body.from_bytes(sample.content))
    assert result.outcome_of(sample.sop).reason == StoreReason.BEING_STORED


async def test_by_default_they_never_do(place: Place, ahead: SetClockAhead) -> None:
    """They may be another sender's, still on its way."""
    place = place.with_settings(replace_stuck=False)
    await leave_remains(place, "off.dcm", Sample().content)
    ahead(5 * HOUR)
    assert await reason_after_another_run(place, "off.dcm") == "being_stored"


async def test_an_app_that_may_not_delete(limited: Place, ahead: SetClockAhead) -> None:
    """It says so, and that is no outage: others are stored. Once somebody has deleted the remains, so is the file."""
    sample, another = Sample(), Sample()
    await leave_remains(limited, "denied.dcm", sample.content)
    await limited.drop("another.dcm", another.content)
    ahead(HOUR)
    ingest = limited.process()
    await handle(ingest, Arrival(("denied.dcm",), Door.DEFERRAL))
    waits = await limited.receipt("denied.dcm")
    assert (waits.state, waits.reason, waits.failed_by_itself) == ("deferred", "remains_denied", True)
    assert not ingest.circuit.is_open
    assert (await limited.settled("another.dcm", ingest)).verdict == "stored"
    assert await reason_after_another_run(limited, "denied.dcm") == "remains_denied"
    async with DICOMwebClient(f"{limited.root}/v2", auth=Bearer(tokens.issue(SECRET))) as owner:
        await owner.delete_instance(**asdict(uids(sample)))
    assert await reason_after_another_run(limited, "denied.dcm") == "stored"


async def test_an_app_that_may_never_delete(limited: Place, ahead: SetClockAhead) -> None:
    """The file is given up as any that fails by itself, and its receipt says why."""
    await leave_remains(limited, "given up.dcm", Sample().content)
    ahead(HOUR)
    limited = limited.with_settings(give_up_after_days=0.0)
    assert await reason_after_another_run(limited, "given up.dcm") == "gave_up"
    given_up = await limited.receipt("given up.dcm")
    assert (given_up.reason, given_up.failure) == ("kept_failing", "remains_denied")


async def test_the_hour_begins_anew_where_something_else_came_between(place: Place, ahead: SetClockAhead) -> None:
    """During an outage the service does not say that the instance is being stored."""
    await leave_remains(place, "outage.dcm", Sample().content)
    ahead(30 * MINUTE)
    await put_off(place.process(), Arrival(("outage.dcm",), Door.DEFERRAL), outage(is_certain=True))
    for minutes, expected in ((61, "being_stored"), (120, "being_stored"), (121, "stored")):
        ahead(minutes * MINUTE)
        assert await reason_after_another_run(place, "outage.dcm") == expected


async def test_an_instance_that_has_become_whole_stays(
    place: Place, ahead: SetClockAhead, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sender came to an end while we were about to clear it away: its metadata tells."""
    sample = Sample()
    await leave_remains(place, "whole.dcm", other(sample))

    async def clear_late(dicom: DICOMwebClient, uids: Any) -> bool:
        await clear_remains(dicom, uids)
        await place.put(sample)
        return await clear_remains(dicom, uids)

    monkeypatch.setattr(store, "clear_remains", clear_late)
    ahead(HOUR)
    assert await reason_after_another_run(place, "whole.dcm") == "being_stored"
    assert await place.stored(sample) == sample.content
    assert await reason_after_another_run(place, "whole.dcm") == "conflict"


async def test_killed_between_clearing_and_storing(
    place: Place, ahead: SetClockAhead, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next run stores, without waiting for anything."""

    class Killed(BaseException):
        pass

    async def clear_and_die(*args: Any) -> bool:
        await clear_remains(*args)
        raise Killed

    sample = Sample()
    await leave_remains(place, "killed.dcm", sample.content)
    ahead(HOUR)
    with monkeypatch.context() as patch:
        patch.setattr(store, "clear_remains", clear_and_die)
        with pytest.raises(Killed):
            await handle(place.process(), Arrival(("killed.dcm",), Door.DEFERRAL))
    assert await reason_after_another_run(place, "killed.dcm") == "stored"


async def test_two_files_that_wait_for_the_same_remains(place: Place, ahead: SetClockAhead) -> None:
    """Neither clears away what the other one is storing: one is stored, the other is the same or a conflict."""
    sample = Sample()
    await leave_remains(place, "one.dcm", sample.content)
    await place.drop("two.dcm", other(sample))
    await handle(place.process(), Arrival(("two.dcm",), Door.BLOB))
    ahead(HOUR)
    await place.inject(fault="delay", kind="delete", seconds=0.3, requests=None)
    verdicts = [one.verdict for one in await asyncio.gather(place.settled("one.dcm"), place.settled("two.dcm"))]
    assert sorted(map(str, verdicts)) == ["conflict", "stored"]
    await place.stored(sample)


async def test_remains_whose_deletion_is_not_answered(
    place: Place, ahead: SetClockAhead, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service may delete them late: no other file is stored under these UIDs until the claim has ended."""
    sample = Sample()
    await leave_remains(place, "one.dcm", sample.content)
    await place.drop("two.dcm", other(sample))
    assert await reason_after_another_run(place, "two.dcm") == "being_stored"
    ahead(HOUR)

    async def lose_answer(*args: Any, **options: Any) -> None:
        raise ResponseLost("delete instance")

    with monkeypatch.context() as patch:
        patch.setattr(DICOMwebClient, "delete_instance", lose_answer)
        await reason_after_another_run(place, "one.dcm")
    assert await reason_after_another_run(place, "two.dcm") == "being_replaced"
