"""Migrations: one way to run them for every service, by `provision`, never at service start."""

from pathlib import Path

from alembic import command, context
from alembic.config import Config
from sqlalchemy import MetaData, create_engine, text
from sqlalchemy.engine import make_url

# Two provisioning runs at once take turns; the number is arbitrary.
_LOCK = 0x510CE002
_LOCK_TIMEOUT = "5s"


def migrate(url: str, folder: Path) -> None:
    """Bring the database at `url` to the newest revision of `folder`; safe to repeat.

    A revision that cannot get its locks within 5 seconds fails instead of stopping the traffic.
    """
    config = Config()
    config.set_main_option("script_location", str(folder))
    config.set_main_option("version_locations", str(folder / "versions"))
    config.set_main_option("path_separator", "os")
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    try:
        with engine.connect() as connection:
            connection.execute(text("select pg_advisory_lock(:lock)"), {"lock": _LOCK})
            connection.commit()
            connection.execute(text(f"set lock_timeout = '{_LOCK_TIMEOUT}'"))
            connection.commit()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
            connection.execute(text("select pg_advisory_unlock(:lock)"), {"lock": _LOCK})
            connection.commit()
    finally:
        engine.dispose()


def run(metadata: MetaData) -> None:
    """What each service's `migrations/env.py` calls."""
    connection = context.config.attributes["connection"]
    context.configure(connection=connection, target_metadata=metadata)
    with context.begin_transaction():
        context.run_migrations()
