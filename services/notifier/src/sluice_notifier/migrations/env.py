"""Run by Alembic; the work is done in one place for all services."""

from sluice_notifier.database import metadata
from sluice_runtime.migrations import run

run(metadata)
