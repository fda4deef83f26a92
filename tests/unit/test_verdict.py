"""From a store's answer to the verdict on a blob."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shared import part10
from shared.dicomweb import InstanceOutcome, StoreReason, StoreResult, StoreStatus
from store_on_upload import verdict as verdict_module
from store_on_upload.setback import NotYet
from store_on_upload.verdict import REASONS, AlreadyStored, Decision, Verdict, advice_on, judge

OURS, OTHER = "1.2.3", "1.2.4"
TAGS = ("00080020",)


def stored(uid: str | None = OURS) -> InstanceOutcome:
    return InstanceOutcome(StoreStatus.STORED, uid)


def warned(reason: int, uid: str | None = OURS) -> InstanceOutcome:
    return InstanceOutcome(StoreStatus.WARNED, uid, None, reason, TAGS)


def failed(reason: int | None, uid: str | None = OURS) -> InstanceOutcome:
    return InstanceOutcome(StoreStatus.FAILED, uid, None, reason, TAGS)


STORED = Decision(Verdict.STORED)


def with_warnings(reason: int) -> Decision:
    return Decision(Verdict.STORED_WITH_WARNINGS, None, reason, TAGS)


def refused(reason: int) -> Decision:
    return Decision(Verdict.REJECTED, "refused", reason, TAGS)


@pytest.mark.parametrize(
    ("status", "outcomes", "expected"),
    [
        # Ours is named
        (200, [stored()], STORED),
        (202, [stored()], STORED),
        (202, [warned(StoreReason.ATTRIBUTES_DROPPED)], with_warnings(1)),
        (202, [warned(StoreReason.IMPLICIT_VR)], with_warnings(45063)),
        (200, [warned(4711)], with_warnings(4711)),
        (202, [failed(StoreReason.INVALID, OTHER), stored()], STORED),
        (202, [stored(OTHER), failed(StoreReason.INVALID)], refused(43264)),
        (409, [failed(StoreReason.INVALID)], refused(43264)),
        (409, [failed(StoreReason.OTHER_STUDY)], refused(43265)),
        (409, [failed(StoreReason.ALREADY_STORED)], AlreadyStored),
        (409, [failed(StoreReason.BEING_STORED)], NotYet),
        (409, [failed(StoreReason.PROCESSING_FAILURE)], NotYet),
        (409, [failed(4711)], NotYet),
        (409, [failed(None)], NotYet),
        # Ours is not named
        (204, [], NotYet),
        (200, [], NotYet),
        (202, [], NotYet),
        (409, [], NotYet),
        (200, [stored(OTHER)], NotYet),
        (200, [stored(None)], NotYet),
        (409, [failed(StoreReason.INVALID, OTHER)], NotYet),
        (409, [failed(StoreReason.ALREADY_STORED, OTHER)], NotYet),
        # The service could not read whose it is
        (409, [failed(StoreReason.INVALID, None)], refused(43264)),
        (409, [failed(StoreReason.PROCESSING_FAILURE, None)], NotYet),
        (202, [failed(StoreReason.INVALID, None), failed(StoreReason.INVALID, None)], NotYet),
    ],
)
def test_with_a_known_uid(status: int, outcomes: list[InstanceOutcome], expected: Decision | type[Exception]) -> None:
    """Only what is said of our instance counts, and what is not said for sure is no verdict yet."""
    judged(StoreResult(status, tuple(outcomes)), OURS, expected)


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([stored(OTHER)], STORED),
        ([failed(StoreReason.INVALID, OTHER)], refused(43264)),
        ([failed(StoreReason.ALREADY_STORED, OTHER)], AlreadyStored),
        ([stored(OTHER), stored(OURS)], NotYet),
        ([], NotYet),
    ],
)
def test_with_an_unknown_uid(outcomes: list[InstanceOutcome], expected: Decision | type[Exception]) -> None:
    """Where we could not find our UID, an answer about one instance is about ours."""
    judged(StoreResult(200, tuple(outcomes)), None, expected)


def judged(result: StoreResult, uid: str | None, expected: Decision | type[Exception]) -> None:
    if isinstance(expected, Decision):
        assert judge(result.outcome_of(uid)) == expected
    else:
        with pytest.raises(expected):
            judge(result.outcome_of(uid))


@pytest.mark.parametrize(
    ("outcome", "study", "reason"),
    [
        (InstanceOutcome(StoreStatus.FAILED, OURS, None, StoreReason.INVALID, ("0020000D",)), "1.2", "other_study"),
        (InstanceOutcome(StoreStatus.FAILED, OURS, None, StoreReason.INVALID, ("0020000D",)), None, "refused"),
        (failed(StoreReason.INVALID), "1.2", "refused"),
        (failed(StoreReason.OTHER_STUDY), "1.2", "other_study"),
        (failed(StoreReason.OTHER_STUDY), None, "refused"),
    ],
)
def test_another_study_than_the_one_it_was_stored_into(
    outcome: InstanceOutcome, study: str | None, reason: str
) -> None:
    """By its code or the tag that is named; and only if a study was named to the service."""
    assert judge(outcome, study).reason == reason


def test_stored_instance_is_named() -> None:
    """The UID of the instance that is there already comes along, to compare the two."""
    with pytest.raises(AlreadyStored) as raised:
        judge(StoreResult(409, (failed(StoreReason.ALREADY_STORED, OTHER),)).outcome_of(None))
    assert raised.value.sop_instance_uid == OTHER


def test_reasons() -> None:
    """A reason that the code gives is one that people are told about, and every text ends as a sentence."""
    folders = [Path(module.__file__ or "").parent for module in (verdict_module, part10)]
    code = "".join(file.read_text() for folder in folders for file in folder.rglob("*.py"))
    given = re.findall(r'(?:Unfit|rejected|ignored|NotYet|Setback|Decision\(Verdict\.[A-Z]+,)\(?\s*"(\w+)"', code)
    assert {"empty", "refused", "name"} <= set(given) <= set(REASONS)
    assert all(text.endswith(".") for text in REASONS.values())


@pytest.mark.parametrize("verdict", Verdict)
def test_what_leaves_the_inbox(verdict: Verdict) -> None:
    """What the service does not have goes to the quarantine; what is not ours stays."""
    assert verdict.quarantines + verdict.is_in_service + (verdict is Verdict.IGNORED) == 1


@pytest.mark.parametrize(
    ("service_code", "words"),
    [(1, "/metadata"), (45063, "implicit VR"), (4711, "service_code"), (None, "service_code")],
)
def test_a_store_with_warnings_has_advice(service_code: int | None, words: str) -> None:
    """The receipt says what the DICOM service warned of, and what to do."""
    assert words in (advice_on(Verdict.STORED_WITH_WARNINGS, None, service_code) or "")


def test_a_reason_has_its_own_advice() -> None:
    """A verdict without a reason or a warning needs none."""
    assert advice_on(Verdict.REJECTED, "empty", None) == REASONS["empty"]
    assert advice_on(Verdict.STORED, None, None) is None
