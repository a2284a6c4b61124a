"""Migrates the database, and makes the first keys."""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

from sluice_catalog.database import make_partitions, open_work
from sluice_catalog.domain import WELL_KNOWN_TOKENS, token_digest
from sluice_catalog.settings import ProvisionSettings
from sluice_runtime.database import make_engine
from sluice_runtime.migrations import migrate
from sluice_runtime.settings import read_settings

MIGRATIONS = Path(__file__).parent / "migrations"


async def provision(settings: ProvisionSettings) -> None:
    """Migrate the database and make sure the initial keys exist. Safe to repeat."""
    tokens = {key.token.get_secret_value() for key in settings.initial_keys}
    if settings.environment != "development" and tokens & set(WELL_KNOWN_TOKENS):
        raise SystemExit("SLUICE_INITIAL_KEYS: holds a key from the documentation")
    url = settings.database_url.get_secret_value()
    await asyncio.to_thread(migrate, url, MIGRATIONS)
    engine = make_engine(url)
    await make_partitions(engine, datetime.now(UTC))
    async with open_work(engine) as work:
        for key in settings.initial_keys:
            await work.keys.put(
                token_digest(key.token.get_secret_value()),
                name=key.name,
                tenant=key.tenant,
                scopes=sorted(key.scopes),
                at=work.now(),
            )
        await work.commit()
    await engine.dispose()
    sys.stdout.write(f"catalog is migrated; {len(tokens)} initial keys\n")


def main() -> None:
    """`sluice-catalog provision`."""
    asyncio.run(provision(read_settings(ProvisionSettings)))
