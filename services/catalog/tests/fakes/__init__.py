"""The catalog's unit of work, in memory.

It keeps the promises in `promises`, which also run against the real one.
"""

from .tables import NOW, FakeTables
from .work import FakeWork, FakeWorld

__all__ = ["NOW", "FakeTables", "FakeWork", "FakeWorld"]
