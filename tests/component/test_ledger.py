"""The ledger on a real table service: what is written is found by every index, and a killed write leaves none wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from datetime import date, datetime, timedelta
from secrets import token_hex
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ServiceRequestError
from azure.data.tables.aio import TableClient

from purge_study.ledger import keys, table
from purge_study.ledger.entities import fitted
from purge_study.ledger.ledger import Counts, Ledger, Progress
from purge_study.ledger.row import Reading, Row, StudyKey
from purge_study.policy.policy import Doubt, Judgement, State
from shared.clients import Clients
from shared.dicomweb import DICOMwebClient
from shared.settings import ConfigurationError, load
from tests.kit.ledger_rows import LAST_DAY, RECEIVED, kept_until, patient, reading, row, study
from tests.kit.watched_storage import Watch, watched

TOMORROW = LAST_DAY + timedelta(days=1)


def clients_of(azurite: str, **settings: str) -> Clients:
    loaded = load({"DICOM_SERVICE_URL": "http://127.0.0.1:1/v2", "DICOM_STORAGE": azurite, **settings})
    return Clients.over(loaded, DICOMwebClient(loaded.dicom_service_url))


@pytest.fixture
async def ledger(azurite: str) -> AsyncIterator[Ledger]:
    """A ledger with a key, and so a table, of its own."""
    async with aclosing(clients_of(azurite, LEDGER_KEY=token_hex())) as clients:
        yield await Ledger.open(clients)


async def all_of(rows: AsyncIterator[Row]) -> list[StudyKey]:
    return [row.key async for row in rows]


async def of_accession(ledger: Ledger, accession: str) -> list[Row]:
    return [row async for row in ledger.between(keys.ACCESSIONS, accession, accession)]


async def test_a_row_comes_back_from_every_index(ledger: Ledger) -> None:
    one = row(study("1.2"), reading=reading(patient=patient("7"), accessions=frozenset({"a1", "a2"})))
    await ledger.write([one])
    assert await ledger.find(one.key) == one
    assert await ledger.find_study("1.2") == [one]
    assert await ledger.find_study("1") == []
    assert await ledger.of_patient("group7") == [one]
    assert [await of_accession(ledger, number) for number in ("a1", "a2", "a")] == [[one], [one], []]
    assert [found async for found in ledger.due(TOMORROW)] == [one]
    assert [group async for _, group in ledger.groups()] == [[one]]
    assert await all_of(ledger.due(LAST_DAY)) == []
    assert await all_of(ledger.listed()) == []
    assert await ledger.counts() == Counts(1, {"2026-03": {"CT": 1}})


async def test_indexes_that_no_longer_hold_are_gone(ledger: Ledger) -> None:
    key = study("1.2")
    await ledger.write([row(key, reading=reading(patient=patient("7"), accessions=frozenset({"a1", "a2"})))])
    told = reading({"Modality": "MR"}, patient=patient("8"), accessions=frozenset({"a2"}))
    await ledger.write([row(key, reading=told, judgement=kept_until(date(2030, 1, 1)))])
    assert await ledger.of_patient("group7") == await of_accession(ledger, "a1") == []
    assert [found.key for found in await ledger.of_patient("group8") + await of_accession(ledger, "a2")] == [key] * 2
    assert await all_of(ledger.due(date(2030, 1, 1))) == []
    assert await all_of(ledger.due(date(2030, 1, 2))) == [key]
    assert await ledger.counts() == Counts(1, {"2030-01": {"MR": 1}})


@pytest.mark.parametrize(
    "fields",
    [
        {"judgement": Judgement(State.UNKNOWN, LAST_DAY, doubts=(Doubt("no_rule"),))},
        {"judgement": Judgement(State.FOREVER, rule="all")},
        {"judgement": None, "judged_by": None},
        {"reading": None},
        {"reading": replace(reading(), is_whole=False)},
        {"purged_at": RECEIVED},
    ],
    ids=["unknown", "for ever", "not judged", "not read", "not read in full", "purged"],
)
async def test_what_cannot_be_due_is_not(ledger: Ledger, fields: dict[str, object]) -> None:
    await ledger.write([row(study("1.2"), **fields)])
    assert await all_of(ledger.due(date.max)) == []
    assert (await ledger.counts()).months == {}


async def test_listed_are_those_of_which_something_is_unknown(ledger: Ledger) -> None:
    unknown = Judgement(State.UNKNOWN, doubts=(Doubt("undated", "rule", ("study_date",)),))
    there, purged = row(study("1"), judgement=unknown), row(study("2"), judgement=unknown, purged_at=RECEIVED)
    await ledger.write([there, purged, row(study("3"))])
    assert [found async for found in ledger.listed()] == [there]


async def test_due_are_ordered_by_their_day(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "_PAGE", 50)
    days = [LAST_DAY - timedelta(days=number * 37 % 120) for number in range(120)]
    rows = [row(study(f"1.{number}"), judgement=kept_until(day)) for number, day in enumerate(days)]
    await ledger.write(rows)
    found = [found.judgement.keep_until async for found in ledger.due(TOMORROW) if found.judgement]
    assert found == sorted(days)
    assert (await ledger.counts()).studies == 120


async def test_same_uid_in_two_partitions(ledger: Ledger) -> None:
    here, there = row(study("1.2", "A")), row(study("1.2", "B"), judgement=kept_until(date(2040, 1, 1)))
    await ledger.mark({here.key: RECEIVED, there.key: None})
    await ledger.write([here, there], read=[here.key])
    assert await ledger.find_study("1.2") == [here, there]
    assert [key async for key in ledger.marked()] == [there.key]
    assert await all_of(ledger.due(TOMORROW)) == [here.key]
    await ledger.remove(here.key)
    assert await ledger.find(here.key) is None
    assert await ledger.find(there.key) == there


async def test_a_purged_study_goes_on_counting_for_its_patient_alone(ledger: Ledger) -> None:
    there = row(study("1.2"), reading=reading(patient=patient("7"), accessions=frozenset({"a1"})))
    purged = replace(there, purged_at=datetime.fromisoformat("2026-04-01T03:00:00+00:00"))
    await ledger.write([there])
    await ledger.write([purged])
    assert await ledger.of_patient("group7") == await of_accession(ledger, "a1") == [purged]
    assert await ledger.counts() == Counts()
    await ledger.write([there])
    assert await ledger.counts() == Counts(1, {"2026-03": {"CT": 1}})


async def test_the_later_time_of_marks_stands(ledger: Ledger) -> None:
    key, day = study("1.2"), timedelta(days=1)
    for time in (RECEIVED, RECEIVED - day, None):
        await ledger.mark({key: time})
        assert await ledger.find(key) == Row(key, RECEIVED)
    assert [key async for key in ledger.marked()]
    await ledger.write([row(key, received=RECEIVED + day)], read=[key])
    assert not [key async for key in ledger.marked()]
    await ledger.mark({key: RECEIVED})
    assert [found.received for found in await ledger.find_study("1.2")] == [RECEIVED + day]
    await ledger.mark({key: RECEIVED + 2 * day})
    found = await ledger.find(key)
    assert found is not None
    assert found.received == RECEIVED + 2 * day


async def test_many_marks_at_once(ledger: Ledger) -> None:
    marks = {study(f"1.{number}"): RECEIVED for number in range(120)}
    await ledger.mark(marks)
    await ledger.mark(dict.fromkeys(marks))
    assert {key async for key in ledger.marked()} == marks.keys()


@pytest.mark.parametrize("is_after", [False, True])
async def test_a_connection_that_breaks(azurite: str, is_after: bool) -> None:
    watch = Watch()
    async with (
        aclosing(clients_of(azurite, LEDGER_KEY=token_hex())) as clients,
        watched(clients, watch, retries=1) as breaking,
    ):
        ledger = await Ledger.open(breaking)

        async def break_off() -> None:
            raise ServiceRequestError("the connection is gone")

        watch.step_in(2, break_off, is_after=is_after)
        await ledger.mark({study("1.2"): RECEIVED})
        assert watch.stepped_in
        assert [key async for key in ledger.marked()] == [study("1.2")]


async def test_marks_that_are_carried_out_twice(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[TableClient, Any]] = []
    submit = TableClient.submit_transaction

    async def submitting(client: TableClient, operations: Any, **options: Any) -> Any:
        sent.append((client, [*operations]))
        return await submit(client, sent[-1][1], **options)

    monkeypatch.setattr(TableClient, "submit_transaction", submitting)
    await ledger.mark({study("1.2"): RECEIVED})
    await ledger.mark({study("1.2"): RECEIVED + timedelta(days=1)})
    with pytest.raises(HttpResponseError):
        await submit(*sent[0])
    found = await ledger.find(study("1.2"))
    assert found is not None
    assert found.received == RECEIVED + timedelta(days=1)


async def test_progress_and_another_key(azurite: str) -> None:
    noted = Progress(RECEIVED, is_folded=True, judged_by="a", judging="b", judged_to="p:x", marking=2, marked_to="s:x")
    key = token_hex()
    async with aclosing(clients_of(azurite, LEDGER_KEY=key)) as clients:
        ledger = await Ledger.open(clients)
        assert await ledger.progress() == Progress()
        await ledger.note(noted)
        await ledger.write([row(study("1.2"))])
        assert await (await Ledger.open(clients)).progress() == noted
    async with aclosing(clients_of(azurite, LEDGER_KEY=token_hex())) as clients:
        other = await Ledger.open(clients)
        assert (await other.progress(), await other.counts()) == (Progress(), Counts())
        assert await other.find(study("1.2")) is None


async def test_no_key_no_ledger(azurite: str) -> None:
    async with aclosing(clients_of(azurite)) as clients:
        with pytest.raises(ConfigurationError, match="LEDGER_KEY"):
            await Ledger.open(clients)


async def test_as_many_accession_numbers_as_there_can_be(ledger: Ledger) -> None:
    old, new = ([f"{name}{number}" for number in range(30)] for name in ("a", "b"))
    for numbers in (old, new):
        await ledger.write([row(study("1.2"), reading=reading(patient=patient("7"), accessions=frozenset(numbers)))])
    assert await of_accession(ledger, "a0") == []
    assert len(await of_accession(ledger, "b29")) == 1


async def test_group_after_group(ledger: Ledger) -> None:
    """Those of a patient come together, those of nobody one by one, and it can be gone on with after any of them."""
    rows = [
        row(study(f"1.{number}"), reading=reading(patient=patient(name) if name else None))
        for number, name in enumerate(["b", "", "a", "b", "", "a"])
    ]
    await ledger.write(rows)
    found = [(end, [one.key.uid for one in group]) async for end, group in ledger.groups()]
    assert [uids for _, uids in found] == [["1.1"], ["1.4"], ["1.2", "1.5"], ["1.0", "1.3"]]
    for number, (end, _) in enumerate(found):
        rest = [[one.key.uid for one in group] async for _, group in ledger.groups(past=end)]
        assert rest == [uids for _, uids in found[number + 1 :]]


async def test_a_study_of_several_patients_is_with_each(ledger: Ledger) -> None:
    several = replace(reading(), further_patients=frozenset({patient("7"), patient("8")}), is_whole=False)
    one = row(study("1.2"), reading=several)
    await ledger.write([one])
    assert await ledger.of_patient("group7") == await ledger.of_patient("group8") == [one]
    assert await all_of(ledger.due(date.max)) == []


async def test_a_study_of_many_patients_is_with_each(ledger: Ledger) -> None:
    one = row(study("1.2"), reading=of_patients(14))
    other = row(study("1.3"), reading=reading(patient=patient("13")))
    await ledger.write([other])
    assert [len(await ledger.of_patient(f"group{number}")) for number in range(1, 14)] == [0] * 12 + [1]
    await ledger.write([one])
    for number in range(1, 13):
        assert await ledger.of_patient(f"group{number}") == [one]
    assert await ledger.of_patient("group13") == [one, other]
    assert await ledger.of_patient("group99") == []
    await ledger.write([replace(one, reading=reading(patient=patient("1")))])
    assert await ledger.of_patient("group12") == []
    await ledger.write([one])
    assert await ledger.of_patient("group12") == [one]
    await ledger.remove(one.key)
    assert await ledger.of_patient("group12") == []


async def test_a_study_of_more_patients_than_a_row_can_hold_is_with_everybody(ledger: Ledger) -> None:
    one = row(study("1.2"), reading=of_patients(1000))
    await ledger.write([one])
    assert await ledger.of_patient("group99999") == [one]
    assert await ledger.of_patient("group1") == [one]


def of_patients(number: int) -> Reading:
    patients = frozenset(patient(f"{one}") for one in range(1, number + 1))
    return fitted(replace(reading(), further_patients=patients, is_whole=False))
