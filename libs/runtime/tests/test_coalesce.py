"""Calls that come together are handled together, and each gets its own answer."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_runtime.coalesce import Coalescer


@dataclass
class Handler:
    """Doubles numbers; refuses 13, and breaks in the rounds it is told to."""

    rounds: list[list[int]] = field(default_factory=list)
    breaks_in: int | None = None
    began: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, items: Sequence[int]) -> Sequence[int | Exception]:
        self.rounds.append(list(items))
        self.began.set()
        await asyncio.sleep(0)
        if len(self.rounds) == self.breaks_in:
            raise ConnectionError("broken")
        return [ValueError("unlucky") if item == 13 else item * 2 for item in items]


@given(st.lists(st.integers(0, 20), max_size=40), st.integers(1, 7))
async def test_everybody_gets_the_answer_to_their_own_question(items: list[int], most: int) -> None:
    handler = Handler()
    waiting: Coalescer[int, int] = Coalescer(handler, most)
    answers = await asyncio.gather(*map(waiting.submit, items), return_exceptions=True)
    for item, answer in zip(items, answers, strict=True):
        assert isinstance(answer, ValueError) if item == 13 else answer == item * 2
    assert [item for taken in handler.rounds for item in taken] == items
    assert all(len(taken) <= most for taken in handler.rounds)


async def test_a_single_call_waits_for_nobody() -> None:
    handler = Handler()
    waiting: Coalescer[int, int] = Coalescer(handler, 10)
    assert [await waiting.submit(1), await waiting.submit(2)] == [2, 4]
    assert handler.rounds == [[1], [2]]


async def test_what_arrives_during_a_round_goes_together_in_the_next() -> None:
    handler = Handler()
    waiting: Coalescer[int, int] = Coalescer(handler, 10)
    first = asyncio.create_task(waiting.submit(1))
    await handler.began.wait()
    await asyncio.gather(*map(waiting.submit, (2, 3, 4)))
    assert await first == 2
    assert handler.rounds == [[1], [2, 3, 4]]


async def test_a_round_that_breaks_is_known_to_its_callers_and_not_to_the_next() -> None:
    waiting: Coalescer[int, int] = Coalescer(Handler(breaks_in=1), 2)
    answers = await asyncio.gather(*map(waiting.submit, (1, 2, 3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [ConnectionError, ConnectionError, int]


async def test_a_caller_that_leaves_does_not_stop_the_others() -> None:
    waiting: Coalescer[int, int] = Coalescer(Handler(), 10)
    leaving = asyncio.create_task(waiting.submit(1))
    staying = asyncio.create_task(waiting.submit(2))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying == 4
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert await waiting.submit(3) == 6
