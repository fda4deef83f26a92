"""Readiness and extended query tags are asked for once, however many want to know."""

from __future__ import annotations

import asyncio

import pytest

from query_api.kept import Kept


class Question:
    """Takes its time to be answered, and counts how often it is asked."""

    def __init__(self, answer: bool) -> None:
        self.answer = answer
        self.asked = 0

    async def ask(self) -> bool:
        """Return the answer."""
        self.asked += 1
        await asyncio.sleep(0.05)
        return self.answer


@pytest.mark.parametrize("answer", [True, False])
async def test_callers_at_the_same_moment_share_one_answer(answer: bool) -> None:
    """Even where finding out takes as long as the answer is kept: an outage must not make a queue of them."""
    kept, question = Kept[bool](0.05), Question(answer)
    assert await asyncio.gather(*(kept.get(question.ask) for _ in range(5))) == [answer] * 5
    assert question.asked == 1


async def test_the_answer_is_forgotten_in_time() -> None:
    """A service that is back is found to be back."""
    kept, question = Kept[bool](0.01), Question(answer=False)
    assert not await kept.get(question.ask)
    question.answer = True
    await asyncio.sleep(0.05)
    assert await kept.get(question.ask)
