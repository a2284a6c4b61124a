"""The fake keeps the promises of the real unit of work."""

from collections.abc import Awaitable, Callable

import pytest

from .fakes import FakeWorld
from .promises import Open, WorkPromises


class TestFakeWork(WorkPromises):
    @pytest.fixture
    def world(self) -> FakeWorld:
        return FakeWorld()

    @pytest.fixture
    def open_work(self, world: FakeWorld) -> Open:
        return world.work

    @pytest.fixture
    def leaving(self, world: FakeWorld) -> Callable[[], Awaitable[list[str]]]:
        async def subjects() -> list[str]:
            facts = [one.subject() for one in world.tables.outbox]
            return facts + [one.task.subject(one.priority) for one in world.tables.tasks]

        return subjects
