"""A plan, made from a real ledger, and its documents on a real account."""

from __future__ import annotations

import csv
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, timedelta
from io import StringIO
from typing import Any

import pytest

from purge_study.ledger.row import Row
from purge_study.planning.decision import Circumstances, Decision
from purge_study.planning.documents import write_documents
from purge_study.planning.making import make_plan
from purge_study.planning.night_memory import Memory
from purge_study.planning.plan import Plan
from purge_study.policy.policy import Doubt, Judgement, State
from purge_study.rulebook.rulebook import Rulebook
from purge_study.run import OutOfTime, Run
from shared.settings import RETENTION_RECORDS, PurgeMode
from tests.kit.archive import found, run_over
from tests.kit.ledger_rows import LAST_DAY, kept_until, patient, reading, row, study
from tests.kit.plans import MADE_AT, jsonl
from tests.kit.studies import policy

DATES = ["anchors/a.csv, line 9", "anchors/a.csv: and 7 more lines"]
TODAY = LAST_DAY + timedelta(days=1)
TEN_YEARS = policy('[[rule]]\nname = "all"\nkeep_years = 10\n')
AT_18 = policy('[[rule]]\nname = "all"\nkeep_years = 10\n[[rule]]\nname = "born"\nkeep_until_age = 18\n')


def rulebook(of: Any = TEN_YEARS, **fields: Any) -> Rulebook:
    return Rulebook(of, {"policy.toml": "5e" * 32, "holds/a.csv": "1a" * 32}, {}, **fields)


@pytest.fixture
async def run(azurite: str) -> AsyncIterator[Run]:
    """A run with a ledger of its own."""
    async with run_over(azurite) as run:
        yield run


async def plan_of(run: Run, *rows: Row, by: Rulebook | None = None, today: date = TODAY) -> Plan:
    await run.ledger.write(rows)
    return await make_plan(run, by or rulebook(), today, ["holds/a.csv, line 7", "holds/a.csv, line 3"], DATES)


def of_nobody_else(number: int, **fields: Any) -> Row:
    return row(study(f"1.2.{number}"), **{"reading": reading(patient=patient(str(number))), **fields})


async def test_what_is_due(run: Run) -> None:
    """A plan has what is due with all that an approver has to see, and what concerns the night as a whole."""
    late = of_nobody_else(3, reading=reading({"StudyDate": "20150101"}, patient=patient("3")))
    plan = await plan_of(run, of_nobody_else(1), of_nobody_else(2), replace(late, failures=2), by=rulebook())
    assert [item.key.uid for item in plan.items] == ["1.2.1", "1.2.2", "1.2.3"]
    first = plan.items[0]
    assert (first.rule, first.keep_until, first.instances, first.etag) == ("all", LAST_DAY, 1, "1")
    assert first.modalities == ("CT",)
    assert first.dates["study_date"] == first.dates["patient_last_study"] == date(2016, 3, 5)
    assert (plan.day, plan.studies, plan.before_delete, plan.policy_hash) == (TODAY, 3, "vault", "5e" * 32)
    assert plan.unmatched_holds == ("holds/a.csv, line 3", "holds/a.csv, line 7")
    assert plan.unmatched_dates == tuple(DATES)
    assert plan.months == {"2026-03": {"CT": 3}}
    assert plan.items[2].failures == 2


async def test_equal_inputs(run: Run) -> None:
    """The same ledger, rulebook and day make the same plan, whatever time it is."""
    first = await plan_of(run, *map(of_nobody_else, range(40)))
    again = await plan_of(run)
    assert (again, again.hash) == (first, first.hash)
    assert len(first.items) == 40


async def test_the_last_day_is_kept(run: Run) -> None:
    assert (await plan_of(run, of_nobody_else(1), today=LAST_DAY)).items == ()


async def test_a_study_that_is_judged_otherwise_now(run: Run) -> None:
    newer = row(study("1.2.9"), reading=reading({"StudyDate": "20200101"}, patient=patient("1")), judgement=None)
    assert (await plan_of(run, of_nobody_else(1), newer)).items == ()
    kept = await found(run, study("1.2.1"))
    assert kept.judgement is not None
    assert (kept.judgement.state, kept.judgement.keep_until) == (State.KEPT, date(2030, 1, 1))


async def test_a_study_that_is_in_doubt_now(run: Run) -> None:
    plan = await plan_of(run, of_nobody_else(1), by=rulebook(AT_18))
    assert (plan.items, plan.listed) == ((), {"undated": 1})


async def test_a_study_that_is_held(run: Run) -> None:
    plan = await plan_of(run, of_nobody_else(1), of_nobody_else(2), by=rulebook(restored=frozenset({study("1.2.1")})))
    assert [item.held_by for item in plan.items] == [("restored",), ()]
    assert plan.count == 1


async def test_every_study_is_in_one_group(run: Run) -> None:
    doubts = Judgement(State.UNKNOWN, doubts=(Doubt("undated"), Doubt("no_rule")))
    rows = [*map(of_nobody_else, range(1, 4)), replace(of_nobody_else(4), judgement=doubts)]
    rows += [replace(of_nobody_else(number), judgement=Judgement(State.KEPT)) for number in range(5, 9)]
    plan = await plan_of(run, *rows, by=rulebook(restored=frozenset({study("1.2.1")})))
    assert plan.groups == {"to_delete": 2, "held": 1, "in_doubt": 1, "kept": 4}
    assert sum(plan.groups.values()) == plan.studies == 8
    assert plan.listed == {"no_rule": 1, "undated": 1}


async def test_studies_of_two_partitions(run: Run) -> None:
    rows = [replace(of_nobody_else(1), key=study("1.2.1", partition)) for partition in ("b", "a")]
    assert [item.key.partition for item in (await plan_of(run, *rows)).items] == ["a", "b"]


async def test_no_plan_out_of_time(run: Run) -> None:
    with pytest.raises(OutOfTime):
        await plan_of(replace(run, ends_at=0), of_nobody_else(1))


async def test_what_should_have_gone(run: Run) -> None:
    rows = [of_nobody_else(1), of_nobody_else(2, reading=reading({"StudyDate": "20150101"}, patient=patient("2")))]
    assert (await plan_of(run, *rows, today=date(2026, 4, 1))).months == {"earlier": {"CT": 2}}


async def test_what_goes_when(run: Run) -> None:
    """Of the months to come twelve are shown, the plan's own among them."""
    rows = [
        of_nobody_else(number, judgement=kept_until(day))
        for number, day in enumerate([date(2019, 1, 1), date(2026, 2, 28), date(2027, 2, 28), date(2027, 3, 1)])
    ]
    await run.ledger.write(rows)
    plan = await make_plan(run, rulebook(), date(2019, 1, 1), [])
    assert plan.months == {"2019-01": {"CT": 1}}
    await run.ledger.write(rows)
    # Those that are due are judged again, by which their last day is another one.
    assert (await make_plan(run, rulebook(), date(2026, 3, 4), [])).months == {
        "2026-03": {"CT": 2},
        "2027-02": {"CT": 1},
    }


async def blob(run: Run, name: str) -> tuple[bytes, str | None]:
    download = await run.clients.container(RETENTION_RECORDS).get_blob_client(f"plans/{name}").download_blob()
    return await download.readall(), download.properties.content_settings.content_type


async def test_the_documents(run: Run) -> None:
    """A plan stands in storage in each of its forms, which a browser or a spreadsheet knows what to do with."""
    rows = [of_nobody_else(number) for number in range(3)]
    undated = [of_nobody_else(number, reading=reading({"StudyDate": ""}, patient=patient("x"))) for number in (7, 8)]
    plan = await plan_of(run, *rows, *undated, by=rulebook(restored=frozenset({study("1.2.0")})))
    made = Decision(plan, Circumstances(PurgeMode.APPROVE, TEN_YEARS.brakes, Memory()))
    name = await write_documents(run.clients, run.ledger, made, MADE_AT)
    assert name == f"20260305T030002Z-{plan.hash[:8]}"
    content, kind = await blob(run, f"{name}.jsonl")
    assert (content, kind) == (jsonl(plan), "application/jsonl; charset=utf-8")
    html, kind = await blob(run, f"{name}.html")
    assert kind == "text/html; charset=utf-8"
    assert b"1.2.7" in html
    table, kind = await blob(run, f"{name}.csv")
    assert kind == "text/csv; charset=utf-8; header=present"
    assert [line[1] for line in csv.reader(StringIO(table.decode())) if line[:1] in (["1"], ["2"], ["3"])][:3] == [
        "1.2.0",
        "1.2.1",
        "1.2.2",
    ]
    listed, _ = await blob(run, f"{name}.listed.jsonl")
    head, *studies = map(json.loads, listed.splitlines())
    assert (head["plan"], head["listed"]) == (name, {"undated": 2})
    assert [one["study"] for one in studies] == ["1.2.7", "1.2.8"]
    assert "not known" in studies[0]["doubts"][0]["words"]
    summary = json.loads((await blob(run, f"{name}.json"))[0])
    assert next(iter(summary)) == "before_delete"
    assert (summary["to_delete"], summary["held"], summary["tonight"], summary["hash"]) == (2, 1, 0, plan.hash)
    assert [stop["code"] for stop in summary["stops"]] == ["first_run"]
