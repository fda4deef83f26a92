"""What is asked of retention: will this study go, which plans are there, may this one be carried out?"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx
import pytest

from local.azurite import Azurite
from purge_study.ledger.ledger import Ledger
from purge_study.ledger.row import Row
from purge_study.planning.approvals import find_approval
from purge_study.planning.documents import write_documents
from purge_study.planning.plan import plan_id
from purge_study.records.restored import Restored, write_restored
from purge_study.requests import plans, study_lookup
from purge_study.requests.plans import FORMATS
from shared import clock
from shared.places import Places
from shared.settings import RETENTION_POLICY, RETENTION_RECORDS
from tests.kit.connection_strings import endpoint, through
from tests.kit.files import Sample, new_uid
from tests.kit.gateway import Fault, Gateway, Moment, Step
from tests.kit.ledger_rows import patient, reading, row, study
from tests.kit.lookups import until
from tests.kit.plans import decision, jsonl, plan
from tests.kit.principals import principal
from tests.kit.purged import Purged
from tests.kit.retention_requests import APPROVED, Asked, asking, refusal
from tests.kit.runs import clear

POLICY = """
[policy]
time_zone = "Europe/Paris"

[[rule]]
name = "everything else"
keep_years = 10

[[hold]]
name = "litigation"
list = "{name}.csv"

[brakes]
min_age_days = 0
"""
NOW = datetime(2026, 3, 6, 12, tzinfo=UTC)
Start = Callable[..., AbstractAsyncContextManager[Asked]]


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An account of this module's own: all plans in it are listed."""
    with Azurite(tmp_path_factory.mktemp("retention"), in_memory=True) as running:
        yield running.connection_string


@pytest.fixture
def start(azurite: str, service: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Start:
    """Start the routes with these settings, on a day in March, over a ledger and a policy of their own."""
    monkeypatch.setattr(clock, "now", lambda: NOW)
    name = token_hex(8)

    @asynccontextmanager
    async def started(policy: str | None = POLICY, holds: str = "", **settings: str) -> AsyncIterator[Asked]:
        own = {"LEDGER_KEY": token_hex(), "RETENTION_POLICY": f"{name}.toml", **settings}
        async with asking(azurite, service, monkeypatch, caplog, **own) as asked:
            if policy is not None:
                await asked.put(RETENTION_POLICY, f"{name}.toml", policy.format(name=name).encode())
            lines = ["study_instance_uid,released,released_by", holds] if holds else ["study_instance_uid"]
            count = len(lines) - 1
            await asked.put(RETENTION_POLICY, f"{name}.csv", "\n".join([*lines, f"#end,{count}"]).encode())
            yield asked

    return started


async def known(asked: Asked, *rows: Row) -> None:
    """Have the ledger know some studies."""
    await (await Ledger.open(asked.clients)).write(rows)


async def told(asked: Asked, uid: str, **options: Any) -> list[dict[str, Any]]:
    response = await asked.http.get(f"retention/studies/{uid}", **options)
    assert response.status_code == 200, response.text
    assert response.json()["study_instance_uid"] == uid
    studies: list[dict[str, Any]] = response.json()["studies"]
    return studies


DATES = {"study_date": "2016-03-05", "received": "2016-03-05", "patient_last_study": "2016-03-05"}


async def test_a_study_that_is_due(start: Start) -> None:
    async with start() as asked:
        await known(asked, one := row(study(new_uid()), reading=reading(patient=patient("7"))))
        [found] = await told(asked, one.key.uid)
        words = found.pop("words")
        assert found == {
            "partition": "Microsoft.Default",
            "state": "due",
            "will_go": True,
            "keep_until": "2026-03-05",
            "goes_from": "2026-03-06",
            "rule": "everything else",
            "dates": DATES,
            "doubts": [],
            "held_by": [],
            "tonight": "reported",
            "received": "2016-03-05T12:00:00+00:00",
            "instances": 1,
        }
        assert words.startswith("Due since the end of 2026-03-05: rule everything else, 10 years from ")
        assert words.endswith("Tonight it is only reported: PURGE_MODE is report.")


@pytest.mark.parametrize(("mode", "tonight"), [("approve", "deleted_if_approved"), ("delete", "deleted")])
async def test_what_tonight_does_depends_on_the_mode(start: Start, mode: str, tonight: str) -> None:
    async with start(PURGE_MODE=mode) as asked:
        due = row(study(new_uid()), reading=reading(patient=patient("7")))
        kept = row(study(new_uid()), reading=reading({"StudyDate": "20240101"}, patient=patient("8")))
        await known(asked, due, kept)
        assert [one["tonight"] for one in await told(asked, due.key.uid)] == [tonight]
        [found] = await told(asked, kept.key.uid)
        assert (found["state"], found["tonight"], found["goes_from"]) == ("kept", "kept", "2034-01-02")


async def test_it_is_judged_as_the_rules_stand_now(start: Start) -> None:
    async with start(POLICY.replace("keep_years = 10", "keep_years = 5")) as asked:
        one = row(study(new_uid()), reading=reading(patient=patient("7")))
        other = row(study(new_uid()), reading=reading({"StudyDate": "20231231"}, patient=patient("7")))
        await known(asked, one, other)
        [found] = await told(asked, one.key.uid)
        assert (found["keep_until"], found["state"]) == ("2028-12-31", "kept")


async def test_a_held_study_stays(start: Start) -> None:
    uid = new_uid()
    async with start(holds=f"{uid},,", PURGE_MODE="delete") as asked:
        await known(asked, row(study(uid), reading=reading(patient=patient("7"))))
        [found] = await told(asked, uid)
        assert (found["state"], found["keep_until"], found["held_by"]) == ("due", "2026-03-05", ["litigation"])
        assert (found["will_go"], found["goes_from"], found["tonight"]) == (False, None, "kept")
        assert 'It is held, and stays whatever the date: "litigation".' in found["words"]


async def test_a_restored_study_is_held(start: Start) -> None:
    async with start() as asked:
        await known(asked, one := row(study(new_uid()), reading=reading(patient=patient("7"))))
        await write_restored(asked.clients, one.key, Restored.at(NOW, "an id", "A. Reader"))
        [found] = await told(asked, one.key.uid)
        assert found["held_by"] == ["restored"]
        assert "that it was restored" in found["words"]


async def test_restores_of_other_studies_are_not_read(start: Start, reads: Reads) -> None:
    async with start(DICOM_STORAGE=reads.way, RECORDS_STORAGE=reads.way) as asked:
        uid, others = new_uid(), [study(new_uid(), name) for name in ("site-a", "site-b") for _ in range(3)]
        rows = [row(study(uid, name), reading=reading(patient=patient("7"))) for name in ("site-a", "site-b")]
        await known(asked, *rows)
        for key in (rows[1].key, *others):
            await write_restored(asked.clients, key, Restored.at(NOW, "an id", "A. Reader"))
        reads.records.clear()
        assert [found["held_by"] for found in await told(asked, uid)] == [[], ["restored"]]
        about = [path for path in reads.records if "restored/" in path]
        assert len(about) == 3  # two listings, one record
        assert all(f"restored/site-{site}/{uid}/" in path for path, site in zip(about, "abb", strict=True))


async def test_what_is_not_known_is_told(start: Start) -> None:
    async with start() as asked:
        await known(asked, one := row(study(new_uid())))
        [found] = await told(asked, one.key.uid)
        [doubt] = found["doubts"]
        assert (found["state"], found["will_go"], doubt["about"]) == ("unknown", False, ["patient_last_study"])
        assert doubt["words"] in found["words"]


async def test_a_study_that_was_not_read_so_far(start: Start) -> None:
    async with start() as asked:
        unread, back = row(study(new_uid()), reading=None, judgement=None), row(study(new_uid()), purged_at=NOW)
        await known(asked, unread, back)
        for one in (unread, back):
            [found] = await told(asked, one.key.uid)
            assert (found["state"], found["will_go"], found["tonight"]) == ("unread", False, "kept")


async def test_a_purged_study_is_told_by_its_tombstone(start: Start) -> None:
    async with start(policy=None) as asked:
        purged = Purged.of([Sample()])
        await asked.leave(purged)
        tombstone = purged.tombstone()
        for _ in range(2):
            [found] = await told(asked, purged.key.uid)
            assert found["state"] == "purged"
            same = ("deleted_at", "rule", "dates", "keep_until", "approved_by", "restorable_until", "deletion_id")
            assert {name: found[name] for name in same} == {name: tombstone[name] for name in same}
            assert f"It can be restored until {tombstone['restorable_until']}." in found["words"]
            await known(asked, row(purged.key, purged_at=NOW))


async def test_a_purged_study_that_was_sent_anew(start: Start) -> None:
    async with start() as asked:
        purged = Purged.of([Sample()])
        await asked.leave(purged)
        looked_at = datetime.fromisoformat(purged.tombstone()["looked_at"])
        for received, purged_at, state in (
            (looked_at, None, "purged"),
            (looked_at + timedelta(days=1), NOW, "purged"),
            (looked_at + timedelta(days=1), None, "kept"),
        ):
            living = row(purged.key, received=received, purged_at=purged_at, reading=reading(patient=patient("7")))
            await known(asked, living)
            assert [one["state"] for one in await told(asked, purged.key.uid)] == [state]


async def test_a_study_of_several_partitions(start: Start) -> None:
    async with start() as asked:
        uid = new_uid()
        rows = [row(study(uid, name), reading=reading(patient=patient("7"))) for name in ("site-b", "site-a")]
        await known(asked, *rows)
        await asked.leave(Purged.of([Sample(study=uid)], partition="site-c"))
        assert [one["partition"] for one in await told(asked, uid)] == ["site-a", "site-b", "site-c"]
        assert [one["partition"] for one in await told(asked, uid, params={"partition": "site-b"})] == ["site-b"]
        response = await asked.http.get(f"retention/studies/{uid}", params={"partition": "site-d"})
        assert refusal(response) == (404, "no-such-study")


async def test_a_patient_is_read_once(azurite: str, start: Start) -> None:
    with Gateway(endpoint(azurite, "table")) as gateway:
        async with start(DICOM_STORAGE=through(azurite, table=gateway.urls[0])) as asked:
            uid, whose = new_uid(), patient("7")
            assert whose is not None
            rows = [row(study(uid, name), reading=reading(patient=whose)) for name in ("site-a", "site-b", "site-c")]
            await known(asked, *rows)
            gateway.begin()
            assert len(await told(asked, uid)) == 3
            assert len([step for step in gateway.steps if whose.group in step.path]) == 1


async def test_partitions_that_may_not_be_seen(start: Start) -> None:
    rules = {"CALLER_PARTITIONS": "Radiology=site-a Admin=*", "WEBSITE_AUTH_ENABLED": "true"}
    async with start(**rules) as asked:
        both, hidden, purged = new_uid(), new_uid(), Purged.of([Sample()], partition="site-b")
        await known(asked, *(row(study(both, name)) for name in ("site-a", "site-b")), row(study(hidden, "site-b")))
        await asked.leave(purged)
        radiology = {"x-ms-client-principal": principal(("oid", "1"), ("roles", "Radiology"))}
        admin = {"x-ms-client-principal": principal(("oid", "2"), ("roles", "Admin"))}
        assert [one["partition"] for one in await told(asked, both, headers=radiology)] == ["site-a"]
        assert [one["partition"] for one in await told(asked, both, headers=admin)] == ["site-a", "site-b"]
        await asked.put(RETENTION_POLICY, asked.clients.settings.retention_policy, b"no = policy")
        nothing = await asked.http.get(f"retention/studies/{new_uid()}", headers=radiology)
        assert refusal(nothing) == (404, "no-such-study")
        for uid in (hidden, purged.key.uid):
            for headers in (radiology, {}):
                assert (await asked.http.get(f"retention/studies/{uid}", headers=headers)).content == nothing.content


@pytest.mark.parametrize(("policy", "fault"), [(None, "no_policy"), ("[policy]\ntime_zone = 1", "policy_invalid")])
async def test_rules_that_cannot_be_used(start: Start, policy: str | None, fault: str) -> None:
    async with start(policy=policy) as asked:
        await known(asked, one := row(study(new_uid())))
        response = await asked.http.get(f"retention/studies/{one.key.uid}")
        assert refusal(response) == (503, "rules-unusable")
        assert response.json()["fault"] == fault
        assert response.json()["problems"]


async def test_more_questions_than_are_answered_at_a_time(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_lookup, "_places", places := Places())
    async with start() as asked:
        await known(asked, one := row(study(new_uid())))
        path = f"retention/studies/{one.key.uid}"
        for _ in range(4):
            assert places.take(4)
        response = await asked.http.get(path)
        assert refusal(response) == (503, "too-many-requests")
        assert int(response.headers["retry-after"]) > 0
        places.give_back()
        for uid in (new_uid(), one.key.uid, one.key.uid):
            assert (await asked.http.get(f"retention/studies/{uid}")).status_code == (200 if uid in path else 404)


@dataclass
class Reads:
    """The requests for blobs of the policy, and those for records.

    Args:
        way: the connection string that leads past the counter.
        answers: each blob beside the policy that was asked for, with the status and whether content came, since the
            test last cleared it.
        records: the path and query of each request about records, since the test last cleared it.
        gateway: counts, and can fail; None before it runs.
    """

    way: str = ""
    gateway: Gateway | None = None
    answers: list[tuple[str, int, bool]] = field(default_factory=list)
    records: list[str] = field(default_factory=list)

    def note(self, step: Step, answer: bytes) -> bytes:
        """Note an answer, and return it."""
        _, _, container, *names = urlsplit(step.path).path.split("/")
        if container == RETENTION_POLICY and names and step.method in ("GET", "HEAD"):
            head, _, body = answer.partition(b"\r\n\r\n")
            self.answers.append((unquote("/".join(names)), int(head.split()[1]), bool(body)))
        if container == RETENTION_RECORDS:
            self.records.append(unquote(step.path))
        return answer


@pytest.fixture
def reads(azurite: str) -> Iterator[Reads]:
    """Count the requests for the policy, its lists and records on a way to the account."""
    reads = Reads()
    with Gateway(endpoint(azurite, "blob"), rewritten=reads.note) as gateway:
        reads.way, reads.gateway = through(azurite, blob=gateway.urls[0]), gateway
        yield reads


DATES_LIST = """
[[anchor]]
name = "last seen"
list = "{name}-dates.csv"
max_age_days = 7
"""


async def test_a_changed_list_counts_in_the_next_request(start: Start, reads: Reads) -> None:
    async with start(DICOM_STORAGE=reads.way) as asked:
        policy = asked.clients.settings.retention_policy
        holds = f"{policy.removesuffix('.toml')}.csv"
        await known(asked, one := row(study(new_uid()), reading=reading(patient=patient("7"))))
        path = f"retention/studies/{one.key.uid}"
        assert [found["held_by"] for found in await told(asked, one.key.uid)] == [[]]

        reads.answers.clear()
        await asked.put(RETENTION_POLICY, holds, f"study_instance_uid\n{one.key.uid}\n".encode())
        assert [found["held_by"] for found in await told(asked, one.key.uid)] == [["litigation"]]
        assert reads.answers == [(policy, 304, False), (holds, 206, True)]

        await asked.storage.get_blob_client(RETENTION_POLICY, holds).delete_blob()
        for _ in range(2):
            response = await asked.http.get(path)
            assert refusal(response) == (503, "rules-unusable")
            assert response.json()["problems"] == [f"{holds}: there is no such blob"]
        await asked.put(RETENTION_POLICY, holds, b"study_instance_uid\n")
        assert [found["held_by"] for found in await told(asked, one.key.uid)] == [[]]

        changed = POLICY.replace("keep_years = 10", "keep_years = 20").format(name=holds.removesuffix(".csv"))
        await asked.put(RETENTION_POLICY, policy, changed.encode())
        assert [found["keep_until"] for found in await told(asked, one.key.uid)] == ["2036-03-05"]
        await asked.storage.get_blob_client(RETENTION_POLICY, policy).delete_blob()
        assert (await asked.http.get(path)).json()["fault"] == "no_policy"


async def test_a_hold_ends_between_requests(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    uid = new_uid()
    async with start(holds=f"{uid},2026-03-07,C. Counsel") as asked:
        await known(asked, row(study(uid), reading=reading(patient=patient("7"))))
        assert [found["held_by"] for found in await told(asked, uid)] == [["litigation"]]
        monkeypatch.setattr(clock, "now", lambda: NOW + timedelta(days=1))
        assert [found["held_by"] for found in await told(asked, uid)] == [[]]


async def test_a_day_of_the_policy_moves_out_of_reach_between_requests(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = POLICY.replace('"Europe/Paris"', '"Europe/Paris"\nreceived_counts_from = 2026-03-07')
    async with start(policy) as asked:
        await known(asked, one := row(study(new_uid())))
        for days, status in ((0, 200), (-1, 503), (0, 200)):
            monkeypatch.setattr(clock, "now", lambda days=days: NOW + timedelta(days=days))
            assert (await asked.http.get(f"retention/studies/{one.key.uid}")).status_code == status


async def test_a_damaged_list_is_reported_each_time(start: Start, reads: Reads) -> None:
    async with start(POLICY + DATES_LIST, DICOM_STORAGE=reads.way) as asked:
        name = asked.clients.settings.retention_policy.removesuffix(".toml")
        await known(asked, one := row(study(new_uid())))
        path = f"retention/studies/{one.key.uid}"
        await asked.put(RETENTION_POLICY, f"{name}-dates.csv", b"patient_id,date\nP1,soon\n")
        for _ in range(3):
            reads.answers.clear()
            response = await asked.http.get(path)
            assert refusal(response) == (503, "rules-unusable")
            assert response.json()["fault"] == "list_invalid"
            problem = f"{name}-dates.csv, line 2: it has no date, such as 2026-03-05"
            assert response.json()["problems"] == [problem]
        unchanged = [(f"{name}.toml", 304, False), (f"{name}.csv", 304, False)]
        assert reads.answers == [*unchanged, (f"{name}-dates.csv", 206, True)]
        await asked.put(RETENTION_POLICY, f"{name}-dates.csv", b"patient_id,date\nP1,2020-01-01\n")
        assert (await asked.http.get(path)).status_code == 200


async def test_odd_questions_are_refused(start: Start) -> None:
    async with start() as asked:
        for path in ("canary_", f"{new_uid()}?partition=a%2Fcanary", f"{new_uid()}?canary=1"):
            response = await asked.http.get(f"retention/studies/{path}")
            assert refusal(response) == (400, "invalid-parameter")
            assert "canary" not in response.text


async def test_without_a_ledger_nothing_is_told(
    azurite: str, service: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with asking(azurite, service, monkeypatch, caplog, LEDGER_KEY="") as asked:
        assert refusal(await asked.http.get(f"retention/studies/{new_uid()}")) == (503, "not-configured")


def made(days_ago: float, studies: int = 3, **changes: Any) -> tuple[str, bytes]:
    written = plan(studies, **changes)
    return plan_id(written, NOW - timedelta(days=days_ago)), jsonl(written)


async def put_plan(asked: Asked, plan: str, lines: bytes) -> None:
    forms = {"listed.jsonl": b"{}\n", "csv": b"a;b\r\n", "html": b"<!doctype html>", "json": b"{}", "jsonl": lines}
    for suffix, content in forms.items():
        await asked.put(RETENTION_RECORDS, f"plans/{plan}.{suffix}", content)


async def test_plans_are_listed_newest_first(start: Start) -> None:
    async with start() as asked:
        ids = [made(days)[0] for days in (400, 401, 402, 403, 404)]
        for one in reversed(ids):
            await put_plan(asked, one, b"")
        await asked.put(RETENTION_RECORDS, "plans/notes.jsonl", b"")
        listed, query = [], f"limit=2&before={made(399)[0]}"
        while query:
            answer = (await asked.http.get(f"retention/plans?{query}")).json()
            listed += answer["plans"]
            query = answer["next"]
        assert [one["id"] for one in listed] == ids
        assert listed[0]["made_at"] == (NOW - timedelta(days=400)).isoformat()


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=%C2%B2", "limit=", "before=canary", "page=1"])
async def test_odd_pages_are_refused(start: Start, query: str) -> None:
    async with start() as asked:
        response = await asked.http.get(f"retention/plans?{query}")
        assert refusal(response) == (400, "invalid-parameter")
        assert "canary" not in response.text


async def test_a_plan_in_each_form(start: Start) -> None:
    async with start() as asked:
        one, lines = made(1)
        await put_plan(asked, one, lines)
        for form, media_type in FORMATS.items():
            records = asked.clients.container(RETENTION_RECORDS)
            stored = await (await records.download_blob(f"plans/{one}.{form}")).readall()
            ways: list[dict[str, Any]] = [{"url": f"{one}.{form}"}, {"url": one, "params": {"format": form}}]
            if form != "listed.jsonl":
                ways.append({"url": one, "headers": {"accept": f"{media_type}, */*;q=0.1"}})
            for way in ways if form != "json" else (*ways, {"url": one}):
                response = await asked.http.get(**way | {"url": f"retention/plans/{way['url']}"})
                assert (response.content, response.headers["content-type"].split(";")[0]) == (stored, media_type)
                assert response.headers["cache-control"] == "no-store"
        response = await asked.http.get(f"retention/plans/{one}", headers={"accept": "image/png"})
        assert refusal(response) == (406, "not-acceptable")
        response = await asked.http.get(f"retention/plans/{one}", params={"format": "pdf"})
        assert refusal(response) == (400, "invalid-parameter")


LONG = b"a line of a plan\n" * (48 * 1024 * 1024 // 17)  # thirteen ranges


async def long_plan(asked: Asked) -> str:
    one, _ = made(2.5)
    name = f"{one}.listed.jsonl"
    await asked.clients.container(RETENTION_RECORDS).upload_blob(f"plans/{name}", LONG, overwrite=True)
    return f"retention/plans/{name}"


async def test_a_long_plan_is_not_in_memory_as_a_whole(start: Start, reads: Reads) -> None:
    async with start(RECORDS_STORAGE=reads.way) as asked:
        path = await long_plan(asked)
        reads.records.clear()
        async with asked.http.stream("GET", path) as response:
            assert response.status_code == 200
            assert len([one for one in reads.records if ".listed.jsonl" in one]) < 13
            received = hashlib.sha256()
            async for part in response.aiter_bytes():
                received.update(part)
        assert received.digest() == hashlib.sha256(LONG).digest()
        assert response.headers["content-length"] == str(len(LONG))


async def test_a_long_plan_that_breaks_off(start: Start, reads: Reads) -> None:
    async with start(RECORDS_STORAGE=reads.way) as asked:
        path = await long_plan(asked)
        assert reads.gateway is not None
        reads.gateway.begin(Fault(4, Moment.BEFORE, 403))
        with pytest.raises(httpx.RemoteProtocolError):
            await asked.http.get(path)
        reads.gateway.begin(Fault(1, Moment.BEFORE, 403))
        assert refusal(await asked.http.get(path)) == (503, "storage-failed")
        assert "AuthorizationFailure" not in asked.log.text


async def test_more_requests_for_plans_than_are_answered_at_a_time(
    start: Start, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans, "_places", places := Places())
    async with start(RECORDS_STORAGE=reads.way) as asked:
        path = await long_plan(asked)
        for _ in range(8):
            assert places.take(8)
        for one in ("retention/plans", path):
            response = await asked.http.get(one)
            assert refusal(response) == (503, "too-many-requests")
            assert int(response.headers["retry-after"]) > 0
        places.give_back()
        absent = "retention/plans/20260305T030002Z-00000000"
        for one, status in (("retention/plans", 200), (absent, 404), (path, 200), (path, 200)):
            assert (await asked.http.get(one)).status_code == status
        assert reads.gateway is not None
        reads.gateway.begin(Fault(1, Moment.BEFORE, 403, times=2))
        for one in ("retention/plans", path):
            assert (await asked.http.get(one)).status_code == 503
        reads.gateway.begin(Fault(4, Moment.BEFORE, 403))
        with pytest.raises(httpx.RemoteProtocolError):
            await asked.http.get(path)
        reads.gateway.begin()
        async with asked.http.stream("GET", path):
            pass  # and hangs up
        await until(lambda: places.take(8))


async def test_a_caller_who_stops_reading_a_plan(start: Start, reads: Reads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "_places", places := Places())
    async with start(RECORDS_STORAGE=reads.way, LOOKUP_TIMEOUT_SECONDS="0.2") as asked:
        path = await long_plan(asked)
        async with asked.http.stream("GET", path) as response:
            await until(lambda: places.take(1))
            with pytest.raises(httpx.RemoteProtocolError):
                await response.aread()


async def test_the_links_of_a_page_lead_somewhere(start: Start) -> None:
    async with start() as asked:
        name = await write_documents(
            asked.clients, await Ledger.open(asked.clients), decision(plan(3, listed={"undated": 1})), NOW
        )
        page = await asked.http.get(f"retention/plans/{name}?format=html")
        links = set(re.findall('href="([^"]*)"', page.text))
        assert links == {f"{name}.{form}" for form in ("csv", "json", "jsonl", "listed.jsonl")}
        for link in links:
            assert (await asked.http.get(str(page.url.join(link)))).status_code == 200
        summary = (await asked.http.get(f"retention/plans/{name}")).json()
        assert (summary["hash"], summary["to_delete"]) == (plan(3, listed={"undated": 1}).hash, 3)


@pytest.mark.parametrize(
    "plan", ["20260305T030002Z-00000000", "20260305T030002Z-00000000.csv", "20261305T030002Z-00000000", "..", "canary"]
)
async def test_there_is_no_such_plan(start: Start, plan: str) -> None:
    async with start() as asked:
        for method, path in (("GET", ""), ("POST", "/approve")):
            response = await asked.http.request(
                method, f"retention/plans/{plan}{path}".replace("..", "%2E%2E"), headers=APPROVED, json=body(b"")
            )
            assert refusal(response) == (404, "no-such-plan")


def body(lines: bytes, **changes: Any) -> dict[str, Any]:
    return {"approver": "C. Archivist", "hash": hashlib.sha256(lines).hexdigest(), "count": 3, **changes}


async def approve(asked: Asked, plan: str, json: Any, **headers: str) -> httpx.Response:
    return await asked.http.post(f"retention/plans/{plan}/approve", json=json, headers=APPROVED | headers)


async def test_a_plan_is_approved_once(start: Start) -> None:
    async with start() as asked:
        one, lines = made(2)
        await put_plan(asked, one, lines)
        response = await approve(asked, one, body(lines))
        assert response.status_code == 200
        assert response.json() == {
            "plan": one,
            "hash": hashlib.sha256(lines).hexdigest(),
            "count": 3,
            "approver": "C. Archivist",
            "approved_at": NOW.isoformat(),
        }
        again = await approve(asked, one, body(lines, approver="D. Other"))
        assert refusal(again) == (409, "already-approved")
        assert (again.json()["approver"], again.json()["approved_at"]) == ("C. Archivist", NOW.isoformat())
        recorded = await find_approval(asked.clients, one)
        assert recorded is not None
        assert recorded.approver == "C. Archivist"


APPROVER = "11111111-2222-3333-4444-555555555555"
LISTED = {"APPROVERS": APPROVER}
ENTRA = {"WEBSITE_AUTH_ENABLED": "true", **LISTED}
PRINCIPAL = {"x-ms-client-principal": principal(("oid", APPROVER))}
WRONG_KEY, NOT_APPROVER, INVALID = (403, "wrong-approval-key"), (403, "not-an-approver"), (400, "invalid-body")


@pytest.mark.parametrize(
    ("settings", "days_ago", "changes", "headers", "expected"),
    [
        pytest.param({}, 3, {"hash": "0" * 64}, APPROVED, (409, "hash-differs"), id="another hash"),
        pytest.param({}, 3, {"count": 2}, APPROVED, (409, "count-differs"), id="another count"),
        pytest.param({}, 7.1, {}, APPROVED, (409, "plan-too-old"), id="a plan that is too old"),
        pytest.param({}, 3, {}, {}, WRONG_KEY, id="no key"),
        pytest.param({}, 3, {}, {"x-approval-key": ""}, WRONG_KEY, id="an empty key"),
        pytest.param({}, 3, {}, {"x-approval-key": "another one, as long"}, WRONG_KEY, id="another key"),
        pytest.param({"APPROVAL_KEY": ""}, 3, {}, APPROVED, WRONG_KEY, id="a key where none is set"),
        pytest.param({"APPROVAL_KEY": ""}, 3, {}, {"x-approval-key": ""}, WRONG_KEY, id="an empty key for none"),
        pytest.param({}, 3, {"approver": " "}, APPROVED, INVALID, id="a blank approver"),
        pytest.param({}, 3, {"approver": "A" * 201}, APPROVED, INVALID, id="a long approver"),
        pytest.param({}, 3, {"hash": "0"}, APPROVED, INVALID, id="no hash"),
        pytest.param({}, 3, {"count": "3"}, APPROVED, INVALID, id="a count in quotes"),
        pytest.param({}, 3, {"count": -1}, APPROVED, INVALID, id="a negative count"),
        pytest.param({}, 3, {"count": True}, APPROVED, INVALID, id="a count that is true"),
        pytest.param({}, 3, {"x": 1}, APPROVED, INVALID, id="another field"),
        pytest.param(ENTRA, 3, {}, APPROVED, NOT_APPROVER, id="no principal"),
        pytest.param(
            ENTRA,
            3,
            {},
            {**APPROVED, "x-ms-client-principal": principal(("oid", "99999999-2222-3333-4444-555555555555"))},
            NOT_APPROVER,
            id="another principal",
        ),
        pytest.param(
            ENTRA, 3, {}, {**APPROVED, "x-ms-client-principal": "canary"}, NOT_APPROVER, id="a damaged principal"
        ),
        pytest.param(LISTED, 3, {}, {**APPROVED, **PRINCIPAL}, NOT_APPROVER, id="a principal that nothing vouches for"),
    ],
)
async def test_an_approval_that_is_refused_is_not_recorded(
    start: Start,
    settings: dict[str, str],
    days_ago: float,
    changes: dict[str, Any],
    headers: dict[str, str],
    expected: tuple[int, str],
) -> None:
    async with start(**settings) as asked:
        one, lines = made(days_ago)
        await clear(asked.clients.container(RETENTION_RECORDS), f"approvals/{one}")
        await put_plan(asked, one, lines)
        response = await asked.http.post(f"retention/plans/{one}/approve", json=body(lines, **changes), headers=headers)
        assert refusal(response) == expected
        assert await find_approval(asked.clients, one) is None


async def test_with_entra_the_principal_counts(start: Start) -> None:
    async with start(**ENTRA) as asked:
        one, lines = made(6)
        await put_plan(asked, one, lines)
        response = await approve(asked, one, body(lines), **PRINCIPAL)
        assert (response.status_code, response.json()["approver"]) == (200, APPROVER)


async def withdraw(asked: Asked, plan: str, who: str = "C. Archivist", **headers: str) -> httpx.Response:
    path, body = f"retention/plans/{plan}/withdraw", {"withdrawn_by": who}
    return await asked.http.post(path, json=body, headers=APPROVED | headers)


async def test_an_approval_is_withdrawn(start: Start) -> None:
    async with start() as asked:
        one, lines = made(2.5)
        await put_plan(asked, one, lines)
        await approve(asked, one, body(lines))
        for who in ("C. Archivist", "D. Other"):
            response = await withdraw(asked, one, who)
            assert response.status_code == 200
            assert response.json() == {"plan": one, "withdrawn_by": "C. Archivist", "withdrawn_at": NOW.isoformat()}
        assert refusal(await approve(asked, one, body(lines))) == (409, "plan-withdrawn")
        events = [json.loads(message) for message in asked.log.messages if "plan_withdrawn" in message]
        assert events == [{"event": "plan_withdrawn", "plan": one}] * 2


async def test_who_may_withdraw(start: Start) -> None:
    """Whoever may not approve a plan may not withdraw one either, and the principal is recorded."""
    async with start(**ENTRA) as asked:
        one, lines = made(6.7)
        await put_plan(asked, one, lines)
        assert refusal(await withdraw(asked, one, **{"x-approval-key": "another"})) == (403, "wrong-approval-key")
        assert refusal(await withdraw(asked, one)) == (403, "not-an-approver")
        assert refusal(await withdraw(asked, "20260301T030000Z-00000000", **PRINCIPAL)) == (404, "no-such-plan")
        assert refusal(await withdraw(asked, one, " ", **PRINCIPAL)) == (400, "invalid-body")
        response = await withdraw(asked, one, **PRINCIPAL)
        assert (response.status_code, response.json()["withdrawn_by"]) == (200, APPROVER)


async def test_plans_are_for_those_who_see_all_partitions(start: Start) -> None:
    async with start(CALLER_PARTITIONS="Radiology=site-a Admin=*", WEBSITE_AUTH_ENABLED="true") as asked:
        one, lines = made(6.6)
        await put_plan(asked, one, lines)
        for role, is_allowed in (("Radiology", False), ("Admin", True)):
            headers = {"x-ms-client-principal": principal(("oid", "1"), ("roles", role)), **APPROVED}
            answers = [
                await asked.http.get("retention/plans", headers=headers),
                await asked.http.get(f"retention/plans/{one}", headers=headers),
                await asked.http.post(f"retention/plans/{one}/approve", headers=headers, json=body(lines)),
                await withdraw(asked, one, **headers),
            ]
            if is_allowed:
                assert [answer.status_code for answer in answers] == [200] * 4
            else:
                assert [refusal(answer) for answer in answers] == [(403, "not-all-partitions")] * 4


async def test_nothing_of_a_request_is_in_the_log(start: Start) -> None:
    async with start() as asked:
        one, lines = made(1.5)
        await put_plan(asked, one, lines)
        await known(asked, study_row := row(study(new_uid())))
        await told(asked, study_row.key.uid)
        await asked.http.get("retention/studies/canary?canary=canary")
        await asked.http.get(f"retention/plans/{one}", params={"format": "canary"})
        await approve(asked, one, body(lines))
        assert [line["status"] for line in asked.requests()] == [200, 400, 400, 200]
        text = json.dumps([record.getMessage() for record in asked.log.records])
        for secret in (study_row.key.uid, one, "Archivist", "canary"):
            assert secret not in text
