"""How an agent waits, and the exit codes it shares with the other commands."""

from datetime import UTC, datetime

import pytest

from sluice_cli import failures
from sluice_cli.agent import endings
from sluice_cli.agent.endings import INTEGRITY, NETWORK
from sluice_cli.agent.pace import Pace, backoff, retry_after_seconds

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_an_agent_ends_with_the_codes_of_the_other_commands() -> None:
    codes = {name: code for name, code in vars(endings).items() if name.isupper()}
    assert len(codes) == 7
    assert codes == {name: getattr(failures, name) for name in codes}


def test_waits_double_up_to_the_longest_and_chance_takes_any_part() -> None:
    assert [backoff(failed, 300.0, 1.0) for failed in (0, 1, 2, 8, 9, 10_000)] == [
        *(1.0, 2.0, 4.0, 256.0, 300.0, 300.0)
    ]
    assert backoff(5, 300.0, 0.0) == 0.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, 0.0),
        ("7", 7.0),
        ("²", 0.0),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", 0.0),
        ("Tue, 24 Nov 2026 10:00:30 GMT", 30.0),
        ("Tue, 24 Nov 2026 09:00:00 GMT", 0.0),
        ("soon", 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float) -> None:
    assert retry_after_seconds(value, NOW) == seconds


def test_failures_slow_down_and_success_makes_quick_again() -> None:
    clock = Clock()
    pace = Pace(300.0, clock, chance=lambda: 1.0)
    assert pace.left() == 0.0
    assert [pace.failed(NETWORK) for _ in range(3)] == [1.0, 2.0, 4.0]
    assert (pace.left(), pace.exit_code) == (4.0, NETWORK)
    clock.now += 4.0
    assert pace.left() == 0.0
    pace.succeeded()
    assert (pace.failed(INTEGRITY), pace.exit_code) == (1.0, INTEGRITY)


def test_the_server_may_ask_for_more_but_not_for_ever() -> None:
    pace = Pace(300.0, Clock(), chance=lambda: 1.0)
    assert pace.failed(NETWORK, 30.0) == 30.0
    assert pace.failed(NETWORK, 86_400.0) == 300.0


def test_patience_counts_from_the_first_failure_since_a_success() -> None:
    clock = Clock()
    pace = Pace(10.0, clock, chance=lambda: 1.0)
    assert not pace.is_exhausted(60.0)
    pace.failed(NETWORK)
    clock.now += 59.0
    assert not pace.is_exhausted(60.0)
    clock.now += 2.0
    assert pace.is_exhausted(60.0)
    pace.succeeded()
    assert not pace.is_exhausted(60.0)
