"""What monitors see that ask with HEAD, byte by byte: a client would hide a body from us."""

import pytest

from sluice_devkit.stack import Stack

from .api import Account, head, line, problem


async def answer_of(stack: Stack, method: str, path: str) -> tuple[bytes, bytes]:
    """The status line, and the bytes behind the head of an answer."""
    async with line(stack) as one:
        await one.say(head(method, path, "Connection: close"))
        first, _, rest = (await one.ended()).partition(b"\r\n")
    return first, rest.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/health", "/healthz", "/ui", "/"])
async def test_head_is_answered_as_get_without_a_body(stack: Stack, path: str) -> None:
    got, told = await answer_of(stack, "GET", path), await answer_of(stack, "HEAD", path)
    assert told == (got[0], b"")
    assert b" 405 " not in told[0]


async def test_a_poller_that_is_ahead_of_the_log_is_told_so(caller: Account) -> None:
    answer = await caller.http.get("/api/v1/events", params={"after": 99_999})
    problem(answer, 422, "unknown-event-id")
    answer = await caller.http.get("/api/v1/events", params={"after": 0})
    assert answer.json() == {"items": [], "next_after": 0, "last_sequence": 0}
