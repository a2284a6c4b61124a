"""The fake keeps the promises of the real unit of work."""

import pytest

from .fakes import FakeWorld
from .promises import Open, WorkPromises


class TestFakeWork(WorkPromises):
    @pytest.fixture
    def open_work(self) -> Open:
        return FakeWorld().work
