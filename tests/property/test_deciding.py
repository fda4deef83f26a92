"""Whatever is due and was before: a night deletes no more than its brakes, its mode and its approvals allow."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from purge_study.planning.approvals import Approval, Approved
from purge_study.planning.decision import Circumstances, Decision
from purge_study.planning.night_memory import Accepted, Memory, Night
from purge_study.planning.plan import Plan, in_order
from purge_study.planning.wording import OBSTACLES, stops, waits
from purge_study.policy.model import Brakes
from shared.settings import PurgeMode
from tests.kit.plans import DAY, MADE_AT, POLICY_HASH, item, jsonl, plan, read_back

HASHES = st.sampled_from([POLICY_HASH, "00" * 32])
SAFEGUARDS = st.sampled_from(["vault", "none"])


ITEMS = st.lists(
    st.builds(
        item,
        st.integers(0, 25),
        held_by=st.sampled_from([(), (), ("litigation",)]),
        failures=st.sampled_from([0, 1, 5]),
        instances=st.sampled_from([1, 1, 2]),
    ),
    unique_by=lambda one: one.key,
    max_size=20,
).map(in_order)
PLANS = st.builds(plan, ITEMS, studies=st.integers(0, 1500), before_delete=SAFEGUARDS, policy_hash=HASHES)
NIGHTS = st.builds(
    Night,
    day=st.integers(-2, 40).map(lambda days: DAY - timedelta(days=days)),
    plan_id=st.uuids().map(str),
    ended=st.sampled_from(["accepted", "tripped", "hindered"]),
    newly_due=st.just(0),
    planned=st.integers(0, 9),
    deleted=st.none() | st.integers(0, 9),
)
ACCEPTED = st.builds(
    Accepted,
    st.just("x"),
    st.just("00"),
    HASHES,
    ITEMS.map(lambda known: frozenset(one.key for one in known)),
)
MEMORIES = st.builds(
    Memory,
    st.lists(NIGHTS, max_size=12).map(lambda nights: tuple(sorted(nights, key=lambda night: night.day))),
    st.none() | ACCEPTED,
    st.sampled_from([True, True, True, False]),
)
BRAKES = st.builds(
    Brakes,
    per_night=st.integers(1, 25),
    max_share=st.floats(0.0001, 1),
    max_times_usual=st.floats(1, 5),
)
APPROVALS = st.builds(
    Approved,
    st.just(Approval("x", "00", 1, "A. Reader", MADE_AT)),
    HASHES,
    SAFEGUARDS,
    ITEMS.map(lambda approved: frozenset(one.version for one in approved)),
)
CIRCUMSTANCES = st.builds(
    Circumstances,
    st.sampled_from(PurgeMode),
    BRAKES,
    MEMORIES,
    st.lists(st.sampled_from(sorted(OBSTACLES)), max_size=1),
    st.lists(st.just("list_changed"), max_size=1),
    st.lists(APPROVALS, max_size=2),
)
# Those in which something may well be deleted.
FREE = st.builds(
    Circumstances,
    st.sampled_from([PurgeMode.APPROVE, PurgeMode.DELETE]),
    BRAKES,
    st.builds(Memory, MEMORIES.map(lambda memory: memory.nights), ACCEPTED),
    approved=st.lists(APPROVALS, max_size=2),
)


@given(PLANS, CIRCUMSTANCES | FREE)
def test_what_is_deleted(of: Plan, met: Circumstances) -> None:
    """Only what is in the plan, not held, once each; in a night no more than `per_night`, earlier runs included."""
    made = Decision(of, met)
    taken = sum(
        night.planned if night.deleted is None else night.deleted for night in met.memory.nights if night.day == DAY
    )
    assert all(one in of.to_delete for one in made.items)
    assert len(made.items) == len({one.key for one in made.items})
    assert not any(one.held_by for one in made.items)
    assert len(made.items) <= max(0, met.brakes.per_night - taken)


@given(PLANS, CIRCUMSTANCES)
def test_any_obstacle_keeps_all(of: Plan, met: Circumstances) -> None:
    """With an obstacle, in a report, and in a first run nothing is deleted, whoever approved it; words say why."""
    made = Decision(of, met)
    accepted = met.memory.accepted
    if (
        met.obstacles
        or met.reports
        or not met.memory.is_readable
        or met.mode is PurgeMode.REPORT
        or accepted is None
        or accepted.policy_hash != of.policy_hash
    ):
        assert made.items == ()
        assert stops(made)


@given(PLANS, FREE)
def test_more_newly_due_than_allowed_keeps_all(of: Plan, met: Circumstances) -> None:
    """Over `max_share` nothing is deleted, and no approval widens it."""
    made = Decision(of, met)
    known = met.memory.accepted.keys if met.memory.accepted else frozenset()
    newly_due = len({one.key for one in of.to_delete} - known)
    if newly_due > max(1, met.brakes.max_share * of.studies + 1):
        assert made.items == ()
    assert Decision(of, replace(met, approved=())).is_over_share == made.is_over_share


@given(PLANS, FREE, st.data())
def test_more_due_deletes_no_more_than_the_brakes_allow(of: Plan, met: Circumstances, data: st.DataObject) -> None:
    """Whatever falls due besides, what goes without an approval stays within what is usual."""
    more = data.draw(ITEMS)
    larger = replace(of, items=in_order({one.key: one for one in (*of.items, *more)}.values()))
    for made in (Decision(of, met), Decision(larger, met)):
        unapproved = [one for one in made.items if one.key not in made.approvals]
        assert made.limits.unapproved is None or len(unapproved) <= made.limits.unapproved


@given(PLANS, FREE)
def test_nothing_goes_unapproved_in_that_mode(of: Plan, met: Circumstances) -> None:
    """What goes was in an approved plan, unchanged, under the same policy, with no weaker safeguard."""
    made = Decision(of, replace(met, mode=PurgeMode.APPROVE))
    for one in made.items:
        assert any(
            one.version in approved.versions
            and approved.policy_hash == of.policy_hash
            and (approved.before_delete, of.before_delete) != ("vault", "none")
            for approved in met.approved
        )


@given(PLANS, CIRCUMSTANCES | FREE)
def test_equal_inputs_are_decided_equally(of: Plan, met: Circumstances) -> None:
    """A decision, its words and the hash of its plan depend on nothing else, and the plan survives its file."""
    again = read_back(jsonl(of))
    assert again.hash == of.hash
    one, other = Decision(of, met), Decision(again, met)
    assert (one.items, one.stops, one.ended) == (other.items, other.stops, other.ended)
    assert (stops(one), waits(one)) == (stops(other), waits(other))


@given(PLANS, CIRCUMSTANCES | FREE)
def test_what_counts_for_the_next_night(of: Plan, met: Circumstances) -> None:
    """A plan that deletes something without an approval counts; one that was hindered, or over the share, does not."""
    made = Decision(of, met)
    after = made.noted("tonight", 0)
    assert after.nights[-1].planned == len(made.items)
    if any(one.key not in made.approvals for one in made.items):
        assert made.ended == "accepted"
    if made.obstacles or made.is_over_share:
        assert after.accepted == met.memory.accepted


@given(PLANS, FREE, st.integers(1, 5))
def test_a_brake_that_tripped_stays_tripped(of: Plan, met: Circumstances, nights: int) -> None:
    """Night after night the same plan is over `max_share`, until the policy changes."""
    made = Decision(of, met)
    if made.is_over_share:
        for number in range(nights):
            later = replace(made.plan, day=made.plan.day + timedelta(days=1))
            made = Decision(later, replace(met, memory=made.noted(str(number), 0)))
            assert made.items == ()
