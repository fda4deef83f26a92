"""Each request of a run fails in turn, in each way; and things change before each of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import chain, count

import pytest
from azure.core.exceptions import AzureError, ResourceExistsError

from purge_study.executing.execute import Outcome
from purge_study.executing.reasons import Halt
from shared.leases import LeaseTaken
from shared.settings import RETENTION_RECORDS, RETENTION_STATE
from tests.kit.deletions import (
    ALL,
    HERE,
    LARGE_BYTES,
    PLAN,
    POLICY,
    SERVICE,
    Deletions,
    Victim,
    bring_to_an_end,
    large,
)
from tests.kit.files import Sample
from tests.kit.gateway import Fault, Moment, Step

pytestmark = pytest.mark.anyio

# So many requests before the deletion the intent is written; before that there is nothing to bring to an end.
EARLY = 16

FAULTS: dict[str, Callable[[int], Fault]] = {
    "never arrives": lambda at: Fault(at, Moment.BEFORE),
    "answer lost": lambda at: Fault(at, Moment.AFTER),
    "403": lambda at: Fault(at, Moment.BEFORE, status=403),
    "404": lambda at: Fault(at, Moment.BEFORE, status=404),
    "503 from then on": lambda at: Fault(at, Moment.BEFORE, status=503, times=ALL),
    "carried out, and 500": lambda at: Fault(at, Moment.AFTER, status=500),
    "204 without it": lambda at: Fault(at, Moment.BEFORE, status=204, target=SERVICE),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_each_request_fails(deletions: Deletions, name: str) -> None:
    """Whatever fails: what is gone has a tombstone in the end, what is there has none, and is deleted another night."""
    warrant = await deletions.warrant()
    first = await deletions.number_of_deletion(warrant) - EARLY
    of_service = [step.number for step in deletions.gateway.steps if step.target == SERVICE]
    questions = [number for number in of_service if number < first]
    struck: list[Victim] = []
    for number in chain(questions if name == "404" else (), count(first)):
        if name == "204 without it" and number not in of_service and number <= of_service[-1]:
            continue  # nothing else is struck by it
        victim = await deletions.due(warrant=warrant)
        struck.append(victim)
        with suppress(Halt, AzureError, LeaseTaken):
            await deletions.run(victim, warrant=warrant, fault=FAULTS[name](number))
        steps = len(deletions.gateway.steps)
        deletions.let_lease_end()
        victim.check_meanwhile()
        if number >= first and steps < number:
            break
    assert len(struck) > EARLY
    await bring_to_an_end(deletions, warrant, struck)


def _stop(victim: Victim) -> None:
    victim.deletions.write("STOP", "")


def _policy(victim: Victim) -> None:
    victim.deletions.write("policy.toml", POLICY.replace("keep_years = 5", "keep_years = 6"))


def _hold(victim: Victim) -> None:
    victim.deletions.write("litigation.csv", f"study_instance_uid\n{victim.key.uid}\n")


def _instance(victim: Victim) -> None:
    first = victim.samples[0]
    victim.deletions.store(first.sibling(elements=first.elements), partition=HERE)


def _withdraw(victim: Victim) -> None:
    name = f"withdrawals/{PLAN}.json"  # one that cannot be read withdraws as well
    with suppress(ResourceExistsError):
        victim.deletions.storage.get_blob_client(RETENTION_RECORDS, name).upload_blob(b"")


def _patient(victim: Victim) -> None:
    of_patient = {**victim.samples[0].elements, 0x00080020: ("DA", b"20240101")}
    victim.deletions.store(Sample(elements=of_patient), partition=HERE)


def _put_back(victim: Victim) -> None:
    name = f"restored/{victim.key.partition}/{victim.key.uid}/any/any.json"  # one that cannot be read holds as well
    victim.deletions.storage.get_blob_client(RETENTION_RECORDS, name).upload_blob(b"", overwrite=True)


# What happens, how many requests before the deletion it is still seen, and what comes of it.
EVENTS: dict[str, tuple[Callable[[Victim], None], int, set[str]]] = {
    "STOP": (_stop, 1, {"rules_changed"}),
    "the policy changes": (_policy, 1, {"rules_changed"}),
    "a hold is added": (_hold, 1, {"rules_changed"}),
    "an instance comes": (_instance, 2, {"changed"}),
    "it is put back": (_put_back, 3, {"changed"}),
    "its plan is withdrawn": (_withdraw, 5, {"plan_withdrawn"}),
    "the patient comes back": (_patient, 14, {"changed"}),  # before the search of the second of three partitions
}


async def _ending(run: Awaitable[list[Outcome]]) -> str:
    try:
        [outcome] = await run
    except Halt as halt:
        return halt.code
    return outcome.value


@pytest.mark.parametrize("name", EVENTS)
async def test_something_happens_before_each_request(deletions: Deletions, name: str) -> None:
    warrant = await deletions.warrant()
    deletion = await deletions.number_of_deletion(warrant)
    act, margin, endings = EVENTS[name]
    last = deletion - margin
    for number in (1, *range(last - EARLY, last + 1)):  # of the many requests before, one will do
        deletions.begin()
        warrant = await deletions.warrant()
        victim = await deletions.due(warrant=warrant)
        happening = Fault(number, Moment.BEFORE, meanwhile=lambda victim=victim: act(victim))  # type: ignore[misc]
        assert await _ending(deletions.run(victim, warrant=warrant, fault=happening)) in endings, number
        victim.check_untouched()
        assert victim.intent is None
        assert number > 1 or victim.vaulted() == {}


async def test_somebody_else_is_faster(deletions: Deletions) -> None:
    warrant = await deletions.warrant()
    deletion = await deletions.number_of_deletion(warrant)
    victim = await deletions.due(warrant=warrant)

    def delete() -> None:
        assert deletions.service.delete(f"/partitions/{HERE}/studies/{victim.key.uid}") == 204

    faster = Fault(deletion, Moment.BEFORE, meanwhile=delete)
    assert await deletions.run(victim, warrant=warrant, fault=faster) == [Outcome.DELETED]
    assert (await victim.check_deleted())["ending"] == "already_gone"


@pytest.mark.parametrize(
    ("moment", "status", "times", "is_gone"),
    [
        pytest.param(Moment.BEFORE, 204, 1, False, id="not carried out, and 204"),
        pytest.param(Moment.BEFORE, 204, ALL, False, id="not carried out, and 204 from then on"),
        pytest.param(Moment.AFTER, None, 1, True, id="carried out, and the answer lost"),
        pytest.param(Moment.AFTER, 500, 1, True, id="carried out, and 500"),
    ],
)
async def test_what_the_service_has_counts_and_not_how_it_answers_the_deletion(
    deletions: Deletions, moment: Moment, status: int | None, times: int, is_gone: bool
) -> None:
    warrant = await deletions.warrant()
    deletion = await deletions.number_of_deletion(warrant)
    victim = await deletions.due(warrant=warrant)
    lie = Fault(deletion, moment, status=status, times=times, target=SERVICE)
    [outcome] = await deletions.run(victim, warrant=warrant, fault=lie)
    if is_gone:
        assert outcome is Outcome.DELETED
        assert (await victim.check_deleted())["ending"] == "deleted"
    else:
        assert outcome is Outcome.FAILED
        victim.check_untouched()
        assert victim.intent


@pytest.mark.parametrize("container", [RETENTION_RECORDS, RETENTION_STATE])
async def test_recorded_and_not_told(deletions: Deletions, container: str) -> None:
    warrant = await deletions.warrant()
    deletion = await deletions.number_of_deletion(warrant)
    steps = deletions.gateway.steps[deletion:]
    number = next(step.number for step in steps if step.method == "PUT" and f"/{container}/" in step.path)
    victim = await deletions.due(warrant=warrant)
    assert await deletions.run(victim, warrant=warrant, fault=Fault(number, Moment.AFTER)) == [Outcome.DELETED]
    await victim.check_deleted()
    assert deletions.policy.refused == ["PUT retention-records"] * (container == RETENTION_RECORDS)


async def test_a_copy_is_added_although_an_answer_is_lost(deletions: Deletions) -> None:
    warrant = await deletions.warrant()
    assert await deletions.run(await deletions.due(large(), warrant=warrant), warrant=warrant) == [Outcome.DELETED]
    additions = [step for step in deletions.gateway.steps if step.method == "PUT" and "/dicom-vault/" in step.path]
    assert [step.path.partition("?")[2] for step in additions] == ["", *["comp=appendblock"] * 3, ""]
    for number in [step.number for step in additions]:
        victim = await deletions.due(large(), warrant=warrant)
        lost = Fault(number, Moment.AFTER)
        assert await deletions.run(victim, warrant=warrant, fault=lost) == [Outcome.DELETED]
        await victim.check_deleted()


async def test_a_copy_begun_in_vain_is_begun_anew(deletions: Deletions, monkeypatch: pytest.MonkeyPatch) -> None:
    victim = await deletions.due(large())
    answers: list[int] = []

    def cut(step: Step, answer: bytes) -> bytes:
        if step.target == SERVICE and "/instances/" in step.path and len(answer) > LARGE_BYTES:
            answers.append(len(answer))
            return answer[:LARGE_BYTES] if len(answers) == 1 else answer
        return answer

    monkeypatch.setattr(deletions.gateway, "_rewritten", cut)
    assert await deletions.run(victim) == [Outcome.DELETED]
    assert len(answers) == 2
    await victim.check_deleted(left=1)


@pytest.mark.parametrize(("status", "times"), [(401, ALL), (403, ALL), (403, 1)])
async def test_no_right_to_delete(deletions: Deletions, status: int, times: int) -> None:
    warrant = await deletions.warrant()
    deletion = await deletions.number_of_deletion(warrant)
    victims = [await deletions.due(warrant=warrant), await deletions.due(warrant=warrant)]
    denied = Fault(deletion, Moment.BEFORE, status=status, times=times, target=SERVICE)
    with pytest.raises(Halt, match="service_denies"):
        await deletions.run(*victims, warrant=warrant, fault=denied)
    assert [step.method for step in deletions.gateway.steps if step.target == SERVICE].count("DELETE") == 1
    for victim in victims:
        victim.check_untouched()
        assert victim.intent is None
        assert victim.vaulted() == {} or victim is victims[0]


async def test_throttled_at_the_deletion(deletions: Deletions) -> None:
    warrant = await deletions.warrant()
    deletion = await deletions.number_of_deletion(warrant)
    victim = await deletions.due(warrant=warrant)
    throttled = Fault(deletion, Moment.BEFORE, status=503)
    with pytest.raises(Halt, match="service_busy"):
        await deletions.run(victim, warrant=warrant, fault=throttled)
    victim.check_untouched()
    assert [step.method for step in deletions.gateway.steps if step.target == SERVICE].count("DELETE") == 1
    row = await deletions.row(victim.key)
    assert row is not None
    assert row.failures == 1


async def test_one_that_fails_does_not_stop_the_others(deletions: Deletions) -> None:
    warrant = await deletions.warrant()
    victims = [await deletions.due(warrant=warrant), await deletions.due(warrant=warrant)]
    broken = {"fault": "status", "kind": "retrieve", "status": 500, "requests": 3}
    deletions.inject(broken)
    assert await deletions.run(*victims, warrant=warrant) == [Outcome.FAILED, Outcome.DELETED]
    victims[0].check_untouched()
    row = await deletions.row(victims[0].key)
    assert row is not None
    assert row.failures == 1
    await victims[1].check_deleted()


async def test_two_runs_at_once(deletions: Deletions) -> None:
    warrant = await deletions.warrant()
    victim = await deletions.due(warrant=warrant)
    runs = [deletions.run(victim, warrant=warrant) for _ in range(2)]
    results = await asyncio.gather(*runs, return_exceptions=True)
    assert [Outcome.DELETED] in results
    assert sum(isinstance(result, LeaseTaken) for result in results) == 1
    await victim.check_deleted()


async def test_lease_lost_before_the_deletion(deletions: Deletions) -> None:
    warrant = await deletions.warrant()
    deletion = await deletions.number_of_deletion(warrant)
    for number in (deletion - EARLY, deletion - 5, deletion - 4):
        victim = await deletions.due(warrant=warrant)
        losing = Fault(number, Moment.BEFORE, meanwhile=deletions.let_lease_end)
        with pytest.raises(Halt, match="lease_lost"):
            await deletions.run(victim, warrant=warrant, fault=losing)
        victim.check_untouched()
