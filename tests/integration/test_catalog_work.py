"""The catalog's unit of work on Postgres keeps the promises its fake is tested by."""

import importlib.util
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from sluice_catalog.database import open_work as open_sql_work
from sluice_catalog.database.tables import metadata, outbox
from sluice_runtime.database import make_engine
from tests.integration.catalog_database import catalog_database

PROMISES = Path(__file__).parents[2] / "services/catalog/tests/promises"


def _load(folder: Path) -> ModuleType:
    """The unit tests of a service are no package one could import."""
    spec = importlib.util.spec_from_file_location(
        "catalog_promises", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


promises = _load(PROMISES)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with catalog_database(tmp_path_factory.mktemp("postgres")) as there:
        yield there


class TestSqlWork(promises.WorkPromises):  # type: ignore[name-defined,misc]
    @pytest.fixture
    async def engine(self, url: str) -> AsyncIterator[AsyncEngine]:
        engine = make_engine(url)
        yield engine
        tables = ", ".join(table.name for table in metadata.sorted_tables)
        async with engine.begin() as connection:
            await connection.execute(text(f"truncate {tables}"))
        await engine.dispose()

    @pytest.fixture
    def open_work(self, engine: AsyncEngine) -> Callable[[], object]:
        return lambda: open_sql_work(engine)

    @pytest.fixture
    def leaving(self, engine: AsyncEngine) -> Callable[[], Awaitable[list[str]]]:
        async def subjects() -> list[str]:
            async with engine.connect() as connection:
                rows = await connection.execute(outbox.select().order_by(outbox.c.position))
                return [row.subject for row in rows]

        return subjects
