"""Migrates the database."""

import sys
from pathlib import Path

from sluice_notifier.settings import ProvisionSettings
from sluice_runtime.migrations import migrate
from sluice_runtime.settings import read_settings

MIGRATIONS = Path(__file__).parent / "migrations"


def provision(settings: ProvisionSettings) -> None:
    """Migrate the database. Safe to repeat."""
    migrate(settings.database_url.get_secret_value(), MIGRATIONS)
    sys.stdout.write("notifier is migrated\n")


def main() -> None:
    """`sluice-notifier provision`."""
    provision(read_settings(ProvisionSettings))
