"""A Postgres server of one test module, with the tables of the catalog in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sluice_catalog.provision import MIGRATIONS
from sluice_devkit.ports import free_ports
from sluice_devkit.postgres import PostgresServer, admin_url, database_url, ensure_database
from sluice_runtime.migrations import migrate

SECRET = "secret-of-a-test"


@contextmanager
def catalog_database(folder: Path) -> Iterator[str]:
    """The URL of a migrated database, for as long as the block runs."""
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
