"""One request, repeated while repeating makes sense; failures become `CommandError`s."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime

import httpx
from pydantic import ValidationError

from sluice_cli.backoff import Patience, is_repeatable, retry_after_seconds
from sluice_cli.failures import CommandError, IntegrityError, NetworkError, RefusedError
from sluice_contracts.api import Problem

Attempt = Callable[[], Awaitable[httpx.Response]]
Notice = Callable[[str], None]

# Sluice compared bytes and found others than were announced.
_INTEGRITY_CODES = frozenset({"size-mismatch", "digest-mismatch", "checksum-mismatch"})
# What httpx raises for an address or a header that is none, besides its own errors: letters that
# no header holds, and a host whose "xn--" stands for nothing, are a UnicodeError.
_SPOILED = (httpx.InvalidURL, UnicodeError)
# No usable answer, for whatever reason.
BROKEN = (httpx.RequestError, *_SPOILED)
# A request that these spoil is wrong in itself; repeating it changes nothing.
_HOPELESS = (*_SPOILED, httpx.UnsupportedProtocol, httpx.LocalProtocolError)


def problem_of(response: httpx.Response) -> Problem | None:
    """The problem a read response carries, or None when something else answered."""
    try:
        return Problem.model_validate_json(response.content)
    except ValidationError:
        return None


def failure_of(response: httpx.Response) -> CommandError:
    """The failure that a read response without success stands for."""
    status, problem = response.status_code, problem_of(response)
    if problem is not None and problem.code in _INTEGRITY_CODES:
        return IntegrityError(f"{problem.detail} ({problem.code})")
    if 400 <= status < 500:
        if problem is not None:
            return RefusedError.from_problem(problem)
        return RefusedError(f"http-{status}", f"the server answered {status}", status)
    if response.has_redirect_location:
        target = response.headers["location"]
        return NetworkError(f"the server answered {status} and points to {target}")
    detail = f": {problem.detail} ({problem.code})" if problem else ""
    return NetworkError(f"the server answered {status}{detail}")


def broken(error: Exception) -> NetworkError:
    """`error` in words, and where; some of httpx's carry no text of their own."""
    text = str(error) or type(error).__name__
    if isinstance(error, httpx.RequestError):
        with suppress(RuntimeError):  # raised before there was a request
            url = error.request.url
            text += f" ({url.scheme}://{url.netloc.decode()})"
    return NetworkError(text)


async def send(attempt: Attempt, patience: Patience, notice: Notice) -> httpx.Response:
    """The first successful response of `attempt`.

    Raises:
        RefusedError: Sluice said no, and repeating would not change its mind or took too long.
        NetworkError: no answer, or none a client can use, for as long as `patience` lasts.
        IntegrityError: Sluice found other bytes than it was promised.
    """
    while True:
        retry_after = None
        try:
            response = await attempt()
        except BROKEN as error:
            failure: CommandError = broken(error)
            if isinstance(error, _HOPELESS):
                raise failure from error
        else:
            if response.is_success:
                return response
            failure = failure_of(response)
            if not is_repeatable(response.status_code, problem_of(response)):
                raise failure
            header = response.headers.get("retry-after")
            retry_after = retry_after_seconds(header, datetime.now(UTC))
        wait = patience.next_wait(retry_after)
        if wait is None:
            raise failure
        notice(f"{failure}; trying again in {wait:.1f} s")
        await asyncio.sleep(wait)
