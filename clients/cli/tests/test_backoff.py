"""Retry decisions."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_cli.backoff import Patience, backoff, is_repeatable, retry_after_seconds
from sluice_contracts.api import Problem

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


def a_problem(code: str, retryable: bool) -> Problem:
    return Problem(
        type="about:blank", title="", status=409, detail="", code=code, retryable=retryable
    )


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_busy_and_broken_servers_are_asked_again(status: int) -> None:
    assert is_repeatable(status, None)


@pytest.mark.parametrize("status", [400, 401, 404, 409, 413, 422, 500])
def test_a_plain_refusal_is_final(status: int) -> None:
    assert not is_repeatable(status, None)
    assert not is_repeatable(status, a_problem("whatever", retryable=False))


def test_a_problem_can_ask_to_be_repeated() -> None:
    assert is_repeatable(409, a_problem("blob-not-uploaded", retryable=True))
    assert is_repeatable(409, a_problem("upload-in-progress", retryable=False))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("7", 7.0),
        ("Tue, 24 Nov 2026 10:00:30 GMT", 30.0),
        ("Tue, 24 Nov 2026 09:00:00 GMT", 0.0),
        ("whenever", None),
        ("²", None),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, expected: float | None) -> None:
    assert retry_after_seconds(value, NOW) == expected


@given(repeat=st.integers(0, 10_000), chance=st.floats(0, 1))
def test_waits_grow_but_stay_bounded(repeat: int, chance: float) -> None:
    assert 0 < backoff(repeat, chance) <= 8.0
    assert backoff(repeat + 1, chance) >= backoff(repeat, chance)


def test_patience_begins_with_the_first_failure_and_ends() -> None:
    time = [1000.0]
    patience = Patience(60.0, clock=lambda: time[0], chance=lambda: 1.0)
    waited = 0.0
    while (wait := patience.next_wait()) is not None:
        waited += wait
        time[0] += wait
    assert 50 < waited <= 60


def test_patience_obeys_retry_after_and_gives_up_when_it_is_too_long() -> None:
    patience = Patience(60.0, clock=lambda: 0.0, chance=lambda: 0.0)
    assert patience.next_wait(30.0) == 30.0
    assert patience.next_wait(61.0) is None
