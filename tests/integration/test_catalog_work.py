"""The catalog's unit of work on Postgres keeps the promises its fake is tested by."""

import importlib.util
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from sqlalchemy import text

from sluice_catalog.database import open_work as open_sql_work
from sluice_catalog.database.tables import metadata
from sluice_catalog.main import MIGRATIONS
from sluice_devkit.ports import free_ports
from sluice_devkit.postgres import PostgresServer, admin_url, database_url, ensure_database
from sluice_runtime.database import make_engine
from sluice_runtime.migrations import migrate

SECRET = "secret-of-a-test"
PROMISES = Path(__file__).parents[2] / "services/catalog/tests/promises.py"


def _load(path: Path) -> ModuleType:
    """The unit tests of a service are no package one could import."""
    spec = importlib.util.spec_from_file_location("catalog_promises", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


promises = _load(PROMISES)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("postgres")
    port = free_ports(1)[0]
    server = PostgresServer(folder / "data", port, password=SECRET, log=folder / "log")
    server.start()
    server.wait_ready()
    try:
        ensure_database(admin_url(port, SECRET), "catalog", SECRET)
        there = database_url(port, "catalog", "catalog", SECRET)
        migrate(there, MIGRATIONS)
        yield there
    finally:
        server.stop()


class TestSqlWork(promises.WorkPromises):  # type: ignore[name-defined,misc]
    @pytest.fixture
    async def open_work(self, url: str) -> AsyncIterator[object]:
        engine = make_engine(url)
        yield lambda: open_sql_work(engine)
        tables = ", ".join(table.name for table in metadata.sorted_tables)
        async with engine.begin() as connection:
            await connection.execute(text(f"truncate {tables}"))
        await engine.dispose()
