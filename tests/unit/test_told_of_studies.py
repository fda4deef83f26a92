"""What is told of one study, in words and in JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from purge_study.policy.policy import Doubt, Judgement, State
from purge_study.requests.telling import tell_living, tell_purged
from purge_study.rulebook.judging import judgement_of
from purge_study.rulebook.rulebook import Rulebook
from shared.settings import PurgeMode
from tests.kit import studies as retention
from tests.kit.files import Sample
from tests.kit.ledger_rows import patient, reading, row, study
from tests.kit.purged import Purged

POLICY = retention.policy('[[rule]]\nname = "everything else"\nkeep_years = 8')
DOCUMENT = Path(__file__).parents[2] / "docs/retention.md"


def test_the_answer_in_the_document_is_one() -> None:
    """A study like that is told of in these words, today."""
    example = json.loads(
        DOCUMENT.read_text().partition("### Will this study go?")[2].split("```json\n")[1].split("```")[0]
    )
    read = replace(reading({"StudyDate": "20180304"}, patient=patient("7")), instances=214)
    one = row(study(example["study_instance_uid"]), received=datetime(2018, 3, 5, 9, 14, 2, tzinfo=UTC), reading=read)
    judgement = judgement_of(Rulebook(POLICY, {"policy.toml": "5e"}, {}), one, (), date(2026, 3, 6))
    told = tell_living(one, judgement, (), POLICY, PurgeMode.REPORT)
    assert example["studies"] == [json.loads(json.dumps(told))]
    assert list(example["studies"][0]) == list(told)


@pytest.mark.parametrize(
    ("judgement", "words"),
    [
        (Judgement(State.FOREVER, None, "for ever"), "Kept for ever: rule for ever. Tonight it stays."),
        (
            Judgement(State.UNKNOWN, doubts=(Doubt("no_rule"),)),
            "Kept, until somebody looks at it: no rule is for it. Tonight it stays.",
        ),
        (
            Judgement(State.UNKNOWN, doubts=(Doubt("not_whole"),)),
            "Kept, until somebody looks at it: its instances do not agree whose study it is, or hold more than can be "
            "judged. Tonight it stays.",
        ),
    ],
)
def test_a_study_that_does_not_go(judgement: Judgement, words: str) -> None:
    """Whatever the mode, and without a day on which it would."""
    told = tell_living(row(study("1.2")), judgement, (), POLICY, PurgeMode.DELETE)
    assert (told["will_go"], told["goes_from"], told["tonight"], told["words"]) == (False, None, "kept", words)


def test_a_purged_study_without_a_copy() -> None:
    """Nobody is told that it could come back."""
    tombstone = Purged.of([Sample()]).tombstone() | {"vault": None, "restorable_until": None}
    told = tell_purged("site-a", tombstone)
    assert told["restorable_until"] is None
    assert told["words"].endswith('by the rule "everything else". No copy of it was kept.')
