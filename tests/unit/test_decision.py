"""What of a plan goes tonight, and what is said of the rest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from purge_study.planning import wording
from purge_study.planning.approvals import Approval, Approved
from purge_study.planning.decision import Circumstances, Decision
from purge_study.planning.night_memory import Memory
from purge_study.planning.plan import Item, Plan, plan_id
from purge_study.policy.model import Brakes
from shared.settings import PurgeMode
from tests.kit.plans import DAY, MADE_AT, decision, item, memory, night, plan

USUAL = tuple(night(days_ago, 3) for days_ago in range(8, 0, -1))  # three a night, so nine are allowed
# What every run may meet, by the code that its event has.
OBSTACLES = [
    "stopped",
    "clock_off",
    "no_policy",
    "policy_unreadable",
    "policy_invalid",
    "list_unreadable",
    "list_invalid",
    "list_unfinished",
    "list_too_old",
    "hold_vanished",
    "hold_matches_nothing",
    "feed_behind",
    "ledger_unfinished",
]


def approval_of(of: Plan, **changes: Any) -> Approved:
    approval = Approval(plan_id(of, MADE_AT), of.hash, of.count, "Dr. Ada Example", MADE_AT + timedelta(hours=6))
    versions = frozenset(one.version for one in of.to_delete)
    return replace(Approved(approval, of.policy_hash, of.before_delete, versions), **changes)


def numbers(items: Iterable[Item]) -> list[int]:
    return [int(one.key.uid.rpartition(".")[2]) for one in items]


def test_an_ordinary_night() -> None:
    """What is due goes, the longest overdue first, and nothing is said against it."""
    made = decision(plan(4))
    assert (numbers(made.items), made.stops, made.waits, made.ended) == ([0, 1, 2, 3], (), {}, "accepted")


def test_per_night_only_slows() -> None:
    """The longest overdue go first, the rest wait."""
    made = decision(plan(9), brakes=Brakes(per_night=4))
    assert (numbers(made.items), made.waits, made.ended) == ([0, 1, 2, 3], {"per_night": 5}, "accepted")


def test_held_studies_stay() -> None:
    """They neither go nor take a place from others."""
    made = decision(plan([item(0, held_by=("litigation",)), item(1), item(2)]), brakes=Brakes(per_night=2))
    assert (numbers(made.items), made.waits) == ([1, 2], {"held": 1})


def test_what_fails_over_and_over_does_not_stop_the_others() -> None:
    """From three runs in a row on a study comes after all others, of which there may be a night's worth."""
    failing = [item(0, failures=9), item(1, failures=3), item(2, failures=2), item(3), item(4)]
    assert numbers(decision(plan(failing), brakes=Brakes(per_night=3)).items) == [2, 3, 4]
    assert numbers(decision(plan(failing)).items) == [2, 3, 4, 0, 1]
    assert decision(plan(failing)).waits == {"failing": 2}


@pytest.mark.parametrize("obstacle", OBSTACLES)
@pytest.mark.parametrize("mode", PurgeMode)
def test_an_obstacle(obstacle: str, mode: PurgeMode) -> None:
    """Nothing is deleted, approved or not; the plan does not count for those to come; the page says how to go on."""
    of = plan(3)
    made = decision(of, mode, obstacles=[obstacle], approved=[approval_of(of)])
    assert (made.items, made.ended) == ((), "hindered")
    assert obstacle in made.stops
    assert all(reason.what and reason.how for reason in wording.stops(made))


def test_a_memory_that_cannot_be_read() -> None:
    """Nothing is deleted, and it is not taken for a first run, whose plan would count."""
    made = decision(plan(3), memory=Memory(is_readable=False))
    assert (made.items, made.stops, made.ended) == ((), ("memory_unreadable",), "hindered")


@pytest.mark.parametrize(
    ("met", "code"),
    [
        ({"memory": Memory()}, "first_run"),
        ({"memory": Memory(USUAL)}, "first_run"),
        ({"memory": memory(policy_hash="00" * 32)}, "policy_changed"),
        ({"reports": ["list_changed"]}, "list_changed"),
        ({"mode": PurgeMode.REPORT}, "mode_report"),
    ],
)
def test_a_report(met: dict[str, Any], code: str) -> None:
    """Nothing is deleted, approved or not; what would be is told; the plan counts for those to come."""
    of = plan(3)
    made = decision(of, **{"approved": [approval_of(of)], **met})
    assert (made.items, made.stops, len(made.would_go), made.ended) == ((), (code,), 3, "accepted")


@pytest.mark.parametrize(
    ("studies", "known", "due", "goes"),
    [
        (1000, 0, 20, 20),  # 2 % of 1,000
        (1000, 0, 21, 0),
        (1001, 0, 21, 21),  # rounded up
        (1000, 15, 35, 35),  # what the last plan had does not count again
        (1000, 15, 36, 0),
        (10, 0, 1, 1),  # one at least
        (10, 0, 2, 0),
    ],
)
def test_the_share_that_may_fall_due(studies: int, known: int, due: int, goes: int) -> None:
    """More than `max_share` of all studies newly due, and nothing goes."""
    of = plan(due, studies=studies)
    made = decision(of, memory=memory(known=of.items[:known]))
    assert (len(made.items), made.newly_due) == (goes, due - known)
    assert (made.stops, made.ended) == (((), "accepted") if goes else (("over_max_share",), "tripped"))


def test_a_plan_over_the_share_stays_so() -> None:
    """A plan that tripped does not count: the same studies trip it tomorrow."""
    tripped = decision(plan(30))
    tomorrow = decision(plan(30, day=DAY + timedelta(days=1)), memory=tripped.noted("x", 0))
    assert tomorrow.stops == ("over_max_share",)


@pytest.mark.parametrize("met", [{"mode": PurgeMode.REPORT}, {"reports": ["list_changed"]}])
def test_a_report_over_the_share_does_not_count(met: dict[str, Any]) -> None:
    """Only a first run and a changed policy begin anew: neither the mode nor a list lets the brake be slipped."""
    made = decision(plan(21), **met)
    assert (made.stops[-1], made.ended) == ("over_max_share", "tripped")


@pytest.mark.parametrize("mode", [PurgeMode.APPROVE, PurgeMode.DELETE])
def test_no_approval_lifts_the_share(mode: PurgeMode) -> None:
    """Whoever approves a plan over `max_share` has nothing of it deleted."""
    of = plan(21)
    made = decision(of, mode, approved=[approval_of(of)])
    assert (made.items, made.stops) == ((), ("over_max_share",))


@pytest.mark.parametrize(
    "new", [{"memory": Memory()}, {"memory": memory(policy_hash="00" * 32)}], ids=["first run", "policy changed"]
)
def test_how_to_go_on_over_the_share(new: dict[str, Any]) -> None:
    """A first run, or a changed policy, reports however much is due; the next one deletes a night's worth of it."""
    of = plan(900)
    first = decision(of, **new)
    assert (first.items, first.ended) == ((), "accepted")
    second = decision(replace(of, day=DAY + timedelta(days=1)), memory=first.noted("x", 0))
    assert (len(second.items), second.stops, second.newly_due) == (500, (), 0)


def test_studies_that_were_released_are_newly_due() -> None:
    """A hold list that suddenly holds nothing sets studies free that no plan was going to delete."""
    before = [item(number, held_by=("litigation",)) for number in range(40)]
    yesterday = decision(plan(before))
    today = decision(plan(40), memory=yesterday.noted("x", 0))
    assert (today.newly_due, today.items) == (40, ())


@pytest.mark.parametrize(("due", "goes"), [(9, 9), (10, 0)])
def test_more_than_usual(due: int, goes: int) -> None:
    """More than three times the usual, and nothing goes."""
    made = decision(plan(due), memory=memory(*USUAL))
    assert (len(made.items), made.stops) == (goes, () if goes else ("over_max_times_usual",))
    assert made.ended == ("accepted" if goes else "tripped")


def test_held_studies_and_those_of_another_night_are_not_compared_with_the_usual() -> None:
    """What counts is what would be deleted tonight."""
    of = plan([*(item(number, held_by=("litigation",)) for number in range(5)), *map(item, range(5, 20))])
    assert len(decision(of, memory=memory(*USUAL), brakes=Brakes(per_night=9)).items) == 9


def test_an_approved_plan_may_be_more_than_usual() -> None:
    """It goes on another night, and what has fallen due since goes with it while that is not more than usual."""
    yesterday = plan([item(number) for number in range(15)])
    met: dict[str, Any] = {"memory": memory(*USUAL), "approved": [approval_of(yesterday)]}
    assert len(decision(plan(15 + 9, studies=2000), **met).items) == 24
    over = decision(plan(15 + 10, studies=2000), **met)
    assert (numbers(over.items), over.stops, over.unapproved) == (list(range(15)), ("over_max_times_usual",), 10)


def test_a_report_is_not_compared_with_the_usual() -> None:
    """It says so, but nothing is deleted: the plan counts for those to come."""
    made = decision(plan(15), PurgeMode.REPORT, memory=memory(*USUAL))
    assert (made.stops, made.ended) == (("mode_report", "over_max_times_usual"), "accepted")


def test_nothing_goes_that_nobody_approved() -> None:
    """With PURGE_MODE=approve a plan waits for its approval."""
    made = decision(plan(3), PurgeMode.APPROVE)
    assert (made.items, made.stops, made.waits, made.ended) == ((), (), {"awaiting_approval": 3}, "accepted")


def test_what_is_approved_goes() -> None:
    """What has fallen due since waits for an approval of its own; each study knows by which one it goes."""
    approved = approval_of(plan(2))
    made = decision(plan(3), PurgeMode.APPROVE, approved=[approved])
    assert (numbers(made.items), made.waits) == ([0, 1], {"awaiting_approval": 1})
    assert {made.approvals[one.key] for one in made.items} == {approved.approval}


@pytest.mark.parametrize(
    "changed",
    [
        item(0, instances=99),
        item(0, received=MADE_AT),
        item(0, keep_until=item(0).keep_until - timedelta(days=1)),
        item(0, key=replace(item(0).key, partition="another")),
    ],
    ids=["instances", "received", "keep_until", "partition"],
)
def test_a_study_that_has_changed_is_not_approved(changed: Item) -> None:
    """An approval is for a study as it stood in the plan."""
    assert decision(plan([changed]), PurgeMode.APPROVE, approved=[approval_of(plan(1))]).items == ()


def test_a_study_that_was_held_is_not_approved() -> None:
    """Whoever approved the plan read that it stays; its release is for another approval."""
    approved = approval_of(plan([item(0, held_by=("litigation",)), item(1)]))
    assert numbers(decision(plan(2), PurgeMode.APPROVE, approved=[approved]).items) == [1]


def test_an_approval_is_for_a_policy() -> None:
    """Under another one the same studies are to be approved again."""
    approved = approval_of(plan(2, policy_hash="00" * 32))
    assert decision(plan(2), PurgeMode.APPROVE, approved=[approved]).items == ()


@pytest.mark.parametrize(
    ("approved", "tonight", "goes"),
    [("vault", "vault", 2), ("none", "none", 2), ("none", "vault", 2), ("vault", "none", 0)],
)
def test_an_approval_with_copies_is_none_without(approved: str, tonight: str, goes: int) -> None:
    """Whoever approved a plan whose head promised a copy has not approved a deletion without."""
    of = approval_of(plan(2, before_delete=approved))
    assert len(decision(plan(2, before_delete=tonight), PurgeMode.APPROVE, approved=[of]).items) == goes


def test_what_is_noted() -> None:
    """A night is noted before its first deletion, and again with their number; only one that counts takes the place."""
    of = plan([item(0), item(1, held_by=("litigation",)), item(2)])
    made = decision(of)
    before, after = made.noted("x"), made.noted("x", 1)
    assert [(one.planned, one.deleted) for one in before.nights] == [(2, None)]
    assert [(one.planned, one.deleted) for one in after.nights] == [(2, 1)]
    assert after.accepted is not None
    assert after.accepted.keys == {of.items[0].key, of.items[2].key}
    again = Decision(of, Circumstances(PurgeMode.DELETE, Brakes(), before)).noted("x", 2)
    assert [one.deleted for one in again.nights] == [2]


@pytest.mark.parametrize("met", [{"obstacles": ["stopped"]}, {"brakes": Brakes(max_share=0.001)}])
def test_a_plan_that_does_not_count(met: dict[str, Any]) -> None:
    """The last one that does stays the one that is compared with."""
    known = memory(known=[item(99)])
    assert decision(plan(3), memory=known, **met).noted("x", 0).accepted == known.accepted


def test_the_words_have_the_figures() -> None:
    """Each reason says what is so, in figures, and what can be done about it."""
    of = plan([*map(item, range(40)), item(40, held_by=("litigation",))])
    made = decision(of, memory=memory(*USUAL), brakes=Brakes(per_night=30))
    share, usual = wording.stops(made)
    assert "40 of 1,000 studies. The policy allows 20: its max_share is 0.02." in share.what
    assert "raise max_share" in share.how
    assert "30 studies. The policy allows 9, which is its max_times_usual of 3 times the usual 3 a night" in usual.what
    assert "approve this plan" in usual.how
    held, later = wording.waits(made)
    assert "1 of the studies" in held.what
    assert "10 studies wait" in later.what


def test_every_code_has_its_words() -> None:
    """Nobody is left with a code alone."""
    assert set(OBSTACLES) < wording.OBSTACLES.keys()
    assert wording.REPORTS.keys() == {"first_run", "policy_changed", "list_changed", "ledger_new", "mode_report"}
