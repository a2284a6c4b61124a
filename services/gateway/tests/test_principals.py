"""Whose token it is: asked once, remembered for a while, and through an outage."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from sluice_contracts.questions import Principal, ResolveKey
from sluice_gateway import principals
from sluice_gateway.domain import token_digest
from sluice_gateway.principals import CachedPrincipals
from sluice_runtime.errors import NotFound, Unavailable

ME = Principal(tenant="dev", subject="me", scopes=frozenset({"events:read"}))
MESSAGE: Any = None


@dataclass
class FakeCatalog:
    known: dict[str, Principal] = field(default_factory=lambda: {token_digest("mine"): ME})
    asked: int = 0
    away: bool = False

    async def ask(self, question: Any, *, timeout_seconds: float = 5.0) -> Any:
        assert isinstance(question, ResolveKey)
        self.asked += 1
        await asyncio.sleep(0)
        if self.away:
            raise Unavailable("away")
        if question.token_sha256 not in self.known:
            raise NotFound("no such key")
        return self.known[question.token_sha256]


@dataclass
class Clock:
    """Stands in for the `time` module."""

    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(principals, "time", clock)
    return clock


async def test_a_known_token_is_asked_for_once_in_thirty_seconds(clock: Clock) -> None:
    catalog = FakeCatalog()
    cache = CachedPrincipals(catalog)
    for _ in range(3):
        assert await cache.resolve("mine") == ME
        clock.now += 9.9
    assert catalog.asked == 1
    clock.now += 0.4
    assert await cache.resolve("mine") == ME
    assert catalog.asked == 2


async def test_nobody_is_remembered_for_two_seconds(clock: Clock) -> None:
    catalog = FakeCatalog()
    cache = CachedPrincipals(catalog)
    for _ in range(3):
        assert await cache.resolve("guess") is None
    assert catalog.asked == 1
    clock.now += 2.1
    catalog.known[token_digest("guess")] = ME
    assert await cache.resolve("guess") == ME


async def test_a_revoked_token_stops_working_when_its_time_is_over(clock: Clock) -> None:
    catalog = FakeCatalog()
    cache = CachedPrincipals(catalog)
    await cache.resolve("mine")
    catalog.known.clear()
    clock.now += 30.1
    assert await cache.resolve("mine") is None


@pytest.mark.usefixtures("clock")
async def test_a_change_of_keys_counts_at_once() -> None:
    catalog = FakeCatalog()
    cache = CachedPrincipals(catalog)
    await cache.resolve("mine")
    catalog.known.clear()
    await cache.hear_change(MESSAGE)
    assert await cache.resolve("mine") is None


async def test_who_was_known_goes_on_working_while_the_catalog_is_away(clock: Clock) -> None:
    catalog = FakeCatalog()
    cache = CachedPrincipals(catalog)
    await cache.resolve("mine")
    catalog.away = True
    clock.now += 3600
    assert await cache.resolve("mine") == ME
    catalog.away = False
    catalog.known.clear()
    assert await cache.resolve("mine") is None


async def test_while_the_catalog_is_away_nobody_else_is_let_in_or_sent_away(clock: Clock) -> None:
    catalog = FakeCatalog()
    cache = CachedPrincipals(catalog)
    assert await cache.resolve("guess") is None
    catalog.away = True
    clock.now += 3
    for token in ("guess", "mine"):
        with pytest.raises(Unavailable):
            await cache.resolve(token)


@pytest.mark.usefixtures("clock")
async def test_guesses_do_not_fill_the_memory() -> None:
    catalog = FakeCatalog()
    cache = CachedPrincipals(catalog)
    for number in range(10_050):
        await cache.resolve(f"guess-{number}")
    assert len(cache._known) == 10_000


@pytest.mark.usefixtures("clock")
async def test_the_token_itself_is_never_sent_or_kept() -> None:
    cache = CachedPrincipals(FakeCatalog())
    await cache.resolve("mine")
    assert "mine" not in repr(cache._known)


async def test_a_bus_that_was_lost_may_have_swallowed_a_change(clock: Clock) -> None:
    catalog, lost = FakeCatalog(), 0
    cache = CachedPrincipals(catalog, lambda: lost)
    assert await cache.resolve("mine") == ME
    lost = 1
    catalog.away = True
    assert await cache.resolve("mine") == ME, "an outage of the catalog locks nobody out"
    catalog.away = False
    catalog.known.clear()
    assert await cache.resolve("mine") is None
