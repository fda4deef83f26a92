"""Readiness, extended query tags, the stop switch and purged studies are asked for once, however many want to know."""

from __future__ import annotations

import asyncio

import pytest

from shared import kept
from shared.kept import Kept

SECONDS = 10.0


class Question:
    """Takes as long to be answered as the answer is kept, and counts how often it is asked."""

    def __init__(self, answer: bool) -> None:
        self.answer = answer
        self.asked = 0
        self.now = 0.0

    async def ask(self) -> bool:
        """Return the answer."""
        self.asked += 1
        await asyncio.sleep(0)  # the others come meanwhile
        self.now += SECONDS
        return self.answer


@pytest.fixture(params=[True, False])
def question(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Question:
    """A question by whose clock time passes."""
    question = Question(request.param)
    monkeypatch.setattr(kept, "monotonic", lambda: question.now)
    return question


async def test_callers_at_the_same_moment_share_one_answer(question: Question) -> None:
    """Even where finding out takes as long as the answer is kept: an outage must not make a queue of them."""
    known = Kept[bool](SECONDS)
    assert await asyncio.gather(*(known.get(question.ask) for _ in range(5))) == [question.answer] * 5
    assert question.asked == 1


async def test_the_answer_is_forgotten_in_time(question: Question) -> None:
    """A service that is back is found to be back."""
    known = Kept[bool](SECONDS)
    before = await known.get(question.ask)
    question.answer = not before
    question.now += SECONDS
    assert await known.get(question.ask) is before
    question.now += 1
    assert await known.get(question.ask) is not before


async def test_callers_at_the_same_moment_share_one_failure(question: Question) -> None:
    """In an outage the last one does not wait for the retries of all before it; the next one asks again."""

    async def fail() -> bool:
        await question.ask()
        raise ConnectionError

    known = Kept[bool](SECONDS)
    found = await asyncio.gather(*(known.get(fail) for _ in range(5)), return_exceptions=True)
    assert [type(one) for one in found] == [ConnectionError] * 5
    assert question.asked == 1
    assert await known.get(question.ask) is question.answer


async def test_whoever_gives_up_leaves_the_others_their_answer(question: Question) -> None:
    """The first caller's run may be out of time."""
    known = Kept[bool](SECONDS)
    first, second = (asyncio.create_task(known.get(question.ask)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await second is question.answer
    assert question.asked == 1
